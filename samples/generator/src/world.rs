//! The invented académie: schools, school years, classes. Everything is computed from the seed and
//! numbers, so that no list of pupils is ever held in memory.

use crate::faults::Recipe;
use crate::nomenclature::{LEVELS, Level, MATIERES_USED};
use crate::plan::{past_blocks, present_blocks};

pub const DIVISION_MAX: u64 = 28;
/// Cells at or under this size take no fault, so that small counts stay what they are.
pub const SPARED_CELL: u64 = 12;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    College,
    Lycee,
    Ecole,
}

#[derive(Clone)]
pub struct School {
    pub number: u64,
    pub uai: String,
    pub kind: Kind,
    /// Pupils in the present school year; an order of size for écoles.
    pub size: u64,
}

impl School {
    pub fn new(number: u64, kind: Kind, size: u64) -> Self {
        School { number, uai: uai(number), kind, size }
    }

    /// ENTStructureJointure.
    pub fn id(&self) -> u64 {
        1001 + self.number
    }
}

/// A UAI of a département that does not exist: 096, then 960 when 096 is full.
fn uai(number: u64) -> String {
    let digits = if number < 9_999 { 960_001 + number } else { 9_600_000 + number };
    let letter = b"ABCDEFGHJKLMNPRSTUVWXYZ".get((digits % 23) as usize).copied().unwrap_or(b'A');
    format!("{digits:07}{}", char::from(letter))
}

/// A day: year, month, day.
pub type Day = (i32, u32, u32);

/// Pupils of one level in one school; their person numbers follow each other.
pub struct Cell {
    pub level: usize,
    pub school: usize,
    pub first: u64,
    pub count: u64,
    /// The last ones came to the school this year.
    pub newcomers: u64,
    /// From which person on the day of entry in the school is which; empty where level and newcomers
    /// tell it.
    pub entries: Vec<(u64, Day)>,
}

impl Cell {
    pub fn level(&self) -> &'static Level {
        &LEVELS[self.level % LEVELS.len()]
    }

    pub fn divisions(&self) -> Vec<String> {
        let count = self.count.div_ceil(DIVISION_MAX);
        (0..count).map(|d| self.division(d)).collect()
    }

    fn division(&self, d: u64) -> String {
        format!("{}{}", self.level().prefix, char::from(b'A' + (d % 26) as u8))
    }

    pub fn groups(&self) -> Vec<String> {
        let count = if self.count >= 8 { 2 } else { 0 };
        (0..count).map(|g| format!("{}-G{}", self.level().prefix, g + 1)).collect()
    }
}

/// Persons numbered together, and the families they form: person `n` of a block is a child of
/// family `n mod families`, so that the last ones have a brother or sister among the first.
pub struct Block {
    pub base: u64,
    pub size: u64,
    pub family_base: u64,
    pub cells: Vec<Cell>,
}

impl Block {
    pub fn families(&self) -> u64 {
        (self.size * 85).div_ceil(100).max(1)
    }

    pub fn family_of(&self, person: u64) -> u64 {
        self.family_base + person.saturating_sub(self.base) % self.families()
    }

    /// Children of the family of this rank who are enrolled in this year.
    pub fn children(&self, rank: u64) -> Vec<u64> {
        let first = self.base + rank;
        let enrolled = |p: &u64| self.cells.iter().any(|c| (c.first..c.first + c.count).contains(p));
        [first, first + self.families()]
            .into_iter()
            .filter(|p| *p < self.base + self.size)
            .filter(enrolled)
            .collect()
    }
}

pub struct Pupil<'w> {
    pub person: u64,
    pub family: u64,
    pub school: &'w School,
    pub cell: &'w Cell,
    pub division: String,
    pub group: Option<String>,
    /// Day of entry in the school.
    pub entry: Day,
}

/// Lessons of one subject to one division.
pub struct Service<'w> {
    pub cell: &'w Cell,
    pub division: String,
    pub matiere: usize,
    /// Rank of the teacher among the staff of the school.
    pub teacher: u64,
    /// Hundredths of an hour a week.
    pub hours: u64,
}

/// A school year, as the sources deliver it on one night.
pub struct Year {
    pub start: i32,
    pub day: Day,
    /// First Monday of the sessions, and of the audience.
    pub sessions_from: Day,
    pub audience_from: Day,
    pub audience_weeks: u64,
    /// Days on which charges are delivered, and their terms.
    pub charges: Vec<(Day, u64)>,
    pub schools: Vec<usize>,
    pub blocks: Vec<Block>,
}

pub struct World {
    pub seed: u64,
    pub schools: Vec<School>,
    /// 2024-2025, then 2025-2026; with several school years, two nights of each.
    pub years: Vec<Year>,
}

impl World {
    pub fn new(seed: u64, pupils: u64) -> Self {
        let secondary = (pupils / 400).max(13);
        let lycees = secondary * 5 / 13;
        let colleges = secondary - lycees;
        let blocks = present_blocks(seed, pupils, colleges, lycees);
        let mut schools: Vec<School> = blocks
            .iter()
            .enumerate()
            .map(|(i, b)| {
                let kind = if (i as u64) < colleges { Kind::College } else { Kind::Lycee };
                School::new(i as u64, kind, b.size)
            })
            .collect();
        for number in secondary..secondary + lycees {
            schools.push(School::new(number, Kind::Ecole, 60 + number * 37 % 120));
        }
        let four = [1, colleges as usize - 1, colleges as usize, secondary as usize];
        let past = past_blocks(&blocks, &four);
        let years = vec![
            Year {
                start: 2024,
                day: (2025, 7, 5),
                sessions_from: (2025, 6, 23),
                audience_from: (2025, 5, 5),
                audience_weeks: 8,
                charges: Vec::new(),
                schools: four.to_vec(),
                blocks: past,
            },
            Year {
                start: 2025,
                day: (2026, 1, 10),
                sessions_from: (2026, 1, 5),
                audience_from: (2025, 9, 1),
                audience_weeks: 12,
                charges: vec![((2026, 1, 5), 1)],
                schools: (0..schools.len()).collect(),
                blocks,
            },
        ];
        World { seed, schools, years }
    }

    pub fn school(&self, index: usize) -> &School {
        &self.schools[index % self.schools.len()]
    }

    pub fn pupils<'w>(&'w self, year: &'w Year) -> impl Iterator<Item = Pupil<'w>> {
        year.blocks.iter().flat_map(move |block| {
            block
                .cells
                .iter()
                .flat_map(move |cell| (0..cell.count).map(move |at| self.pupil(year, block, cell, at)))
        })
    }

    fn pupil<'w>(&'w self, year: &Year, block: &Block, cell: &'w Cell, at: u64) -> Pupil<'w> {
        let person = cell.first + at;
        let divisions = cell.count.div_ceil(DIVISION_MAX).max(1);
        let newcomer = at + cell.newcomers >= cell.count;
        let known = cell.entries.iter().rev().find(|(from, _)| person >= *from);
        let usual = match newcomer {
            true if at.is_multiple_of(3) => (year.start, 11, 3),
            true => (year.start, 9, 1),
            false => (year.start - cell.level().rank, 9, 1),
        };
        Pupil {
            person,
            family: block.family_of(person),
            school: self.school(cell.school),
            cell,
            division: cell.division(at * divisions / cell.count.max(1)),
            group: cell.groups().into_iter().nth((at % 2) as usize),
            entry: known.map_or(usual, |(_, day)| *day),
        }
    }

    /// Services of a school: a subject is always taught by the same few people.
    pub fn services<'w>(&self, year: &'w Year, school: usize) -> Vec<Service<'w>> {
        let teachers = self.staff_count(year, school).saturating_sub(2).max(1);
        let mut services = Vec::new();
        let mut rank = 0;
        for cell in year.cells(school) {
            for division in cell.divisions() {
                for (i, matiere) in cell.level().matieres.into_iter().enumerate() {
                    let m = matiere as u64;
                    let peers = if m < teachers { (teachers - 1 - m) / MATIERES_USED as u64 + 1 } else { 0 };
                    let teacher = match peers {
                        0 => m % teachers,
                        n => m + MATIERES_USED as u64 * (rank / 3 % n),
                    };
                    let hours = [450, 350, 300, 300, 150].get(i).copied().unwrap_or(200);
                    services.push(Service {
                        cell,
                        division: division.clone(),
                        matiere,
                        teacher: 2 + teacher,
                        hours,
                    });
                }
                rank += 1;
            }
        }
        services
    }

    /// Head, senior supervisor, then teachers.
    pub fn staff_count(&self, year: &Year, school: usize) -> u64 {
        match self.school(school).kind {
            Kind::Ecole => 0,
            _ => (year.cells(school).map(|c| c.count).sum::<u64>() / 12).max(3),
        }
    }
}

impl Year {
    pub fn cells(&self, school: usize) -> impl Iterator<Item = &Cell> {
        self.blocks.iter().flat_map(|b| &b.cells).filter(move |c| c.school == school)
    }

    /// As records write it: 2025-2026.
    pub fn label(&self) -> String {
        format!("{}-{}", self.start, self.start + 1)
    }

    /// Day of delivery, as file names write it.
    pub fn delivery(&self) -> String {
        let (y, m, d) = self.day;
        format!("{y}{m:02}{d:02}")
    }

    /// Recipe that the files of the year begin with: not the same from one year to the next.
    pub fn turn(&self, recipes: &[Recipe]) -> usize {
        match (2025 - self.start).unsigned_abs() as usize {
            0 => 0,
            ago => recipes.len() / 2 + 5 * (ago - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_letters_are_right() {
        assert_eq!((uai(0), uai(9_999)), ("0960001E".to_owned(), "9609999B".to_owned()));
    }

    #[test]
    fn the_plan_holds_what_is_promised() {
        for pupils in [2_000, 200_000] {
            let world = World::new(20_260_112, pupils);
            let cells: Vec<u64> =
                world.years[1].blocks.iter().flat_map(|b| &b.cells).map(|c| c.count).collect();
            assert_eq!(cells.iter().sum::<u64>(), pupils);
            assert!(cells.iter().filter(|n| **n < 5).count() >= 5);
            assert!(world.schools.iter().any(|s| s.size < 5));
            let one = world.years[1].cells(1).filter(|c| c.count < 5).count();
            assert_eq!(one, 1);
        }
    }
}

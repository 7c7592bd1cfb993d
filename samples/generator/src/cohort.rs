//! The plan of several school years: cohorts come to a collège together, move up a level a year, lose
//! and gain a few pupils, and in some schools go on together to a lycée.

use crate::output::Result;
use crate::rng::{Purpose, Rng};
use crate::world::{Block, Cell, Day, Kind, School, World, Year};
use chrono::{Datelike, Days, NaiveDate};
use std::ops::Range;

/// The school year before which the general levels of the lycée are not all open on the day when a
/// cohort comes to its lycée: contracts ask for the MEF of that day.
const GENERAL_SINCE: i32 = 2020;
const SECONDE_SINCE: i32 = 2019;
/// Positions in the levels.
const SECONDE: usize = 10;
const PREMIERE: (usize, usize) = (11, 13);
const TERMINALE: (usize, usize) = (12, 14);
const OLD_SECONDE: usize = 20;
/// Grades of a cohort: from 0, the sixième, to the last ones of the collège and of the lycée.
const LAST_COLLEGE: i32 = 3;
const LAST_LYCEE: i32 = 6;
/// Cohorts whose families are shared: brothers and sisters are two years apart.
const COHORTS_OF_BLOCK: usize = 3;

/// Pupils who come to the sixième together. Their numbers follow each other: those who leave are the
/// first ones, those who come are added at the end, so that nobody ever comes back.
struct Cohort {
    first: u64,
    size: u64,
    /// First year of the school year of their sixième.
    came: i32,
    college: usize,
    lycee: Option<usize>,
}

/// The two nights of a school year.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Autumn,
    End,
}

impl Cohort {
    /// Pupils who leave at once, and as many who come.
    fn few(&self) -> u64 {
        (self.size / 15).max(1)
    }

    /// Pupils gone before this moment of a grade: a few every summer, and in winter in two grades.
    fn gone(&self, grade: i32, moment: Moment) -> u64 {
        let winters =
            [1, 4].iter().filter(|g| grade > **g || (grade == **g && moment == Moment::End)).count();
        self.few() * (u64::from(grade.max(0).unsigned_abs()) + winters as u64)
    }

    /// Numbers that the cohort may need.
    fn room(&self) -> u64 {
        self.size + self.gone(LAST_LYCEE, Moment::End)
    }

    /// The pupils there.
    fn present(&self, grade: i32, moment: Moment) -> Range<u64> {
        let first = self.first + self.gone(grade, moment);
        first..first + self.size
    }

    /// From which pupil on the day of entry in the school is which.
    fn entries(&self, grade: i32, school_begins: i32) -> Vec<(u64, Day)> {
        let mut entries = vec![(self.first, (self.came + school_begins, 9, 1))];
        for g in school_begins..=grade {
            if g > school_begins {
                entries.push((self.present(g - 1, Moment::End).end, (self.came + g, 9, 1)));
            }
            entries.push((self.present(g, Moment::Autumn).end, (self.came + g + 1, 1, 4)));
        }
        entries
    }

    /// The cohort's pupils by school and level.
    fn cells(&self, start: i32, moment: Moment) -> Vec<Cell> {
        let grade = start - self.came;
        let all = self.present(grade, moment);
        let cell = |school, level, begins, pupils: &Range<u64>| Cell {
            level,
            school,
            first: pupils.start,
            count: pupils.end.saturating_sub(pupils.start),
            newcomers: 0,
            entries: self.entries(grade, begins),
        };
        let lycee_begins = LAST_COLLEGE + 1;
        let lycee_year = self.came + lycee_begins;
        let cells = match (grade, self.lycee) {
            (0..=LAST_COLLEGE, _) => vec![cell(self.college, grade.unsigned_abs() as usize, 0, &all)],
            (4, Some(lycee)) if lycee_year < SECONDE_SINCE => {
                vec![cell(lycee, OLD_SECONDE, lycee_begins, &all)]
            }
            (4, Some(lycee)) => vec![cell(lycee, SECONDE, lycee_begins, &all)],
            (5..=LAST_LYCEE, Some(lycee)) => {
                let (general, techno) = if grade == 5 { PREMIERE } else { TERMINALE };
                // The same pupils in both grades; before the reform all are of the one known track.
                let cut = self.present(LAST_LYCEE, Moment::End).start + self.size / 3;
                let cut = if lycee_year < GENERAL_SINCE { all.end } else { cut };
                vec![
                    cell(lycee, general, lycee_begins, &(cut..all.end)),
                    cell(lycee, techno, lycee_begins, &(all.start..cut)),
                ]
            }
            _ => Vec::new(),
        };
        cells.into_iter().filter(|c| c.count > 0).collect()
    }
}

/// The Monday of a day's week, or of the week before on a Sunday.
fn monday((y, m, d): Day) -> Result<Day> {
    let day = NaiveDate::from_ymd_opt(y, m, d).ok_or("day of a night")?;
    let monday = day - Days::new(u64::from(day.weekday().num_days_from_monday()));
    Ok((monday.year(), monday.month(), monday.day()))
}

/// `years` school years, the last one 2025-2026, of two nights each and about `pupils` pupils.
pub fn world(seed: u64, pupils: u64, years: i32) -> Result<World> {
    let secondary = (pupils / 400).max(3) as usize;
    let lycees = secondary / 3;
    let colleges = secondary - lycees;
    let cohorts = (4 * colleges + 3 * lycees) as u64;
    let size = ((pupils + cohorts / 2) / cohorts).max(1);
    let starts = 2026 - years..2026;
    let mut groups = Vec::new();
    let (mut person, mut family) = (0, 0);
    for college in 0..colleges {
        let lycee = (college < lycees).then_some(colleges + college);
        let oldest = starts.start - if lycee.is_some() { LAST_LYCEE } else { LAST_COLLEGE };
        let all: Vec<i32> = (oldest..starts.end).collect();
        for together in all.chunks(COHORTS_OF_BLOCK) {
            let base = person;
            let mut cohorts = Vec::new();
            for came in together {
                let index = (college as u64) * 10_000 + u64::from(came.unsigned_abs());
                let rng = &mut Rng::of(seed, Purpose::World, index);
                let size = (size * 9).div_ceil(10) + rng.below(size / 5 + 1);
                let cohort = Cohort { first: person, size, came: *came, college, lycee };
                person += cohort.room();
                cohorts.push(cohort);
            }
            let block = Block { base, size: person - base, family_base: family, cells: Vec::new() };
            family += block.families();
            groups.push((block, cohorts));
        }
    }
    let mut nights = Vec::new();
    for start in starts {
        for moment in [Moment::Autumn, Moment::End] {
            let autumn = moment == Moment::Autumn;
            let (day, sessions, audience, audience_weeks) = if autumn {
                ((start, 10, 10), (start, 9, 26), (start, 9, 7), 4)
            } else {
                ((start + 1, 7, 4), (start + 1, 6, 19), (start + 1, 5, 7), 8)
            };
            let blocks = groups.iter().map(|(block, cohorts): &(Block, Vec<Cohort>)| Block {
                cells: cohorts.iter().flat_map(|c| c.cells(start, moment)).collect(),
                ..*block
            });
            nights.push(Year {
                start,
                day,
                sessions_from: monday(sessions)?,
                audience_from: monday(audience)?,
                audience_weeks,
                charges: if autumn { vec![((start + 1, 1, 5), 1)] } else { vec![(day, 2), (day, 3)] },
                schools: (0..=secondary).collect(),
                blocks: blocks.filter(|b| !b.cells.is_empty()).collect(),
            });
        }
    }
    let schools = (0..=secondary).map(|number| {
        let (kind, levels) = match number {
            n if n < colleges => (Kind::College, 4),
            n if n < secondary => (Kind::Lycee, 3),
            _ => (Kind::Ecole, 4),
        };
        School::new(number as u64, kind, size * levels)
    });
    Ok(World { seed, schools: schools.collect(), years: nights })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomenclature::is_open;
    use std::collections::{BTreeMap, BTreeSet};

    /// (first year, whether it ends) of a night.
    type When = (i32, bool);

    fn when(at: usize, year: &Year) -> When {
        (year.start, at % 2 == 1)
    }

    #[test]
    fn a_pupil_is_there_without_a_gap_and_moves_up_a_level_a_year() {
        for (pupils, years) in [(40, 2), (200, 10), (3_000, 11)] {
            let world = world(20_260_112, pupils, years).unwrap();
            assert_eq!(world.years.len() as i32, 2 * years);
            let mut nights: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            let mut ages: BTreeMap<u64, BTreeSet<i32>> = BTreeMap::new();
            let mut entries: BTreeMap<(u64, u64), BTreeSet<Day>> = BTreeMap::new();
            let mut tracks: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
            let mut families: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            for (at, year) in world.years.iter().enumerate() {
                let here: Vec<_> = world.pupils(year).collect();
                let (few, many) = (pupils * 3 / 4, pupils * 5 / 4);
                assert!((few..=many).contains(&(here.len() as u64)), "{} pupils", here.len());
                for p in here {
                    let level = p.cell.level();
                    nights.entry(p.person).or_default().push(at);
                    ages.entry(p.person).or_default().insert(year.start - level.age);
                    entries.entry((p.person, p.school.number)).or_default().insert(p.entry);
                    families.entry(p.person).or_default().insert(p.family);
                    if level.rank > 0 && p.school.kind == Kind::Lycee {
                        tracks.entry(p.person).or_default().insert(level.filiere);
                    }
                    assert!(p.entry <= year.day);
                    // Contracts judge a MEF on the day of entry, structures on the first of September.
                    for opened in [p.entry.0 - i32::from(p.entry.1 < 9), year.start] {
                        assert!(is_open(level.mef, opened), "{} in {opened}", level.niveau);
                    }
                }
            }
            for (person, at) in &nights {
                assert!(at.windows(2).all(|w| w[1] == w[0] + 1), "{person} twice, or comes back: {at:?}");
            }
            assert!(ages.values().all(|births| births.len() == 1));
            assert!(entries.values().all(|days| days.len() == 1));
            assert!(tracks.values().all(|names| names.len() == 1));
            assert!(families.values().all(|names| names.len() == 1));
        }
    }

    #[test]
    fn pupils_come_and_leave_in_summer_and_in_winter() {
        let world = world(20_260_112, 200, 10).unwrap();
        let mut stays: BTreeMap<u64, (When, When)> = BTreeMap::new();
        for (at, year) in world.years.iter().enumerate() {
            for pupil in world.pupils(year) {
                stays.entry(pupil.person).or_insert((when(at, year), when(at, year))).1 = when(at, year);
            }
        }
        let (first, last) = ((2016, false), (2025, true));
        let came = |end| stays.values().filter(|(from, _)| *from != first && from.1 == end).count();
        let left = |end| stays.values().filter(|(_, to)| *to != last && to.1 == end).count();
        assert!(came(false) > 300 && came(true) > 10, "{} {}", came(false), came(true));
        assert!(left(true) > 300 && left(false) > 10, "{} {}", left(true), left(false));
        // From the sixième to the terminale.
        assert!(stays.values().any(|(from, to)| to.0 - from.0 == 6));
        // Brothers and sisters in two school years of the same family.
        let mut families: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for pupil in world.years.iter().flat_map(|y| world.pupils(y)) {
            families.entry(pupil.family).or_default().insert(pupil.person);
        }
        assert!(families.values().filter(|children| children.len() == 2).count() > 10);
    }

    #[test]
    fn sessions_and_audience_begin_on_a_monday() {
        for (day, expected) in
            [((2025, 9, 7), (2025, 9, 1)), ((2016, 9, 7), (2016, 9, 5)), ((2025, 9, 1), (2025, 9, 1))]
        {
            assert_eq!(monday(day).unwrap(), expected);
        }
    }
}

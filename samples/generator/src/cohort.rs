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
    let size = (pupils / (4 * colleges + 3 * lycees) as u64).max(1);
    let starts = 2026 - years..2026;
    let mut families: Vec<(u64, u64, u64, Vec<Cohort>)> = Vec::new();
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
                let size = size * 9 / 10 + rng.below(size / 5 + 1);
                let cohort = Cohort { first: person, size: size.max(1), came: *came, college, lycee };
                person += cohort.room();
                cohorts.push(cohort);
            }
            let block = Block { base, size: person - base, family_base: family, cells: Vec::new() };
            family += block.families();
            families.push((base, person - base, block.family_base, cohorts));
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
            let blocks = families.iter().map(|(base, size, family_base, cohorts)| Block {
                base: *base,
                size: *size,
                family_base: *family_base,
                cells: cohorts.iter().flat_map(|c| c.cells(start, moment)).collect(),
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

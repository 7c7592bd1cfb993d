//! The week of a school: at which hour each division has its lessons, and with whom. Nobody stands
//! before two classes at once.

use crate::world::Service;

/// Days of sessions in a week.
pub const DAYS: u32 = 5;
/// Beginning and end of the hours of a day.
pub const HOURS: [(&str, &str); 7] = [
    ("08:30", "09:25"),
    ("09:30", "10:25"),
    ("10:40", "11:35"),
    ("11:40", "12:35"),
    ("14:00", "14:55"),
    ("15:00", "15:55"),
    ("16:10", "17:05"),
];
const SLOTS: u32 = DAYS * HOURS.len() as u32;
/// Rank of the first teacher, after the head and the senior supervisor.
const TEACHERS: usize = 2;

/// An hour of a division; the slots of a week go through its days, then through their hours.
pub struct Lesson<'s> {
    pub service: &'s Service<'s>,
    pub slot: u32,
    /// Rank among the staff; nobody when all are taken.
    pub teacher: Option<u64>,
}

/// Slots taken, a bit each, by rank among the staff.
#[derive(Clone)]
pub struct Week {
    taken: Vec<u64>,
}

impl Week {
    /// Each lesson comes in the first slot where both its division and its teacher are free. A teacher
    /// whose week is full is stood in for by the colleague who has the fewest hours.
    pub fn plan<'s>(services: &'s [Service<'s>], staff: u64) -> (Self, Vec<Lesson<'s>>) {
        let mut week = Week { taken: vec![0; staff as usize] };
        let mut lessons = Vec::new();
        for division in services.chunk_by(|a, b| a.division == b.division) {
            let hours = division.iter().flat_map(|s| std::iter::repeat_n(s, s.hours.div_ceil(100) as usize));
            let mut own = 0;
            for service in hours {
                let teachers = std::iter::once(service.teacher).chain(week.colleagues(service.teacher));
                let found = { teachers }.find_map(|t| Some((free(own | week.of(t))?, t)));
                let slot = found.map_or_else(|| free(own).unwrap_or(0), |(slot, _)| slot);
                let teacher = found.map(|(_, t)| t);
                week.take(teacher, slot);
                own |= 1 << slot;
                lessons.push(Lesson { service, slot, teacher });
            }
        }
        (week, lessons)
    }

    /// A colleague who is free joins a teacher.
    pub fn join(&mut self, slot: u32, teacher: u64) -> Option<u64> {
        let free = self.colleagues(teacher).into_iter().find(|t| self.of(*t) & (1 << slot) == 0);
        self.take(free, slot);
        free
    }

    /// A colleague who stands before another class.
    pub fn elsewhere(&self, slot: u32, teacher: u64) -> Option<u64> {
        self.colleagues(teacher).into_iter().find(|t| self.of(*t) & (1 << slot) != 0)
    }

    /// The other teachers, those who have the fewest hours first.
    fn colleagues(&self, teacher: u64) -> Vec<u64> {
        let mut others: Vec<u64> =
            (TEACHERS..self.taken.len()).map(|t| t as u64).filter(|t| *t != teacher).collect();
        others.sort_by_key(|t| self.of(*t).count_ones());
        others
    }

    fn of(&self, teacher: u64) -> u64 {
        self.taken[teacher as usize]
    }

    fn take(&mut self, teacher: Option<u64>, slot: u32) {
        if let Some(teacher) = teacher {
            self.taken[teacher as usize] |= 1 << slot;
        }
    }
}

/// The first slot that is not taken.
fn free(taken: u64) -> Option<u32> {
    Some(taken.trailing_ones()).filter(|slot| *slot < SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;
    use std::collections::HashSet;

    #[test]
    fn nobody_is_in_two_places_at_once() {
        let world = World::new(20_260_112, 2_000);
        for year in &world.years {
            for school in 0..13 {
                let services = world.services(year, school);
                let (mut week, lessons) = Week::plan(&services, world.staff_count(year, school));
                let (mut teachers, mut divisions) = (HashSet::new(), HashSet::new());
                for l in &lessons {
                    assert!(l.slot < SLOTS && divisions.insert((l.slot, &l.service.division)));
                    let Some(teacher) = l.teacher else { continue };
                    let second = week.join(l.slot, teacher);
                    for t in second.into_iter().chain([teacher]) {
                        assert!(teachers.insert((l.slot, t)));
                    }
                }
                let hours: u64 = services.iter().map(|s| s.hours.div_ceil(100)).sum();
                assert_eq!(lessons.len() as u64, hours);
            }
        }
    }
}

//! The five SCOPE tables: structures, services, sessions, memberships, teachers.

use crate::faults::{self, Recipe};
use crate::frame::Table;
use crate::nomenclature::{MATIERES, MEFS};
use crate::output::{Night, Output, Result};
use crate::people::{pupil_id, staff_id};
use crate::rng::{Purpose, Rng};
use crate::timetable::{DAYS, HOURS, Lesson, Week};
use crate::world::{Kind, Pupil, SPARED_CELL, School, World, Year};
use chrono::{Days, NaiveDate};
use std::collections::HashMap;

pub const STRUCTURES: &[&str] = &[
    "uai",
    "annee_scolaire",
    "code_structure",
    "type_structure",
    "libelle",
    "mef_codes",
    "divisions_appartenance",
    "effectif",
    "date_debut",
    "date_fin",
];
pub const SERVICES: &[&str] = &[
    "uai",
    "annee_scolaire",
    "code_structure",
    "code_matiere",
    "modalite_cours",
    "id_enseignant",
    "horaire_hebdo",
];
pub const SEANCES: &[&str] = &[
    "uai",
    "id_seance",
    "date",
    "heure_debut",
    "heure_fin",
    "code_matiere",
    "code_structure",
    "id_enseignant",
    "salle",
    "statut",
    "horodatage_maj",
];
pub const APPARTENANCES: &[&str] = &["uai", "id_eleve", "code_structure", "date_debut", "date_fin"];
pub const ENSEIGNANTS: &[&str] = &["uai", "id_enseignant", "type", "discipline_code"];

/// How a session is made to overlap another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forced {
    /// It is shared with a teacher who stands before another class.
    Elsewhere,
    /// It lasts until the end of the next hour.
    Long,
}

/// Sessions that overlap another on purpose, by first year, school and number.
const FORCED: &[(i32, usize, u64, Forced)] =
    &[(2024, 1, 40, Forced::Elsewhere), (2025, 0, 100, Forced::Elsewhere), (2025, 1, 1, Forced::Long)];

/// Structures of the present year that declare three members too many on purpose: school, rank of
/// the level, kind, rank of the structure.
const TOO_MANY: &[(usize, usize, &str, usize)] = &[(0, 1, "D", 0), (2, 2, "D", 0)];

/// The five files of a delivery, in the order of their names.
pub fn write(night: &mut Night, world: &World) -> Result<()> {
    for year in &world.years {
        night.begin(year, year.day)?;
        appartenances(night, world, year)?;
        enseignants(night, world, year)?;
        seances(night, world, year)?;
        services(night, world, year)?;
        structures(night, world, year)?;
    }
    Ok(())
}

fn open<'n>(
    night: &'n mut Night,
    year: &Year,
    name: &str,
    columns: &[&str],
    recipes: &'static [Recipe],
) -> Result<Output<'n>> {
    let table = Table::csv(columns, faults::at(recipes, year.start), year.turn(recipes));
    let mut out = Output::new(night, table);
    out.start(format!("SCOPE_99_{}_{name}.csv", year.delivery()))?;
    Ok(out)
}

fn secondary<'w>(world: &'w World, year: &'w Year) -> impl Iterator<Item = (usize, &'w School)> {
    year.schools.iter().map(|i| (*i, world.school(*i))).filter(|(_, s)| s.kind != Kind::Ecole)
}

fn appartenances(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "appartenances", APPARTENANCES, faults::APPARTENANCES)?;
    let opening = (year.start, 9, 1);
    for pupil in world.pupils(year) {
        let (y, m, d) = pupil.entry.max(opening);
        for code in codes(&pupil) {
            let row = out.row();
            row.put(&pupil.school.uai).put(pupil_id(pupil.person)).put(code);
            row.put(format_args!("{y}-{m:02}-{d:02}")).none();
            out.emit(pupil.cell.count <= SPARED_CELL)?;
        }
    }
    out.end()
}

/// The division of a pupil, and the group if any.
fn codes<'p>(pupil: &'p Pupil<'_>) -> impl Iterator<Item = &'p String> {
    std::iter::once(&pupil.division).chain(&pupil.group)
}

/// How many memberships each structure of each school has. None ends, and the last ones begin two
/// months before the delivery: all are open on its day.
fn sizes(world: &World, year: &Year) -> HashMap<(u64, String), u64> {
    let mut sizes = HashMap::new();
    for pupil in world.pupils(year) {
        for code in codes(&pupil) {
            *sizes.entry((pupil.school.number, code.clone())).or_default() += 1;
        }
    }
    sizes
}

fn enseignants(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "enseignants", ENSEIGNANTS, faults::ENSEIGNANTS)?;
    for (index, school) in secondary(world, year) {
        let services = world.services(year, index);
        for rank in 2..world.staff_count(year, index) {
            let post = services.iter().find(|s| s.teacher == rank).map_or(0, |s| s.matiere);
            let kind = if rank % 9 == 8 { "local" } else { "epp" };
            let row = out.row();
            row.put(&school.uai).put(staff_id(school.number, rank)).put(kind);
            row.put(format_args!("L{:04}", 200 + 10 * post));
            out.emit(false)?;
        }
    }
    out.end()
}

fn services(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "services", SERVICES, faults::SERVICES)?;
    for (index, school) in secondary(world, year) {
        for s in world.services(year, index) {
            let kind = if matches!(s.matiere, 5..=7) { "TP" } else { "CG" };
            let row = out.row();
            row.put(&school.uai).put(year.label()).put(&s.division).put(MATIERES[s.matiere].0).put(kind);
            row.put(staff_id(school.number, s.teacher));
            row.put(format_args!("{}.{:02}", s.hours / 100, s.hours % 100));
            out.emit(false)?;
        }
    }
    out.end()
}

/// All structures close with the school year, but for two of the first school of the present one,
/// which are still referred to afterwards: a division closes on the eve of its last day of sessions,
/// a group on the eve of the day that its late newcomers enter it.
fn structures(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "structures", STRUCTURES, faults::STRUCTURES)?;
    let before_last_sessions = monday(year)? + Days::new(10);
    let sizes = sizes(world, year);
    for (index, school) in secondary(world, year) {
        for (rank, cell) in year.cells(index).enumerate() {
            let (mef, level) = (MEFS[cell.level().mef].0, cell.level().niveau);
            let (divisions, groups) = (cell.divisions(), cell.groups());
            let all = divisions.join("|");
            let kinds = [("D", &divisions, String::new()), ("G", &groups, all)];
            for (kind, codes, belongs) in kinds {
                for (i, code) in codes.iter().enumerate() {
                    let too_many = year.start == 2025 && TOO_MANY.contains(&(index, rank, kind, i));
                    let members = sizes.get(&(school.number, code.clone())).copied().unwrap_or_default();
                    let size = members + if too_many { 3 } else { 0 };
                    let row = out.row();
                    row.put(&school.uai).put(year.label()).put(code).put(kind);
                    row.put(format_args!("{level} \"{code}\""))
                        .put(format_args!("{mef}0"))
                        .put(&belongs)
                        .put(size);
                    row.put(format_args!("{}-09-01", year.start));
                    match (year.start, index, rank, kind, i) {
                        (2025, 0, 0, "D", 0) => row.put(before_last_sessions),
                        (2025, 0, 1, "G", 0) => row.put("2025-11-02"),
                        _ => row.put(format_args!("{}-08-31", year.start + 1)),
                    };
                    out.emit(too_many)?;
                }
            }
        }
    }
    out.end()
}

/// The first day of the sessions.
fn monday(year: &Year) -> Result<NaiveDate> {
    let (y, m, d) = year.sessions_from;
    Ok(NaiveDate::from_ymd_opt(y, m, d).ok_or("date of sessions")?)
}

/// Two weeks of sessions, in a few schools: the same week twice, but for those who share a session.
fn seances(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "seances", SEANCES, faults::SEANCES)?;
    let first = monday(year)?;
    let few = (secondary(world, year).count() / 4).max(3);
    for (index, school) in secondary(world, year).take(few) {
        let services = world.services(year, index);
        let (plan, lessons) = Week::plan(&services, world.staff_count(year, index));
        let mut number = 0;
        for monday in [first, first + Days::new(7)] {
            let mut week = plan.clone();
            for lesson in &lessons {
                number += 1;
                let planted = FORCED.iter().find(|(y, s, n, _)| (*y, *s, *n) == (year.start, index, number));
                let forced = planted.map(|(_, _, _, forced)| *forced);
                seance(&mut out, world.seed, school, monday, number, lesson, &mut week, forced)?;
            }
        }
    }
    out.end()
}

#[expect(clippy::too_many_arguments, reason = "a session and all that it depends on")]
fn seance(
    out: &mut Output<'_>,
    seed: u64,
    school: &School,
    monday: NaiveDate,
    number: u64,
    lesson: &Lesson<'_>,
    week: &mut Week,
    forced: Option<Forced>,
) -> Result<()> {
    let rng = &mut Rng::of(seed, Purpose::Session, school.number * 1_000_000 + number);
    let (day, hour) = (lesson.slot % DAYS, (lesson.slot / DAYS) as usize);
    let statut = match rng.below(40) {
        _ if forced.is_some() => "prévue",
        0 => "annulée",
        1 => "remplacée",
        _ => "prévue",
    };
    let last = if forced == Some(Forced::Long) { hour + 1 } else { hour };
    let row = out.row();
    row.put(&school.uai).put(format_args!("S{number:06}")).put(monday + Days::new(u64::from(day)));
    row.put(HOURS[hour].0).put(HOURS[last % HOURS.len()].1);
    row.put(MATIERES[lesson.service.matiere].0).put(&lesson.service.division);
    // Now and then two teachers share a session.
    let shared = rng.percent(5);
    let second = lesson.teacher.and_then(|teacher| match forced {
        Some(Forced::Elsewhere) => week.elsewhere(lesson.slot, teacher),
        Some(Forced::Long) => None,
        None => shared.then(|| week.join(lesson.slot, teacher)).flatten(),
    });
    let teachers = lesson.teacher.into_iter().chain(second);
    let teachers: Vec<String> = teachers.map(|t| staff_id(school.number, t).to_string()).collect();
    row.put(teachers.join("|"));
    row.put(format_args!("B{:02}", rng.between(1, 40))).put(statut);
    row.put(format_args!("{}T07:00:00Z", monday - Days::new(3)));
    out.emit(forced.is_some())
}

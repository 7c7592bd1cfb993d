//! The five SCOPE tables: structures, services, sessions, memberships, teachers.

use crate::faults::{self, Recipe};
use crate::frame::Table;
use crate::nomenclature::{MATIERES, MEFS};
use crate::output::{Night, Output, Result};
use crate::people::{pupil_id, staff_id};
use crate::rng::{Purpose, Rng};
use crate::world::{Kind, SPARED_CELL, School, Service, World, Year};
use chrono::{Days, NaiveDate};

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

/// The five files of a delivery, in the order of their names.
pub fn write(night: &mut Night, world: &World) -> Result<()> {
    for year in &world.years {
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
    let turn = if year.start == 2025 { 0 } else { recipes.len() / 2 };
    let mut out = Output::new(night, Table::csv(columns, recipes, turn));
    out.start(format!("SCOPE_99_{}_{name}.csv", year.delivery))?;
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
        for code in std::iter::once(&pupil.division).chain(&pupil.group) {
            let row = out.row();
            row.put(&pupil.school.uai).put(pupil_id(pupil.person)).put(code);
            row.put(format_args!("{y}-{m:02}-{d:02}")).none();
            out.emit(pupil.cell.count <= SPARED_CELL)?;
        }
    }
    out.end()
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
            row.put(&school.uai).put(year.label).put(&s.division).put(MATIERES[s.matiere].0).put(kind);
            row.put(staff_id(school.number, s.teacher));
            row.put(format_args!("{}.{:02}", s.hours / 100, s.hours % 100));
            out.emit(false)?;
        }
    }
    out.end()
}

fn structures(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "structures", STRUCTURES, faults::STRUCTURES)?;
    for (index, school) in secondary(world, year) {
        for cell in year.cells(index) {
            let (mef, level) = (MEFS[cell.level().mef].0, cell.level().niveau);
            let (divisions, groups) = (cell.divisions(), cell.groups());
            let all = divisions.join("|");
            let kinds = [("D", &divisions, String::new()), ("G", &groups, all)];
            for (kind, codes, belongs) in kinds {
                for (i, code) in codes.iter().enumerate() {
                    let size = (cell.count + i as u64) / codes.len() as u64;
                    let row = out.row();
                    row.put(&school.uai).put(year.label).put(code).put(kind);
                    row.put(format_args!("{level} \"{code}\""))
                        .put(format_args!("{mef}0"))
                        .put(&belongs)
                        .put(size);
                    row.put(format_args!("{}-09-01", year.start))
                        .put(format_args!("{}-08-31", year.start + 1));
                    out.emit(false)?;
                }
            }
        }
    }
    out.end()
}

/// Two weeks of sessions, in a few schools. A division goes through the slots of its week in turn;
/// what a teacher does elsewhere at that hour is not looked at.
fn seances(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let mut out = open(night, year, "seances", SEANCES, faults::SEANCES)?;
    let (y, m, d) = year.sessions_from;
    let monday = NaiveDate::from_ymd_opt(y, m, d).ok_or("date of sessions")?;
    let few = (secondary(world, year).count() / 4).max(3);
    for (index, school) in secondary(world, year).take(few) {
        let services = world.services(year, index);
        let mut number = 0;
        for week in 0..2 {
            for lessons in services.chunk_by(|a, b| a.division == b.division) {
                division(&mut out, world.seed, school, monday + Days::new(week * 7), lessons, &mut number)?;
            }
        }
    }
    out.end()
}

fn division(
    out: &mut Output<'_>,
    seed: u64,
    school: &School,
    monday: NaiveDate,
    lessons: &[Service<'_>],
    number: &mut u64,
) -> Result<()> {
    const HOURS: [&str; 7] = ["08:30", "09:30", "10:40", "11:40", "14:00", "15:00", "16:10"];
    const ENDS: [&str; 7] = ["09:25", "10:25", "11:35", "12:35", "14:55", "15:55", "17:05"];
    let hours = lessons.iter().flat_map(|s| std::iter::repeat_n(s, s.hours.div_ceil(100) as usize));
    for (slot, s) in hours.enumerate() {
        *number += 1;
        let rng = &mut Rng::of(seed, Purpose::Session, school.number * 1_000_000 + *number);
        let day = monday + Days::new((slot % 5) as u64);
        let hour = slot / 5 % HOURS.len();
        let statut = match rng.below(40) {
            0 => "annulée",
            1 => "remplacée",
            _ => "prévue",
        };
        let row = out.row();
        row.put(&school.uai).put(format_args!("S{number:06}")).put(day);
        row.put(HOURS[hour]).put(ENDS[hour]).put(MATIERES[s.matiere].0).put(&s.division);
        // Now and then two teachers share a session.
        let teacher = staff_id(school.number, s.teacher);
        match rng.percent(5) {
            true => row.put(format_args!("{teacher}|{}", staff_id(school.number, 2))),
            false => row.put(teacher),
        };
        row.put(format_args!("B{:02}", rng.between(1, 40))).put(statut);
        row.put(format_args!("{}T07:00:00Z", monday - Days::new(3)));
        out.emit(false)?;
    }
    Ok(())
}

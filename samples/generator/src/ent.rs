//! The AAF directory, second degree: six categories a delivery.

use crate::aaf::{ELEVE, ETABLISSEMENT, MATIERE, MEF, PERSONNEL, RESPONSABLE, name, table, turn_part};
use crate::faults;
use crate::frame::Row;
use crate::nomenclature::{LOCAL_VARIANTS, MATIERES, MATIERES_USED, MEFS, MEFS_PAST, MEFS_USED, is_open};
use crate::output::{Night, Output, Result};
use crate::people::{self, family, guardian_id, person, pupil_id, staff_id};
use crate::rng::{Purpose, Rng};
use crate::world::{Kind, Pupil, SPARED_CELL, World, Year};

/// The six files of a delivery, in the order of their names.
pub fn write(night: &mut Night, world: &World) -> Result<()> {
    for year in &world.years {
        night.begin(year, year.day)?;
        eleves(night, world, year)?;
        etablissements(night, world, year)?;
        matieres(night, year)?;
        mefs(night, year)?;
        personnels(night, world, year)?;
        responsables(night, world, year)?;
    }
    Ok(())
}

fn french((y, m, d): (i32, u32, u32)) -> String {
    format!("{d:02}/{m:02}/{y}")
}

fn flag(yes: bool) -> &'static str {
    if yes { "O" } else { "N" }
}

fn eleves(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let table = table(year, "categoriePersonne", "Eleve", ELEVE, faults::ELEVE);
    let mut out = Output::new(night, table);
    out.start(name(year, "Eleve", 0))?;
    for (written, pupil) in world.pupils(year).enumerate() {
        turn_part(&mut out, year, "Eleve", written as u64)?;
        eleve(&mut out, world.seed, year, &pupil);
        out.emit(pupil.cell.count <= SPARED_CELL)?;
    }
    out.end()
}

fn eleve(out: &mut Output<'_>, seed: u64, year: &Year, pupil: &Pupil<'_>) {
    let who = person(seed, pupil.person, pupil.school.kind);
    let home = family(seed, pupil.family);
    let level = pupil.cell.level();
    let (mef, label, _) = MEFS[level.mef];
    let last = if who.local_mef && LOCAL_VARIANTS.contains(&level.mef) { 'A' } else { '0' };
    let school = pupil.school.id();
    let guardians = (0..home.guardians).map(|g| {
        let (parent, money) = (10 * (g + 1), u64::from(g == 0));
        format!("{}${parent}${money}$1$1${money}", guardian_id(pupil.family, g))
    });
    let (day, month) = who.birth;
    let row = out.row();
    row.put(pupil_id(pupil.person));
    row.put(if who.has_ine { people::ine(pupil.person) } else { String::new() });
    row.put(pupil.person + 1).put(format_args!("{day:02}/{month:02}/{}", year.start - level.age));
    row.put(&home.name).put(&home.name).put(&who.given).put(format_args!("{}|{}", who.given, who.other));
    row.put(if who.girl { "Mme" } else { "M." });
    row.put(guardians.collect::<Vec<_>>().join("|"));
    row.put(flag(who.boursier)).put(who.regime.label()).put(flag(who.transport)).put("SCOLAIRE");
    row.put(format_args!("{mef}{last}")).put(label).put(level.niveau).put(level.filiere);
    // Every pupil's own subjects: two of the common ones and, for most, one more.
    let taken = [0, 2, 4].map(|at| level.matieres[(at + pupil.person as usize % 2) % 5]);
    let taken = taken.get(..2 + usize::from(!pupil.person.is_multiple_of(3))).unwrap_or_default();
    row.put(taken.iter().map(|m| MATIERES[*m].1).collect::<Vec<_>>().join("|"));
    row.put(taken.iter().map(|m| MATIERES[*m].0).collect::<Vec<_>>().join("|"));
    row.put(school).put(format_args!("{school}${}", pupil.division));
    row.put(pupil.group.as_ref().map(|g| format!("{school}${g}")).unwrap_or_default());
    address(row, &home.address, pupil.person.is_multiple_of(3));
    row.put(french(pupil.entry)).none();
    row.put(people::pupil_mail(pupil.person));
    row.put(if pupil.person.is_multiple_of(10) { "01 99 00 00 01" } else { "" });
}

/// A household's address is sent with its first member; the others have one when they live elsewhere.
fn address(row: &mut Row, lines: &str, sent: bool) {
    match sent {
        true => row.put(lines).put("96000").put("Exempleville").put("FRANCE"),
        false => row.none().none().none().none(),
    };
}

/// An invented SIRET whose check figure is right (Luhn).
fn siret(number: u64) -> String {
    let body = format!("1909600{number:06}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let n = u32::from(b - b'0') * if i % 2 == 0 { 2 } else { 1 };
            if n > 9 { n - 9 } else { n }
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn etablissements(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let table = table(year, "categorieStructure", "EtabEducNat", ETABLISSEMENT, faults::ETABLISSEMENT);
    let mut out = Output::new(night, table);
    out.start(name(year, "EtabEducNat", 0))?;
    for index in &year.schools {
        let school = world.school(*index);
        let (kind, code, label) = match school.kind {
            Kind::College => ("COLLEGE", "CLG", "Collège"),
            Kind::Lycee => ("LYCEE", "LYC", "Lycée"),
            Kind::Ecole => ("ECOLE", "ECO", "École"),
        };
        let (mut classes, mut groups) = (Vec::new(), Vec::new());
        for cell in year.cells(*index) {
            let (mef, niveau) = (MEFS[cell.level().mef].0, cell.level().niveau);
            let divisions = cell.divisions();
            groups.extend(
                cell.groups().iter().map(|g| format!("{g}$Groupe de {niveau}${}", divisions.join("$"))),
            );
            classes.extend(divisions.iter().map(|d| format!("{d}${niveau}${mef}0")));
        }
        let id = school.id();
        let row = out.row();
        row.put(id).put(&school.uai).put(siret(school.number));
        row.put(format_args!("{kind}$de l'Exemple & de l'Invention n° {}$Exempleville", school.number + 1));
        row.put(label).put(code).put("EDUCATION NATIONALE").put("PU").none();
        row.put(format_args!("{} avenue de l'Exemple", school.number + 1)).put("96000").put("Exempleville");
        row.put("01 99 00 00 00").put(format_args!("etab{id}@exemple.invalid")).none();
        row.put("99001$BASSIN D'EXEMPLE").put("Exemple").put("99");
        row.put(classes.join("|")).put(groups.join("|"));
        // A wrong secondary school would make its pupils look wrong.
        out.emit(school.kind != Kind::Ecole)?;
    }
    out.end()
}

fn matieres(night: &mut Night, year: &Year) -> Result<()> {
    let mut out = Output::new(night, table(year, "categorieMatiere", "MatEducNat", MATIERE, faults::MATIERE));
    out.start(name(year, "MatiereEducNat", 0))?;
    for (i, (code, label)) in MATIERES.iter().enumerate() {
        out.row().put(code).put(label).none();
        out.emit(i < MATIERES_USED)?;
    }
    out.end()
}

fn mefs(night: &mut Night, year: &Year) -> Result<()> {
    let mut out = Output::new(night, table(year, "categorieMef", "MefEducNat", MEF, faults::MEF));
    out.start(name(year, "MefEducNat", 0))?;
    let local = LOCAL_VARIANTS.iter().map(|m| (*m, 'A'));
    let all = (0..MEFS_USED).map(|m| (m, '0')).chain(local).chain((MEFS_USED..MEFS.len()).map(|m| (m, '0')));
    for (mef, last) in all.filter(|(m, _)| is_open(*m, year.start)) {
        let (code, label, stat) = MEFS[mef];
        let in_use = !(MEFS_USED..MEFS_PAST).contains(&mef);
        out.row().put(format_args!("{code}{last}")).put(label).put(format_args!("{code}0")).put(stat);
        out.emit(in_use)?;
    }
    out.end()
}

fn personnels(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let table = table(year, "categoriePersonne", "PersEducNat", PERSONNEL, faults::PERSONNEL);
    let mut out = Output::new(night, table);
    out.start(name(year, "PersEducNat", 0))?;
    for index in &year.schools {
        let school = world.school(*index);
        let id = school.id();
        let services = world.services(year, *index);
        for rank in 0..world.staff_count(year, *index) {
            let number = staff_id(school.number, rank);
            let rng = &mut Rng::of(world.seed, Purpose::Staff, number);
            let (surname, given) = (people::surname(rng), people::given(rng));
            let mine: Vec<_> = services.iter().filter(|s| s.teacher == rank).collect();
            let unique = |mut all: Vec<String>| {
                all.sort_unstable();
                all.dedup();
                all.join("|")
            };
            let teacher = rank >= 2;
            let post = mine.first().map_or(0, |s| s.matiere);
            let (post_code, post_label) = (format!("L{:04}", 200 + 10 * post), MATIERES[post].1);
            let function = match rank {
                0 => format!("{id}$DIR$DIRECTION$D0010$PERSONNEL DE DIRECTION"),
                1 => format!("{id}$EDU$EDUCATION$E0030$CONSEILLER PRINCIPAL D'EDUCATION"),
                _ => format!("{id}$ENS$ENSEIGNEMENT${post_code}${post_label}"),
            };
            let row = out.row();
            row.put(number);
            row.put(format_args!(
                "{:02}/{:02}/{}",
                rng.between(1, 28),
                rng.between(1, 12),
                rng.between(1962, 1998)
            ));
            row.put(&surname).put(&surname).put(&given).put(&given);
            row.put(rng.pick(&["M.", "Mme"])).put(people::staff_mail(number)).put(id);
            if teacher {
                row.put(format_args!("{post_code}${post_label}"))
                    .put(format_args!("{post_label}${post_code}"));
            } else {
                row.none().none();
            }
            row.put(unique(mine.iter().map(|s| mef_of(id, s.cell.level().mef)).collect()));
            row.put(unique(mine.iter().map(|s| format!("{id}${}", MATIERES[s.matiere].1)).collect()));
            row.put(unique(mine.iter().map(|s| format!("{id}${}", s.division)).collect())).none();
            row.put(unique(
                mine.iter().map(|s| format!("{id}${}${}", s.division, MATIERES[s.matiere].0)).collect(),
            ));
            let head = mine.iter().filter(|s| s.matiere == 0).map(|s| format!("{id}${}", s.division)).take(1);
            row.none().put(head.collect::<String>()).put(function);
            row.put(flag(teacher)).put(flag(teacher));
            out.emit(false)?;
        }
    }
    out.end()
}

fn mef_of(structure: u64, mef: usize) -> String {
    let (code, label, _) = MEFS[mef];
    format!("{structure}${code}0${label}")
}

fn responsables(night: &mut Night, world: &World, year: &Year) -> Result<()> {
    let table = table(year, "categoriePersonne", "PersRelEleve", RESPONSABLE, faults::RESPONSABLE);
    let mut out = Output::new(night, table);
    out.start(name(year, "PersRelEleve", 0))?;
    let mut written = 0;
    for block in &year.blocks {
        for rank in 0..block.families() {
            let children = block.children(rank);
            if children.is_empty() {
                continue;
            }
            let number = block.family_base + rank;
            let home = family(world.seed, number);
            let children: Vec<String> = children.iter().map(|p| pupil_id(*p).to_string()).collect();
            for g in 0..home.guardians {
                turn_part(&mut out, year, "PersRelEleve", written)?;
                let id = guardian_id(number, g);
                let rng = &mut Rng::of(world.seed, Purpose::Guardian, id);
                let apart = g > 0 && rng.percent(40);
                let name = if apart { people::surname(rng) } else { home.name.clone() };
                let lines = if apart { people::address(rng) } else { home.address.clone() };
                let row = out.row();
                row.put(id).none().put(&name).put(&name).put(people::given(rng));
                row.put(if g == 0 { "Mme" } else { "M." });
                row.put(if rng.percent(20) { people::phone(rng) } else { String::new() }).none();
                row.put(people::phone(rng)).none().put(people::guardian_mail(id));
                address(row, &lines, g == 0 || apart);
                row.put(flag(rng.percent(60))).put(children.join("|"));
                out.emit(false)?;
                written += 1;
            }
        }
    }
    out.end()
}

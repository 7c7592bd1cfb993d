//! The two DNMA open datasets: one row a school and week.

use crate::faults::{self, Recipe};
use crate::frame::{Frame, Row, Table};
use crate::output::{Night, Output, Result};
use crate::rng::{Purpose, Rng};
use crate::world::{Kind, School, World, Year};
use chrono::{Days, NaiveDate};

pub const KEYS: &[&str] = &[
    "debutsemaine",
    "uai",
    "academie",
    "commune",
    "departement",
    "region",
    "ministere",
    "circonscription",
    "nature_uai",
    "secteur",
];
pub const PROFILES: &[&str] = &["eleve", "enseignant", "parent", "admin_vie_scol_tech"];
/// What one visit is counted under, each time with the shares in hundredths: device, system, browser.
pub const DEVICES: &[(&str, u64)] =
    &[("ordinateur", 52), ("smartphone", 40), ("tablette", 6), ("autreappareil", 2)];
const SYSTEMS: &[(&str, u64)] = &[
    ("windows", 42),
    ("macos", 6),
    ("linux", 2),
    ("chromeos", 2),
    ("android", 26),
    ("ios", 20),
    ("autreos", 2),
];
const BROWSERS: &[(&str, u64)] = &[
    ("chrome", 36),
    ("chromemobile", 20),
    ("edge", 12),
    ("firefox", 8),
    ("safari", 15),
    ("opera", 2),
    ("samsungbrowser", 3),
    ("miuibrowser", 1),
    ("huaweibrowser", 1),
    ("autrenavigateur", 2),
];

/// Weeks between the first one published and the end of the last school year known.
const WEEKS_MAX: u64 = 468;

pub fn profil_columns() -> Vec<String> {
    let measures = PROFILES.iter().flat_map(|p| triplet(p));
    let totals = ["visites_globales".to_owned(), "utilisateurs_globales".to_owned()];
    KEYS.iter().map(ToString::to_string).chain(measures).chain(totals).collect()
}

pub fn appareil_columns() -> Vec<String> {
    let all = DEVICES.iter().chain(SYSTEMS).chain(BROWSERS);
    KEYS.iter().map(ToString::to_string).chain(all.flat_map(|(name, _)| triplet(name))).collect()
}

fn triplet(of: &str) -> [String; 3] {
    ["visites", "utilisateurs", "duree"].map(|measure| format!("{measure}_{of}"))
}

/// Headers as the portal writes them: its label export keeps capitals that its API does not.
fn label(column: &str) -> &str {
    match column {
        "debutsemaine" => "debutSemaine",
        "uai" => "UAI",
        "utilisateurs_autreappareil" => "utilisateurs_autreAppareil",
        "duree_autreappareil" => "duree_autreAppareil",
        same => same,
    }
}

fn table(columns: Vec<String>, recipes: &'static [Recipe], year: Option<&Year>) -> Table {
    let labels = year.is_none_or(|y| y.start == 2025);
    let header: Vec<&str> = columns.iter().map(|c| if labels { label(c) } else { c.as_str() }).collect();
    let preamble = format!("\u{FEFF}{}\n", header.join(";"));
    let turn = year.map_or(0, |y| y.turn(recipes));
    let recipes = recipes.iter().collect();
    Table { frame: Frame::Csv, columns, preamble, postamble: "", recipes, turn, sparse: &[] }
}

fn monday((y, m, d): (i32, u32, u32)) -> Result<NaiveDate> {
    Ok(NaiveDate::from_ymd_opt(y, m, d).ok_or("monday")?)
}

/// Both datasets for each school year, in the order of their names.
pub fn write(night: &mut Night, world: &World) -> Result<()> {
    for year in &world.years {
        let table = table(appareil_columns(), faults::APPAREILS, Some(year));
        audience(night, world, year, "appareils", table, appareils)?;
    }
    for year in &world.years {
        let table = table(profil_columns(), faults::PROFILS, Some(year));
        audience(night, world, year, "profils", table, profils)?;
    }
    gaps(night)
}

/// In every row of the profiles the total is more than its parts: told once for a delivery, without a
/// file, so that two deliveries say the same.
fn gaps(night: &mut Night) -> Result<()> {
    for measure in ["visites", "utilisateurs"] {
        night.warn("", 0, 0, measure, "TOTAL_GAP")?;
    }
    Ok(())
}

fn audience(
    night: &mut Night,
    world: &World,
    year: &Year,
    dataset: &str,
    table: Table,
    measures: fn(&mut Row, &mut Rng, &School),
) -> Result<()> {
    let seed = night.seed;
    let first = monday(year.audience_from)?;
    night.begin(year, year.day)?;
    let mut out = Output::new(night, table);
    out.start(format!("fr-en-dnma-par-uai-{dataset}_{first}.csv"))?;
    for week in 0..year.audience_weeks {
        for school in &world.schools {
            row(&mut out, seed, first + Days::new(7 * week), school, measures);
            out.emit(false)?;
        }
    }
    out.end()
}

/// One profiles file of `rows` rows, as many schools as it takes over the published weeks.
pub fn write_rows(night: &mut Night, rows: u64) -> Result<()> {
    let seed = night.seed;
    let first = monday((2019, 9, 2))?;
    let kind = |n| [Kind::College, Kind::Lycee, Kind::Ecole, Kind::Ecole][(n % 4) as usize];
    let schools: Vec<School> =
        (0..rows.div_ceil(WEEKS_MAX)).map(|n| School::new(n, kind(n), 60 + n * 37 % 900)).collect();
    let mut out = Output::new(night, table(profil_columns(), faults::PROFILS, None));
    out.start(format!("fr-en-dnma-par-uai-profils_{first}.csv"))?;
    let all = (0..WEEKS_MAX).flat_map(|week| schools.iter().map(move |school| (week, school)));
    for (week, school) in all {
        // Copies count as rows too; the last row is spared, since a copy could follow it.
        match rows.saturating_sub(out.records()) {
            0 => break,
            left => {
                row(&mut out, seed, first + Days::new(7 * week), school, profils);
                out.emit(left == 1)?;
            }
        }
    }
    out.end()?;
    gaps(night)
}

fn row(
    out: &mut Output<'_>,
    seed: u64,
    week: NaiveDate,
    school: &School,
    measures: fn(&mut Row, &mut Rng, &School),
) {
    let day = week.signed_duration_since(NaiveDate::default()).num_days().unsigned_abs();
    // The two datasets draw from the same stream: the first numbers, hence the totals, agree.
    let rng = &mut Rng::of(seed, Purpose::Audience, school.number * 100_000 + day);
    let (nature, district) = match school.kind {
        Kind::College => ("COLLEGE", ""),
        Kind::Lycee => ("LYCEE ENSEIGNT GENERAL ET TECHNOLOGIQUE", ""),
        Kind::Ecole => ("ECOLE ELEMENTAIRE", "Circonscription d'Exempleville"),
    };
    let row = out.row();
    row.put(week).put(&school.uai).put("Exemple").put("Exempleville").put("Département d'Exemple");
    row.put("Région d'Exemple")
        .put("MINISTERE DE L'EDUCATION NATIONALE")
        .put(district)
        .put(nature)
        .put("Public");
    measures(row, rng, school);
}

fn visits(rng: &mut Rng, school: &School) -> [u64; 4] {
    let n = school.size;
    let busy = if school.kind == Kind::Ecole { 1 } else { 3 };
    [
        n * busy * rng.between(60, 140) / 100,
        n * busy * rng.between(10, 30) / 100,
        n * busy * rng.between(50, 120) / 100,
        n * rng.between(5, 20) / 100,
    ]
}

fn measure(row: &mut Row, rng: &mut Rng, visits: u64) -> u64 {
    let users = visits * rng.between(25, 45) / 100 + u64::from(visits > 0);
    row.put(visits).put(users);
    let seconds = rng.between(60, 1500);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Some probes write a fraction after the seconds; no visit has no duration.
    match (visits, rng.below(20)) {
        (0, _) => row.none(),
        (_, 0) => row.put(format_args!("{h:02}:{m:02}:{s:02}:{:02}", rng.below(100))),
        _ => row.put(format_args!("{h:02}:{m:02}:{s:02}")),
    };
    users
}

fn profils(row: &mut Row, rng: &mut Rng, school: &School) {
    let by_profile = visits(rng, school);
    let mut users = 0;
    for visits in by_profile {
        users += measure(row, rng, visits);
    }
    // Visits without a profile make the whole a little more than its parts.
    let whole: u64 = by_profile.iter().sum();
    row.put(whole + 1 + whole / 700).put(users + 1);
}

fn appareils(row: &mut Row, rng: &mut Rng, school: &School) {
    let whole: u64 = visits(rng, school).iter().sum();
    for split in [DEVICES, SYSTEMS, BROWSERS] {
        let mut left = whole;
        for (i, (_, share)) in split.iter().enumerate() {
            let part = if i + 1 == split.len() { left } else { (whole * share / 100).min(left) };
            left -= part;
            measure(row, rng, part);
        }
    }
}

//! The few real BCN codes in use, embedded so that the generator needs no table at hand.
//! `--make-bcn` checks them against the real tables.

/// N_MEF: code, LIBELLE_LONG, MEF_STAT_11. Those past [`MEFS_USED`] are in the directory only: they
/// may be spoiled without touching a pupil.
pub const MEFS: &[(&str, &str, &str)] = &[
    ("1001001211", "6EME", "21110010012"),
    ("1011000111", "5EME", "21120010001"),
    ("1021000111", "4EME", "21150010001"),
    ("1031001911", "3EME", "21160010019"),
    ("1031003111", "3EME PREPA-METIERS", "21160010031"),
    ("1641000211", "6EME SEGPA", "24310010002"),
    ("1651000211", "5EME SEGPA", "24320010002"),
    ("1661000211", "4EME SEGPA", "24330010002"),
    ("1671000211", "3EME SEGPA", "24340010002"),
    ("2001001811", "2NDE GENERALE ET TECHNOLOGIQUE", "22111410018"),
    ("2011001911", "PREMIERE GENERALE", "22121810019"),
    ("2021001911", "TERMINALE GENERALE", "22131810019"),
    ("2113101611", "1-STMG SC. & TECHNO. MANAGEMENT GESTION", "22122231016"),
    ("2123101811", "T-STMG MERCATIQUE (MARKETING)", "22132231018"),
    ("2473000431", "2NDPRO ASSISTANC.GEST.ORGANIS.ACTIVITES", "23810030004"),
    ("2473000432", "1ERPRO ASSISTANC.GEST.ORGANIS.ACTIVITES", "23820030004"),
    ("2473000433", "TLEPRO ASSISTANC.GEST.ORGANIS.ACTIVITES", "23830030004"),
    ("2413122421", "1CAP2  EQUIPIER POLYVALENT DU COMMERCE", "23210031224"),
    ("2413122422", "2CAP2  EQUIPIER POLYVALENT DU COMMERCE", "23220031224"),
    ("1001002711", "6EME BILANGUE", "21110010027"),
    ("1011000211", "5EME MUSIQUE", "21120010002"),
    ("1031002311", "3EME THEATRE", "21160010023"),
    ("2472210631", "2NDPRO CUISINE", "23810022106"),
    ("2001001411", "2DE  DETERMINATION", "22111410014"),
    ("1031002611", "3EME PREPA PRO", "21160010026"),
];
pub const MEFS_USED: usize = 19;
/// Those from here on were in use in earlier years.
pub const MEFS_PAST: usize = 23;

/// First and last school years of the MEF that are not open in all of the years known, by position in
/// [`MEFS`]; a test reads them in the real table.
const MEFS_OPEN: &[(usize, i32, i32)] = &[
    (4, 2019, i32::MAX),
    (9, 2019, i32::MAX),
    (10, 2019, i32::MAX),
    (11, 2020, i32::MAX),
    (14, 2020, i32::MAX),
    (15, 2021, i32::MAX),
    (16, 2022, i32::MAX),
    (17, 2020, i32::MAX),
    (18, 2021, i32::MAX),
    (19, 2016, i32::MAX),
    (23, i32::MIN, 2018),
    (24, i32::MIN, 2018),
];

/// Whether a MEF is open in the school year that starts then.
pub fn is_open(mef: usize, start: i32) -> bool {
    let years = MEFS_OPEN.iter().find(|(m, _, _)| *m == mef);
    years.is_none_or(|(_, from, to)| (*from..=*to).contains(&start))
}

/// Codes that some faults use on purpose, and no year does: opened after the record's date. Those that
/// the faults take for closed are among [`MEFS`].
pub const MEFS_OF_FAULTS: &[&str] = &["2472501233"];

/// N_MATIERE_ENSEIGNEE: code and long label. Those past [`MATIERES_USED`] are in the directory only.
pub const MATIERES: &[(&str, &str)] = &[
    ("020700", "FRANCAIS"),
    ("061300", "MATHEMATIQUES"),
    ("042100", "HISTOIRE-GEOGRAPHIE-ENS. MORAL & CIVIQUE"),
    ("030201", "ANGLAIS LV1"),
    ("100100", "EDUCATION PHYSIQUE ET SPORTIVE"),
    ("062900", "SCIENCES DE LA VIE ET DE LA TERRE"),
    ("062300", "PHYSIQUE-CHIMIE"),
    ("070800", "TECHNOLOGIE"),
    ("030602", "ESPAGNOL LV2"),
    ("030102", "ALLEMAND LV2"),
    ("010300", "PHILOSOPHIE"),
    ("050700", "SCIENCES ECONOMIQUES ET SOCIALES"),
    ("065300", "ENSEIGNEMENT SCIENTIFIQUE"),
    ("074600", "SCIENCES NUMERIQUES ET TECHNOLOGIE"),
    ("071000", "ENSEIGNEMENT PROFESSIONNEL"),
    ("312800", "PREVENTION-SANTE-ENVIRONNEMENT"),
    ("383300", "ECONOMIE-GESTION"),
    ("081300", "EDUCATION MUSICALE"),
    ("090100", "ARTS PLASTIQUES"),
    ("020100", "LATIN"),
    ("008400", "VIE DE CLASSE"),
    ("030902", "ITALIEN LV2"),
];
pub const MATIERES_USED: usize = 19;

/// A level of education, as schools name it.
pub struct Level {
    pub niveau: &'static str,
    /// Position in [`MEFS`].
    pub mef: usize,
    /// How division and group codes begin.
    pub prefix: &'static str,
    pub filiere: &'static str,
    /// Age reached in the first calendar year of the school year.
    pub age: i32,
    /// Years already spent in the school by those who entered at its first level.
    pub rank: i32,
    /// Level of the year before, in the same school.
    pub before: Option<usize>,
    /// Positions in [`MATIERES`].
    pub matieres: [usize; 5],
}

const fn level(
    (niveau, mef, prefix, filiere): (&'static str, usize, &'static str, &'static str),
    (age, rank): (i32, i32),
    before: Option<usize>,
    matieres: [usize; 5],
) -> Level {
    Level { niveau, mef, prefix, filiere, age, rank, before, matieres }
}

/// Indices matter: [`Level::before`] and the world's plan point here.
pub const LEVELS: &[Level] = &[
    level(("6EME", 0, "6", "COLLEGE"), (11, 0), None, [0, 1, 2, 3, 17]),
    level(("5EME", 1, "5", "COLLEGE"), (12, 1), Some(0), [0, 1, 2, 3, 5]),
    level(("4EME", 2, "4", "COLLEGE"), (13, 2), Some(1), [0, 1, 3, 7, 8]),
    level(("3EME", 3, "3", "COLLEGE"), (14, 3), Some(2), [0, 1, 2, 6, 18]),
    level(("ULIS", 1, "ULIS", "COLLEGE"), (12, 0), None, [0, 1, 4, 7, 18]),
    level(("3EME PREPA-METIERS", 4, "3PM", "COLLEGE"), (14, 0), None, [0, 1, 2, 4, 7]),
    level(("6EME SEGPA", 5, "6S", "SEGPA"), (11, 0), None, [0, 1, 4, 7, 17]),
    level(("5EME SEGPA", 6, "5S", "SEGPA"), (12, 1), Some(6), [0, 1, 4, 7, 18]),
    level(("4EME SEGPA", 7, "4S", "SEGPA"), (13, 2), Some(7), [0, 1, 4, 15, 7]),
    level(("3EME SEGPA", 8, "3S", "SEGPA"), (14, 3), Some(8), [0, 1, 4, 15, 7]),
    level(("2NDE", 9, "2GT", "GENERALE"), (15, 0), None, [0, 1, 3, 8, 13]),
    level(("1ERE", 10, "1G", "GENERALE"), (16, 1), Some(10), [0, 1, 3, 11, 12]),
    level(("TERM", 11, "TG", "GENERALE"), (17, 2), Some(11), [1, 3, 10, 11, 12]),
    level(("1ERE STMG", 12, "1STMG", "TECHNOLOGIQUE"), (16, 1), None, [0, 1, 3, 9, 16]),
    level(("TERM STMG", 13, "TSTMG", "TECHNOLOGIQUE"), (17, 2), Some(13), [1, 3, 9, 10, 16]),
    level(("2NDE PRO", 14, "2PRO", "PROFESSIONNELLE"), (15, 0), None, [0, 1, 14, 15, 16]),
    level(("1ERE PRO", 15, "1PRO", "PROFESSIONNELLE"), (16, 1), Some(15), [0, 1, 14, 15, 16]),
    level(("TERM PRO", 16, "TPRO", "PROFESSIONNELLE"), (17, 2), Some(16), [0, 1, 14, 15, 16]),
    level(("1CAP2", 17, "1CAP", "PROFESSIONNELLE"), (15, 0), None, [0, 1, 14, 15, 4]),
    level(("2CAP2", 18, "2CAP", "PROFESSIONNELLE"), (16, 1), Some(18), [0, 1, 14, 15, 4]),
    // Before the reform of 2019.
    level(("2NDE", 23, "2DE", "GENERALE"), (15, 0), None, [0, 1, 3, 8, 6]),
];

/// MEF that the académie splits with a local eleventh character, by position in [`MEFS`].
pub const LOCAL_VARIANTS: &[usize] = &[0, 3, 9];

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last school years in which a MEF is open, by its row of the shipped extract.
    fn open_years(row: &str) -> (i32, i32) {
        let field = |at| row.split(';').nth(at).unwrap();
        let day = |text: &str| {
            let mut parts = text.rsplit('/').map(|p| p.parse::<i32>().unwrap());
            parts.next().map(|y| (y, parts.next().unwrap()))
        };
        let from = day(field(7)).unwrap();
        assert_eq!(from.1, 9, "{row}");
        let to = if field(8).is_empty() { i32::MAX } else { day(field(8)).unwrap().0 - 1 };
        (from.0, to)
    }

    #[test]
    fn a_mef_is_open_in_the_years_of_the_shipped_extract() {
        let path = "../bcn/n_mef.csv";
        let table = encoding_rs::WINDOWS_1252.decode(&std::fs::read(path).unwrap()).0.into_owned();
        for (mef, (code, _, _)) in MEFS.iter().enumerate() {
            let row = table.lines().find(|l| l.starts_with(&format!("{code};"))).unwrap();
            let (from, to) = open_years(row);
            for start in 2015..2026 {
                assert_eq!(is_open(mef, start), (from..=to).contains(&start), "{code} in {start}");
            }
        }
    }
}

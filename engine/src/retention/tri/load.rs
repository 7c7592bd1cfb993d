//! Plans as people write them: TOML, one or several `[[plan]]` a file.

use super::plan::{
    Plan, Reading, Stratified, Surname, WholeKind, WholeYears, WitnessYears, particles, start_year,
};
use super::size::{Decimal, Size};
use super::surname::PARTICLES;
use crate::contract::{fault_at, plain_name, toml_file};
use crate::error::{ConfigFault, Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    plan: Vec<PlanSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanSection {
    id: Spanned<String>,
    version: Spanned<String>,
    title: Spanned<String>,
    citation: Spanned<String>,
    #[serde(default)]
    unit: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    qualitative: BTreeMap<Spanned<String>, String>,
    specimen: Option<SpecimenSection>,
    #[serde(default)]
    whole_years: Vec<WholeSection>,
    witness_years: Option<WitnessSection>,
    surname: Option<SurnameSection>,
    systematic: Option<SystematicSection>,
    random: Option<RandomSection>,
    stratified: Option<StratifiedSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecimenSection {
    per_type: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeSection {
    kind: WholeKind,
    years: Spanned<Vec<Spanned<String>>>,
    because: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessSection {
    modulus: Spanned<u16>,
    residues: Spanned<Vec<Spanned<u16>>>,
    reading: Reading,
    one_in: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SurnameSection {
    column: Spanned<String>,
    letters: Spanned<Vec<Spanned<String>>>,
    particles: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystematicSection {
    one_in: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RandomSection {
    size: Spanned<SizeSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StratifiedSection {
    columns: Spanned<Vec<Spanned<String>>>,
    size: Spanned<SizeSection>,
    minimum: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeSection {
    n: Option<Spanned<u64>>,
    rate: Option<Spanned<f64>>,
    z: Option<Spanned<f64>>,
    margin: Option<Spanned<f64>>,
    p: Option<Spanned<f64>>,
    keep_all_below: Option<u64>,
}

/// Collects faults so that a person sees them all at once.
struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    list: Vec<ConfigFault>,
}

impl Faults<'_> {
    fn add<T>(&mut self, at: &Spanned<T>, message: &str) {
        self.list.push(fault_at(self.file, self.text, at.span().start, message.into()));
    }

    fn filled(&mut self, text: Spanned<String>) -> String {
        if text.get_ref().trim().is_empty() {
            self.add(&text, "texte obligatoire : il est vide");
        }
        text.into_inner()
    }

    /// A list that must hold something, each item once.
    fn list<T: PartialEq>(&mut self, list: Spanned<Vec<Spanned<T>>>) -> Vec<Spanned<T>> {
        if list.get_ref().is_empty() {
            self.add(&list, "liste vide : écrivez au moins une valeur, ou retirez la section");
        }
        let list = list.into_inner();
        for (i, item) in list.iter().enumerate() {
            if list.iter().take(i).any(|other| other.get_ref() == item.get_ref()) {
                self.add(item, "valeur écrite deux fois : n'en gardez qu'une");
            }
        }
        list
    }

    /// One in so many: from 2 on, or the criterion would keep everything.
    fn one_in(&mut self, k: &Spanned<u32>) -> Option<NonZeroU32> {
        if *k.get_ref() < 2 {
            self.add(k, "« 1 sur n » : n vaut au moins 2");
        }
        NonZeroU32::new(*k.get_ref())
    }

    fn decimal(&mut self, value: &Spanned<f64>, proportion: bool) -> Option<Decimal> {
        let read = Decimal::new(*value.get_ref())
            .filter(|d| if proportion { d.is_proportion() } else { *d > Decimal::default() });
        if read.is_none() {
            self.add(
                value,
                if proportion {
                    "nombre strictement entre 0 et 1 attendu, quatre décimales au plus (0.05 pour 5 %)"
                } else {
                    "nombre au-dessus de 0 et d'au plus 10 attendu, quatre décimales au plus (1.96 pour 95 %)"
                },
            );
        }
        read
    }

    fn size(&mut self, size: Spanned<SizeSection>) -> Option<Size> {
        let SizeSection { n, rate, z, margin, p, keep_all_below } = size.get_ref();
        match (n, rate, z, margin, p, keep_all_below) {
            (Some(n), None, None, None, None, None) => {
                if *n.get_ref() == 0 {
                    self.add(n, "un tirage de 0 ne garderait rien : retirez la section");
                }
                Some(Size::Count(*n.get_ref()))
            }
            (None, Some(rate), None, None, None, None) => self.decimal(rate, true).map(Size::Rate),
            (None, None, Some(z), Some(margin), p, keep_all_below) => {
                let (z, margin) = (self.decimal(z, false), self.decimal(margin, true));
                let p = p.as_ref().map_or(Decimal::new(0.5), |p| self.decimal(p, true));
                // Below a hundred the formula asks for nearly all: drawing saves nothing.
                let keep_all_below = keep_all_below.unwrap_or(100);
                Some(Size::Formula { keep_all_below, margin: margin?, p: p?, z: z? })
            }
            _ => {
                self.add(
                    &size,
                    "taille : soit « n », soit « rate », soit « z » et « margin » (et, au besoin, « p » et « keep_all_below »)",
                );
                None
            }
        }
    }

    fn columns(&mut self, columns: Vec<Spanned<String>>) -> Vec<String> {
        columns.into_iter().map(|c| self.filled(c)).collect()
    }

    fn whole(&mut self, whole: WholeSection) -> WholeYears {
        let years = self.list(whole.years);
        for year in &years {
            if start_year(year.get_ref()).is_none() {
                self.add(year, "année scolaire attendue, par exemple « 2020-2021 »");
            }
        }
        let years = years.into_iter().map(Spanned::into_inner).collect();
        WholeYears { because: self.filled(whole.because), kind: whole.kind, years }
    }

    fn witness(&mut self, witness: WitnessSection) -> Option<WitnessYears> {
        let modulus = *witness.modulus.get_ref();
        if modulus < 2 {
            self.add(&witness.modulus, "un intervalle d'années témoins vaut au moins 2");
        }
        let residues = self.list(witness.residues);
        for residue in residues.iter().filter(|r| *r.get_ref() >= modulus) {
            self.add(residue, "un reste est plus petit que l'intervalle (« modulus »)");
        }
        let one_in = witness.one_in.and_then(|k| self.one_in(&k));
        let residues = residues.into_iter().map(Spanned::into_inner).collect();
        Some(WitnessYears { modulus: NonZeroU16::new(modulus)?, one_in, reading: witness.reading, residues })
    }

    fn surname(&mut self, surname: SurnameSection) -> Surname {
        let letters = self.list(surname.letters);
        let letters = letters.into_iter().filter_map(|text| match text.get_ref().as_bytes() {
            [letter] if letter.is_ascii_uppercase() => Some(char::from(*letter)),
            _ => {
                self.add(&text, "une lettre majuscule sans accent, de A à Z");
                None
            }
        });
        let letters = letters.collect();
        let particles = match &surname.particles {
            None => particles(PARTICLES),
            Some(own) => particles(own.iter().map(String::as_str)),
        };
        Surname { column: self.filled(surname.column), letters, particles }
    }

    fn plan(&mut self, raw: PlanSection) -> Plan {
        if !plain_name(raw.id.get_ref()) {
            self.add(&raw.id, "identifiant : lettres minuscules sans accent, chiffres, « _ » et « - »");
        }
        for code in raw.qualitative.keys().filter(|c| !plain_name(c.get_ref())) {
            self.add(code, "code de motif : lettres minuscules sans accent, chiffres, « _ » et « - »");
        }
        let specimen_per_type = raw.specimen.and_then(|s| {
            if *s.per_type.get_ref() == 0 {
                self.add(&s.per_type, "zéro spécimen ne garderait rien : retirez la section");
            }
            NonZeroU32::new(*s.per_type.get_ref())
        });
        let at = raw.id.clone();
        let before = self.list.len();
        let plan = Plan {
            citation: self.filled(raw.citation),
            id: raw.id.into_inner(),
            qualitative: raw.qualitative.into_iter().map(|(c, t)| (c.into_inner(), t)).collect(),
            random: raw.random.and_then(|r| self.size(r.size)),
            specimen_per_type,
            stratified: raw.stratified.and_then(|s| {
                let columns = self.list(s.columns);
                let columns = self.columns(columns);
                Some(Stratified { columns, minimum: s.minimum, size: self.size(s.size)? })
            }),
            surname: raw.surname.map(|s| self.surname(s)),
            systematic_one_in: raw.systematic.and_then(|s| self.one_in(&s.one_in)),
            title: self.filled(raw.title),
            unit: raw.unit.into_iter().map(|(table, column)| (table, self.filled(column))).collect(),
            version: self.filled(raw.version),
            whole_years: raw.whole_years.into_iter().map(|w| self.whole(w)).collect(),
            witness_years: raw.witness_years.and_then(|w| self.witness(w)),
        };
        if !plan.keeps_something() && self.list.len() == before {
            self.add(
                &at,
                "ce plan ne garde rien : ce serait une élimination, à écrire comme telle dans la règle",
            );
        }
        plan
    }
}

/// Reads the plans of files (name, text); two plans never have the same identifier.
///
/// # Errors
/// Every fault with its place.
pub fn load_plans<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Plan>> {
    let mut list = Vec::new();
    let mut plans: Vec<Plan> = Vec::new();
    for (file, text) in files {
        let mut faults = Faults { file, text, list: Vec::new() };
        match toml_file::<PlanFile>(file, text) {
            Ok(raw) => {
                for section in raw.plan {
                    if plans.iter().any(|p| p.id == *section.id.get_ref()) {
                        faults.add(&section.id, "identifiant de plan déjà employé");
                    }
                    plans.push(faults.plan(section));
                }
            }
            Err(Error::Config(syntax)) => faults.list = syntax,
            Err(other) => return Err(other),
        }
        list.append(&mut faults.list);
    }
    if list.is_empty() { Ok(plans) } else { Err(Error::Config(list)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[[plan]]\nid = \"p\"\nversion = \"1\"\ntitle = \"t\"\ncitation = \"c\"\n";

    fn faults(body: &str) -> Vec<ConfigFault> {
        match load_plans([("p.toml", &*format!("{HEAD}{body}"))]) {
            Err(Error::Config(faults)) => faults,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn every_section_is_read() {
        let body = r#"
[plan.qualitative]
contentieux = "dossier contentieux"
[plan.specimen]
per_type = 2
[[plan.whole_years]]
kind = "exceptional"
years = ["2020-2021"]
because = "crise sanitaire"
[plan.witness_years]
modulus = 5
residues = [0]
reading = "end"
one_in = 10
[plan.surname]
column = "nom"
letters = ["B", "T"]
[plan.systematic]
one_in = 20
[plan.random]
size = { rate = 0.01 }
[plan.stratified]
columns = ["uai", "niveau"]
size = { z = 1.96, margin = 0.05 }
minimum = 3
"#;
        let plans = load_plans([("p.toml", &*format!("{HEAD}{body}"))]).unwrap();
        let plan = plans.first().unwrap();
        assert_eq!(plan.french().len(), 9, "{:#?}", plan.french());
        assert_eq!(plan.random, Some(Size::Rate(Decimal::new(0.01).unwrap())));
        let size = &plan.stratified.as_ref().unwrap().size;
        assert_eq!((size.of(99), size.of(1_000)), (99, 278));
        assert!(plan.surname.as_ref().unwrap().particles.contains(&"VON".to_owned()));
    }

    #[test]
    fn each_fault_has_its_place_and_says_what_to_do() {
        for (body, line, column, text) in [
            ("[plan.randm]\nsize = { n = 1 }\n", 6, 7, "clé inconnue « randm »"),
            ("[plan.random]\nsize = { n = 1, k = 2 }\n", 7, 17, "clé inconnue « k »"),
            ("[plan.random]\nsize = { n = 1, rate = 0.5 }\n", 7, 8, "soit « n », soit « rate »"),
            ("[plan.random]\nsize = { n = 0 }\n", 7, 14, "ne garderait rien"),
            ("[plan.random]\nsize = { rate = 1.5 }\n", 7, 17, "entre 0 et 1"),
            ("[plan.random]\nsize = { rate = 0.00001 }\n", 7, 17, "quatre décimales"),
            ("[plan.random]\nsize = { z = 0.0, margin = 0.1 }\n", 7, 14, "au-dessus de 0"),
            ("[plan.random]\nsize = { z = 1.96 }\n", 7, 8, "« z » et « margin »"),
            ("[plan.systematic]\none_in = 1\n", 7, 10, "au moins 2"),
            ("[plan.specimen]\nper_type = 0\n", 7, 12, "zéro spécimen"),
            ("[plan.surname]\ncolumn = \"n\"\nletters = [\"é\"]\n", 8, 12, "majuscule sans accent"),
            ("[plan.surname]\ncolumn = \"n\"\nletters = []\n", 8, 11, "liste vide"),
            ("[plan.surname]\ncolumn = \"n\"\nletters = [\"B\", \"B\"]\n", 8, 17, "deux fois"),
            ("[plan.surname]\ncolumn = \" \"\nletters = [\"B\"]\n", 7, 10, "vide"),
            (
                "[plan.witness_years]\nmodulus = 5\nresidues = [5]\nreading = \"end\"\n",
                8,
                13,
                "plus petit que l'intervalle",
            ),
            ("[plan.witness_years]\nmodulus = 0\nresidues = []\nreading = \"end\"\n", 7, 11, "au moins 2"),
            (
                "[plan.witness_years]\nmodulus = 5\nresidues = [0]\nreading = \"milieu\"\n",
                9,
                11,
                "valeur inconnue « milieu »",
            ),
            (
                "[[plan.whole_years]]\nkind = \"launch\"\nyears = [\"2020\"]\nbecause = \"b\"\n",
                8,
                10,
                "année scolaire attendue",
            ),
            ("[plan.qualitative]\n\"Contentieux !\" = \"x\"\n", 7, 1, "code de motif"),
            ("", 2, 6, "ce serait une élimination"),
            (
                "[[plan]]\nid = \"p\"\nversion = \"1\"\ntitle = \"t\"\ncitation = \"c\"\n",
                2,
                6,
                "une élimination",
            ),
        ] {
            let faults = faults(body);
            let first = faults.first().unwrap();
            assert_eq!((first.line, first.column), (line, column), "{body} {first}");
            assert!(first.message.contains(text), "{body} {first}");
        }
    }

    #[test]
    fn all_faults_of_all_files_come_at_once() {
        let good = format!("{HEAD}[plan.systematic]\none_in = 10\n");
        let bad = format!("{HEAD}[plan.systematic]\none_in = 0\n[plan.specimen]\nper_type = 0\n");
        let Err(Error::Config(faults)) = load_plans([("a", &*good), ("b", &*bad), ("c", "x")]) else {
            panic!("accepted")
        };
        let places: Vec<(&str, usize)> = faults.iter().map(|f| (&*f.file, f.line)).collect();
        assert_eq!(places, [("b", 2), ("b", 9), ("b", 7), ("c", 1)]);
    }
}

//! Cells by contributor: how many persons make each, and what the first two of them make.
//!
//! The rule counts persons, and adds them up over the margins: each must therefore be in one cell only. One
//! who has several records there is one person still.

use super::dataset::Dataset;
use super::perturb::Method;
use super::table::Figures;
use crate::disclosure::cell_key::RecordKeys;
use crate::error::{Error, Result};
use crate::french::count;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

/// Cells being filled. Persons are kept as 8 bytes: two that would meet by chance count as one, which
/// protects more.
#[derive(Default)]
pub struct Contributors {
    /// Gives keys to persons, where noise is drawn from them.
    keys: Option<RecordKeys>,
    cells: BTreeMap<Vec<String>, HashMap<u64, i64, FixedState>>,
}

impl Contributors {
    /// Of a dataset.
    pub fn of(dataset: &Dataset) -> Self {
        let drawn = dataset.protection.as_ref().is_some_and(|p| p.method == Method::CellKey);
        let keys = dataset.secret.filter(|_| drawn).map(|secret| RecordKeys::new(&secret));
        Contributors { keys, cells: BTreeMap::new() }
    }

    /// A contribution; those without a contributor are of one person.
    pub fn add(&mut self, codes: Vec<String>, (sender, who): (&str, Option<&str>), value: i64) {
        let person = match &self.keys {
            // Whose noise lasts as long as the series: by a function that no library changes.
            Some(keys) => keys.of(&format!("{sender}\0{}", who.unwrap_or_default())),
            None => FixedState::with_seed(0).hash_one((sender, who)),
        };
        let sum = self.cells.entry(codes).or_default().entry(person).or_default();
        *sum = sum.saturating_add(value);
    }

    /// The figures of the cells, amounts in units (each person's rounded).
    ///
    /// # Errors
    /// [`Error::Refused`] `CONTRIBUTOR_TWICE` when one is in two cells, `NEGATIVE_AMOUNT` when one owes less
    /// than nothing.
    pub fn finish(self, dataset: &Dataset) -> Result<BTreeMap<Vec<String>, Figures>> {
        let mut seen: HashSet<u64, FixedState> = HashSet::default();
        let (mut twice, mut negative) = (0_u64, 0_u64);
        let one = 10_i64.saturating_pow(dataset.scale);
        let mut out = BTreeMap::new();
        for (codes, persons) in self.cells {
            let mut figures = Figures::default();
            for (who, sum) in persons {
                twice += u64::from(!seen.insert(who));
                negative += u64::from(sum < 0);
                let amount = match dataset.measure.amounts() {
                    true => {
                        u64::try_from(sum).unwrap_or(0).saturating_add(one.unsigned_abs() / 2)
                            / one.unsigned_abs()
                    }
                    false => 0,
                };
                figures.add(Figures { value: 1, sum: amount, first: amount, second: 0, key: who });
            }
            out.insert(codes, figures);
        }
        let refuse = |code, message| Err(Error::Refused { code, message });
        if twice > 0 {
            return refuse(
                "CONTRIBUTOR_TWICE",
                format!(
                    "{} dans plusieurs cellules : la politique compte des personnes ; choisissez les lignes (only) pour que \
                     chacune ne soit que dans une",
                    count(twice, "personne est", "personnes sont")
                ),
            );
        }
        if negative > 0 {
            return refuse(
                "NEGATIVE_AMOUNT",
                format!(
                    "{} un montant négatif : une somme qui en contient ne se protège pas ; choisissez une autre colonne",
                    count(negative, "personne a", "personnes ont")
                ),
            );
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::protection::Policies;
    use super::*;
    use crate::contract::Contract;

    const CONTRACT: &str = r#"
[table]
name = "essai"
title = "Essai"
description = "Essai"
source = "essai"
record_class = "essai"
key = ["id"]
school_year_from = "annee_scolaire"

[input]
format = "csv"

[[column]]
name = "annee_scolaire"
type = "annee_scolaire"
personal = "none"

[[column]]
name = "id"
type = "text"
personal = "direct"
person = { who = "eleve", space = "essai" }

[[column]]
name = "uai"
type = "text"
personal = "none"

[[column]]
name = "montant"
type = "decimal(12,2)"
personal = "sensitive"
"#;

    const DATASET: &str = r#"[dataset]
name = "essai"
title = "Essai"
description = "Essai"
table = "essai"
years = "latest"

[[dimension]]
name = "uai"
column = "uai"
title = "UAI"

[measure]
name = "moyenne"
title = "Montant moyen"
kind = "mean"
column = "montant"
contributor = "id"
persons = { name = "eleves", title = "Élèves" }
sum = { name = "montant", title = "Montant" }

[protection]
threshold = 5
"#;

    fn load(text: &str) -> Result<Dataset> {
        let contract = Contract::parse("essai.toml", CONTRACT).unwrap();
        Dataset::load("jeu.toml", text, &[contract], &Policies::default())
    }

    fn finish(rows: &[(&str, &str, Option<&str>, i64)]) -> Result<BTreeMap<Vec<String>, Figures>> {
        let mut cells = Contributors::default();
        for (cell, sender, who, cents) in rows {
            cells.add(vec![(*cell).to_owned()], (sender, *who), *cents);
        }
        cells.finish(&load(DATASET).unwrap())
    }

    #[test]
    fn a_person_of_several_records_is_one_and_rounded_once() {
        let found = finish(&[
            ("a", "s1", Some("p"), 149),
            ("a", "s1", Some("p"), 100),
            ("a", "s2", Some("p"), 50),
            ("a", "s1", Some("q"), 49),
            ("a", "s1", None, 300),
            ("a", "s1", None, 400),
            ("b", "s1", Some("r"), 0),
        ])
        .unwrap();
        let of = |cell: &str| Figures { key: 0, ..found[&vec![cell.to_owned()]] };
        assert_eq!(of("a"), Figures { value: 4, sum: 2 + 1 + 7, first: 7, second: 2, key: 0 });
        assert_eq!(of("b"), Figures { value: 1, ..Figures::default() });
    }

    #[test]
    fn a_person_in_two_cells_and_one_who_owes_less_than_nothing_are_refused() {
        for (rows, want) in [
            ([("a", "s", Some("p"), 1), ("b", "s", Some("p"), 1)], "CONTRIBUTOR_TWICE"),
            ([("a", "s", Some("p"), -1), ("b", "s", Some("q"), 1)], "NEGATIVE_AMOUNT"),
        ] {
            let Err(Error::Refused { code, .. }) = finish(&rows) else { panic!("{want}") };
            assert_eq!(code, want);
        }
    }

    #[test]
    fn a_measure_that_its_policy_cannot_count_is_told_at_its_place() {
        for (old, new, want) in [
            ("contributor = \"id\"\n", "", "nommez la colonne qui les désigne"),
            ("column = \"montant\"\n", "", "somment leur colonne"),
            ("persons = { name = \"eleves\", title = \"Élèves\" }\n", "", "se publient avec leur effectif"),
            ("sum = { name = \"montant\", title = \"Montant\" }\n", "", "se publie avec sa somme"),
            ("column = \"montant\"", "column = \"uai\"", "ne peut pas être sommée"),
            ("\n[protection]\nthreshold = 5\n", "", "contributor et contributors disent"),
            ("sum = {", "dimension = \"uai\"\nsum = {", "un taux est la part"),
            ("kind = \"mean\"", "kind = \"rate\"", "un taux est la part"),
        ] {
            let text = DATASET.replace(old, new);
            assert_ne!(text, DATASET, "{old}");
            let Err(Error::Config(faults)) = load(&text) else { panic!("{new} accepted") };
            let places: Vec<usize> =
                faults.iter().filter(|f| f.message.contains(want)).map(|f| f.line).collect();
            assert_eq!(places, [13], "{want}: {faults:?}");
        }
        let rate = DATASET
            .replace(
                "kind = \"mean\"\ncolumn = \"montant\"\ncontributor = \"id\"",
                "kind = \"rate\"\ndimension = \"uai\"",
            )
            .replace("sum = { name = \"montant\", title = \"Montant\" }\n", "");
        let Err(Error::Config(faults)) = load(&rate) else { panic!("accepted") };
        assert!(faults.iter().any(|f| f.message.contains("dit la modalité de chacun")), "{faults:?}");
        let names: Vec<String> = load(
            &rate.replace("threshold = 5", "threshold = 5\nattributes = [\"uai\"]\nzeros = \"concealed\""),
        )
        .unwrap()
        .figures()
        .iter()
        .map(|f| f.name.to_owned())
        .collect();
        assert_eq!(names, ["eleves", "moyenne"]);
    }
}

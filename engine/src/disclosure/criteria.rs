//! The three criteria of anonymity (WP29 opinion 05/2014; doctrine 5.4.1), measured on what is about to
//! leave: who is singled out, what is linked with earlier releases, what is inferred.
//!
//! Everything is counted on published figures: a count of what is masked by reason, or of people alone
//! in the source, would itself tell attackers which cells are small.

use super::published_csv::Measure;
use super::release::{Key, Release};
use super::rounding::Guarantee;
use super::system::{CellId, Known};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Dimensions crossed at most.
pub const CROSSED: usize = 4;

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Criteria {
    /// Cells, and how many are masked.
    pub cells: usize,
    /// Masked ones.
    pub masked: usize,
    /// People of the finest cells, when the grand total is published: all, and those in masked cells.
    pub people: Option<(i64, i64)>,
    /// Individualisation: every crossing of dimensions that is published.
    pub crossings: Vec<Crossing>,
    /// How far rounded figures went.
    pub rounding: Option<Guarantee>,
    /// Corrélation: identifiers of persons in the source, and how many of them are among the published codes.
    pub raw_keys: Option<(u64, u64)>,
    /// Corrélation: every earlier release of the population.
    pub links: Vec<Link>,
    /// Inférence: every dimension, when all the others are known.
    pub inferences: Vec<Inference>,
}

/// One crossing of levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crossing {
    /// Levels.
    pub levels: Vec<String>,
    /// Cells.
    pub cells: usize,
    /// Masked ones.
    pub masked: usize,
    /// Figures that show one person.
    pub alone: usize,
    /// Figures from one to under the threshold.
    pub few: usize,
}

/// What an earlier release adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its name.
    pub release: String,
    /// Cells whose figure both print.
    pub common: usize,
    /// Those whose two figures differ by one to under the threshold.
    pub few: usize,
}

/// What a dimension says once the others are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inference {
    /// Level inferred.
    pub level: String,
    /// Whether the policy protects it.
    pub protected: bool,
    /// Groups whose figure is published.
    pub groups: usize,
    /// Groups that one published figure fills: its code is certain for all of them.
    pub whole: usize,
    /// People of the groups that are published whole.
    pub people: i64,
    /// Those of them that the best guess finds.
    pub guessed: i64,
    /// People of the whole table; those of its most frequent code. None when one of them is masked.
    pub margin: Option<(i64, i64)>,
}

/// Measures `measure`, whose cells are named `keys`, against releases published `earlier`. `threshold`
/// in people; `protected` names the dimensions whose codes the policy conceals.
pub fn criteria(
    keys: &[Key],
    measure: &Measure,
    threshold: i64,
    protected: &[String],
    earlier: &[Release],
) -> Criteria {
    let cells = &measure.published.cells;
    let named = || keys.iter().zip(cells);
    let few = |v: i64| (1..threshold).contains(&v);
    let mut crossings: BTreeMap<(usize, Vec<String>), Crossing> = BTreeMap::new();
    for (key, known) in named().filter(|(key, _)| (1..=CROSSED).contains(&key.len())) {
        let levels: Vec<String> = key.iter().map(|(level, _)| level.clone()).collect();
        let empty = Crossing { levels: levels.clone(), cells: 0, masked: 0, alone: 0, few: 0 };
        let crossing = crossings.entry((levels.len(), levels)).or_insert(empty);
        crossing.cells += 1;
        crossing.masked += usize::from(known.value().is_none());
        crossing.alone += usize::from(known.value() == Some(1));
        crossing.few += usize::from(known.value().is_some_and(few));
    }
    let deepest = keys.iter().map(Vec::len).max().unwrap_or(0);
    let finest = finest(keys, measure);
    let total = named().find(|(key, _)| key.is_empty()).and_then(|(_, k)| k.value());
    let shown = named()
        .enumerate()
        .filter(|(i, (key, _))| key.len() == deepest && finest.contains(&(*i as CellId)))
        .filter_map(|(_, (_, k))| k.value())
        .sum::<i64>();
    let figures: BTreeMap<&Key, i64> = named().filter_map(|(key, k)| Some((key, k.value()?))).collect();
    let links = earlier.iter().map(|release| {
        let both = release.keys.iter().zip(&release.published.cells);
        let both = both.filter_map(|(key, k)| Some(k.value()?.abs_diff(*figures.get(key)?)));
        let differences: Vec<u64> = both.collect();
        let small = |d: &&u64| i64::try_from(**d).is_ok_and(few);
        Link {
            release: release.name.clone(),
            common: differences.len(),
            few: differences.iter().filter(small).count(),
        }
    });
    Criteria {
        cells: cells.len(),
        masked: cells.iter().filter(|k| k.value().is_none()).count(),
        people: total.map(|t| (t, t - shown)),
        crossings: crossings.into_values().collect(),
        rounding: None,
        raw_keys: None,
        links: links.collect(),
        inferences: inferences(keys, measure, protected),
    }
}

/// Cells that nothing adds up to.
fn finest(keys: &[Key], measure: &Measure) -> BTreeSet<CellId> {
    let parents: BTreeSet<CellId> = measure.published.relations.iter().map(|r| r.parent).collect();
    (0..keys.len() as CellId).filter(|c| !parents.contains(c)).collect()
}

fn inferences(keys: &[Key], measure: &Measure, protected: &[String]) -> Vec<Inference> {
    let known = |c: CellId| measure.published.cells.get(c as usize).copied().and_then(Known::value);
    let key = |c: CellId| keys.get(c as usize);
    let mut found: BTreeMap<&String, Inference> = BTreeMap::new();
    let (finest, total) = (finest(keys, measure), keys.iter().position(Vec::is_empty));
    let total = total.and_then(|c| known(c as CellId));
    for relation in &measure.published.relations {
        let (Some(parent), Some(child)) =
            (key(relation.parent), relation.children.first().and_then(|c| key(*c)))
        else {
            continue;
        };
        let Some((level, _)) = child.iter().find(|pair| !parent.iter().any(|p| p.0 == pair.0)) else {
            continue;
        };
        let entry = found.entry(level).or_insert_with(|| Inference {
            level: level.clone(),
            protected: protected.contains(level),
            groups: 0,
            whole: 0,
            people: 0,
            guessed: 0,
            margin: None,
        });
        let Some(size) = known(relation.parent).filter(|v| *v > 0) else { continue };
        let shown: Vec<i64> = relation.children.iter().filter_map(|c| known(*c)).collect();
        let most = shown.iter().copied().max().unwrap_or(0);
        // Who knows all the other dimensions.
        if relation.children.iter().all(|c| finest.contains(c)) {
            entry.groups += 1;
            entry.whole += usize::from(most == size);
            // Of a group with a masked code, nobody knows how often the best guess is right.
            if shown.len() == relation.children.len() {
                entry.people += size;
                entry.guessed += most;
            }
        }
    }
    for (level, inference) in &mut found {
        let alone = |key: &Key| matches!(key.as_slice(), [(own, _)] if own == *level);
        let codes = (0..).zip(keys).filter(|(_, key)| alone(key)).map(|(c, _)| known(c));
        // A masked code may be the most frequent.
        let most = codes.collect::<Option<Vec<i64>>>().and_then(|c| c.into_iter().max());
        inference.margin = total.zip(most);
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::published_csv::parse;

    /// Two schools by level: 20 + 0 in the first, two masked cells in the second.
    fn table() -> (Vec<Key>, Measure) {
        let field = |name: &str, role: &str| {
            format!("{{\"name\":\"{name}\",\"type\":\"string\",\"cartulaire:role\":\"{role}\"}}")
        };
        let descriptor = format!(
            "{{\"name\":\"x\",\"resources\":[{{\"path\":\"data.csv\",\"schema\":{{\"fields\":[{},{},{},{}]}}}}]}}",
            field("uai", "dimension"),
            field("niveau", "dimension"),
            "{\"name\":\"n\",\"type\":\"integer\",\"cartulaire:role\":\"measure\",\"cartulaire:additive\":true}",
            field("n_statut", "status")
        );
        let rows = "uai;niveau;n;n_statut\nA;6EME;20;F\nA;_T;20;F\nB;5EME;;C\nB;6EME;;C\nB;_T;9;F\nC;5EME;;C\nC;6EME;;C\nC;_T;3;F\n_T;5EME;7;F\n_T;6EME;25;F\n_T;_T;32;F\n";
        let mut table = parse(descriptor.as_bytes(), format!("\u{feff}{rows}").as_bytes()).unwrap();
        (table.keys, table.measures.remove(0))
    }

    fn earlier(keys: &[Key], measure: &Measure) -> Release {
        let mut published = measure.published.clone();
        for known in &mut published.cells {
            if let Known::Value(v) = known {
                *v += i64::from(*v == 20);
            }
        }
        Release {
            name: "x 1".into(),
            population: "p".into(),
            state: "2026-01-01".into(),
            persons: true,
            implied: std::sync::Arc::default(),
            chosen: std::sync::Arc::default(),
            keys: keys.to_vec(),
            published,
        }
    }

    #[test]
    fn each_criterion_counts_what_the_files_show() {
        let (keys, measure) = table();
        let found = criteria(&keys, &measure, 5, &["niveau".into()], &[earlier(&keys, &measure)]);
        assert_eq!((found.cells, found.masked, found.people), (11, 4, Some((32, 12))));
        let crossings: Vec<(String, [usize; 4])> = found
            .crossings
            .iter()
            .map(|c| (c.levels.join("×"), [c.cells, c.masked, c.alone, c.few]))
            .collect();
        assert_eq!(
            crossings,
            [
                ("niveau".to_owned(), [2, 0, 0, 0]),
                ("uai".to_owned(), [3, 0, 0, 1]),
                ("niveau×uai".to_owned(), [5, 4, 0, 0])
            ]
        );
        assert_eq!(found.links, [Link { release: "x 1".into(), common: 7, few: 2 }]);
        let inferred: Vec<_> = found
            .inferences
            .iter()
            .map(|i| (i.level.as_str(), i.protected, [i.groups, i.whole], [i.people, i.guessed], i.margin))
            .collect();
        assert_eq!(
            inferred,
            [
                ("niveau", true, [3, 1], [20, 20], Some((32, 25))),
                ("uai", false, [2, 0], [0, 0], Some((32, 20)))
            ]
        );
    }
}

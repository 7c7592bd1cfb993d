//! From one identifier of a person to the others. Only a record that is about the person tells them, never
//! one that names him: that would walk into his family. Never a record set aside: its values are wrong.

use crate::contract::{Role, Who};
use crate::error::Result;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// An identifier of one person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Identifier {
    /// What he is.
    pub who: Who,
    /// Where equal values mean him.
    pub space: String,
    /// The value.
    pub value: String,
    /// What must be equal too (the school); empty in most spaces.
    pub within: Vec<String>,
}

/// Identifiers of one person.
pub type Known = BTreeSet<Identifier>;

/// What a record says of a person in one of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Column.
    pub column: String,
    /// Identifier, once for each kind of person that the column may name.
    pub identifier: Identifier,
    /// Whether the record is about him.
    pub role: Role,
}

/// How an identifier came to be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Hop {
    /// From this identifier.
    pub from: Identifier,
    /// To that one.
    pub to: Identifier,
    /// By a record of this table.
    pub table: String,
    /// Of this delivery.
    pub delivery: String,
}

/// Records that give one person several identifiers of a space, which no record joins: none that was
/// not known is followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Conflict {
    /// The identifier that the records share.
    pub of: Identifier,
    /// Those that they disagree on.
    pub between: Vec<Identifier>,
}

/// A record, as the closure sees it.
#[derive(Debug, Clone)]
pub struct Told {
    /// Table.
    pub table: String,
    /// Delivery.
    pub delivery: String,
    /// Persons that it names.
    pub namings: Vec<Naming>,
}

/// All identifiers of a person, how each came to be known, and what was not followed. `records` gives the
/// accepted records that name one of the identifiers.
///
/// # Errors
/// Those of `records`.
pub fn closure(
    start: Known,
    mut records: impl FnMut(&Known) -> Result<Vec<Told>>,
) -> Result<(Known, Vec<Hop>, Vec<Conflict>)> {
    let (mut known, mut hops) = (start, Vec::new());
    loop {
        let (new, conflicts) = step(&known, &records(&known)?);
        if new.is_empty() {
            return Ok((known, hops, conflicts.into_iter().collect()));
        }
        for hop in new {
            if known.insert(hop.to.clone()) {
                hops.push(hop);
            }
        }
    }
}

/// Values that the records of an identifier give in a space: those of a record belong together.
type Components = Vec<BTreeMap<Identifier, Hop>>;

fn step(known: &Known, records: &[Told]) -> (BTreeSet<Hop>, BTreeSet<Conflict>) {
    let mut told: BTreeMap<(&Identifier, &str), Components> = BTreeMap::new();
    for record in records {
        let subjects = || record.namings.iter().filter(|n| n.role == Role::Subject).map(|n| &n.identifier);
        for from in subjects().filter(|i| known.contains(*i)) {
            let mut spaces: BTreeMap<&str, BTreeMap<Identifier, Hop>> = BTreeMap::new();
            for to in subjects().filter(|to| to.who == from.who) {
                let hop = Hop {
                    from: from.clone(),
                    to: to.clone(),
                    table: record.table.clone(),
                    delivery: record.delivery.clone(),
                };
                spaces.entry(&to.space).or_default().insert(to.clone(), hop);
            }
            for (space, mut values) in spaces {
                let components = told.entry((from, space)).or_default();
                // Components that share a value with this record become one.
                let (joined, apart): (Components, Components) =
                    components.drain(..).partition(|c| c.keys().any(|i| values.contains_key(i)));
                values.extend(joined.into_iter().flatten());
                components.extend(apart);
                components.push(values);
            }
        }
    }
    let (mut new, mut conflicts) = (BTreeSet::new(), BTreeSet::new());
    for ((from, _), components) in told {
        let follows = |c: &BTreeMap<Identifier, Hop>| c.keys().any(|i| known.contains(i));
        if components.len() > 1 {
            let between: BTreeSet<Identifier> = components.iter().flat_map(|c| c.keys().cloned()).collect();
            if between.iter().any(|i| !known.contains(i)) {
                conflicts.insert(Conflict { of: from.clone(), between: between.into_iter().collect() });
            }
        }
        let followed = components.iter().filter(|c| components.len() == 1 || follows(c));
        new.extend(followed.flatten().filter(|(i, _)| !known.contains(*i)).map(|(_, hop)| hop.clone()));
    }
    (new, conflicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Identifier {
        let mut parts = text.split(':');
        let who = match parts.next().unwrap() {
            "e" => Who::Eleve,
            _ => Who::Responsable,
        };
        let [space, value] = [parts.next().unwrap(), parts.next().unwrap()].map(str::to_owned);
        Identifier { who, space, value, within: parts.map(str::to_owned).collect() }
    }

    /// `e:aaf:1 e:ine:X ~r:aaf:9`: subjects, and mentions after `~`.
    fn told(text: &str) -> Told {
        let namings = text.split(' ').map(|word| {
            let role = if word.starts_with('~') { Role::Mention } else { Role::Subject };
            Naming { column: String::new(), identifier: id(word.trim_start_matches('~')), role }
        });
        Told { table: "t".into(), delivery: "d".into(), namings: namings.collect() }
    }

    fn close(start: &str, store: &[&str]) -> (Vec<String>, usize) {
        let store: Vec<Told> = store.iter().map(|t| told(t)).collect();
        let names = |t: &Told, known: &Known| t.namings.iter().any(|n| known.contains(&n.identifier));
        let records = |known: &Known| Ok(store.iter().filter(|t| names(t, known)).cloned().collect());
        let (known, hops, conflicts) = closure([id(start)].into(), records).unwrap();
        assert_eq!(hops.len() + 1, known.len());
        (known.into_iter().map(|i| format!("{}:{}", i.space, i.value)).collect(), conflicts.len())
    }

    #[test]
    fn subjects_of_one_kind_are_followed_and_nothing_else() {
        let family = ["e:aaf:1 e:ine:X ~r:aaf:9", "e:aaf:2 e:ine:Y ~r:aaf:9", "r:aaf:9 ~e:aaf:1 ~e:aaf:2"];
        let cases: &[(&str, &[&str], &[&str], usize)] = &[
            ("e:ine:X", &family, &["aaf:1", "ine:X"], 0),
            ("r:aaf:9", &family, &["aaf:9"], 0),
            // Pupil and payer in one record; a pupil and a guardian of equal numbers.
            ("e:aaf:1", &["e:aaf:1 e:ine:X r:aaf:9", "r:aaf:1 r:siecle:5"], &["aaf:1", "ine:X"], 0),
            // Three spaces, one after another.
            ("e:siecle:5", &["e:aaf:1 e:ine:X", "e:siecle:5 e:ine:X"], &["aaf:1", "ine:X", "siecle:5"], 0),
            // Two numbers of one space that a record joins.
            (
                "e:ine:X",
                &["e:siecle:5 e:ine:X e:ine:Z", "e:aaf:1 e:ine:Z"],
                &["aaf:1", "ine:X", "ine:Z", "siecle:5"],
                0,
            ),
            // Two that none joins: the unknown ones are not followed.
            ("e:aaf:1", &["e:aaf:1 e:ine:X", "e:aaf:1 e:ine:Z"], &["aaf:1"], 1),
            ("e:ine:X", &["e:aaf:1 e:ine:X", "e:aaf:1 e:ine:Z"], &["aaf:1", "ine:X"], 1),
            // The same number in two schools.
            ("e:etab:7:A", &["e:etab:7:A e:ine:X", "e:etab:7:B e:ine:Y"], &["etab:7", "ine:X"], 0),
        ];
        for (start, store, expected, conflicts) in cases {
            let (mut found, told) = close(start, store);
            found.sort();
            assert_eq!(
                (found, told),
                (expected.iter().map(|s| (*s).to_owned()).collect(), *conflicts),
                "{start}"
            );
        }
    }

    proptest::proptest! {
        /// Records in any order give the same person; no mention adds to him.
        #[test]
        fn neither_order_nor_mentions_change_a_person(
            records in proptest::collection::vec((0..4_u8, 0..4_u8, 0..4_u8), 1..12), turn in 0..12_usize
        ) {
            let plain: Vec<String> = records.iter().map(|(a, i, _)| format!("e:aaf:{a} e:ine:{i}")).collect();
            let mut named: Vec<String> =
                records.iter().map(|(a, i, m)| format!("e:aaf:{a} e:ine:{i} ~e:aaf:{m} ~e:ine:{m}")).collect();
            let by = turn % named.len();
            named.rotate_left(by);
            let refs = |all: &[String]| close("e:aaf:1", &all.iter().map(String::as_str).collect::<Vec<_>>());
            proptest::prop_assert_eq!(refs(&plain), refs(&named));
        }
    }
}

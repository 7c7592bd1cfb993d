//! Every place of a store where a person is: tables with what newer deliveries replaced, quarantines,
//! files as received.

use super::bytes::occurrences;
use super::closure::{Conflict, Hop, Identifier, Known, Naming, Told, closure};
use super::scan::{self, Row};
use super::spaces::Spaces;
use crate::contract::{Role, Who};
use crate::domain::{AnneeScolaire, DateFormat, hex};
use crate::error::{Error, Result};
use crate::receive::received_path;
use crate::retention::{Analysis, Outcome, record_name};
use crate::run::Rulebook;
use crate::source::{ArchiveLimits, each_member};
use crate::store::{Snapshot, Store, current, read_batches};
use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read;

/// Who is searched.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// An identifier of his.
    pub value: &'q str,
    /// Its space, when it is known.
    pub space: Option<&'q str>,
    /// What he is, when it is known.
    pub who: Option<Who>,
    /// Day of the answer: rules decide at it, and what is delivered later does not replace anything.
    pub at: NaiveDate,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In a table.
    Table,
    /// Set aside.
    Quarantine,
}

/// A record that is about the person or names him.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// Table.
    pub table: String,
    /// Class of the retention rules.
    pub record_class: String,
    /// School year; of a record set aside, the one that it says or that of its delivery.
    pub annee_scolaire: String,
    /// Delivery.
    pub delivery: String,
    /// Its date.
    pub delivery_date: String,
    /// Name of the record.
    pub record: String,
    /// Whether it is about him.
    pub role: Role,
    /// Columns that name him.
    pub columns: Vec<String>,
    /// A newer delivery replaced it.
    pub superseded: bool,
    /// What becomes of it; none of what is set aside, which goes as a copy with its delivery.
    pub decision: Option<Outcome>,
    /// Last due day of the rules.
    pub due: Option<NaiveDate>,
    /// Rules that govern it: title, duration, text.
    pub rules: Vec<String>,
    /// Why, without any date of the record but its due day.
    pub reasons: Vec<String>,
    /// The record, column by column: whole when it is about him; otherwise only what names him.
    pub values: Vec<(String, String)>,
}

/// A received file in which the identifiers stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Delivery.
    pub delivery: String,
    /// Its date.
    pub delivery_date: String,
    /// File as delivered.
    pub file: String,
    /// Times that one of the identifiers stands there as a word.
    pub occurrences: u64,
    /// A record found in the tables or quarantines comes from this file: otherwise the identifiers stand
    /// outside of the known columns, or in a delivery that was refused.
    pub explained: bool,
}

/// A received file whose bytes could not be searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opaque {
    /// Delivery.
    pub delivery: String,
    /// File as delivered.
    pub file: String,
    /// Why, in French.
    pub why: String,
}

/// Records set aside that no identifier can find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreachable {
    /// Table.
    pub table: String,
    /// Delivery.
    pub delivery: String,
    /// How many.
    pub records: u64,
}

/// Everything that a store holds of a person.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// His identifiers.
    pub identifiers: Known,
    /// How each came to be known.
    pub hops: Vec<Hop>,
    /// What was not followed.
    pub conflicts: Vec<Conflict>,
    /// Records, by table, school year and name.
    pub found: Vec<Found>,
    /// Received files.
    pub received: Vec<Received>,
    /// Received files that were not searched.
    pub opaque: Vec<Opaque>,
    /// What may be missing.
    pub unreachable: Vec<Unreachable>,
}

/// Salted digest under which a searched identifier is remembered.
pub fn identifier_digest(salt: &[u8; 32], space: &str, value: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"cartulaire/person/v1\0");
    hasher.update(salt);
    hasher.update(space.as_bytes());
    hasher.update([0]);
    hasher.update(value.as_bytes());
    hex(&<[u8; 32]>::from(hasher.finalize()))
}

/// Searches a person everywhere.
///
/// # Errors
/// [`Error::Usage`] when the identifier is that of two persons; when the store cannot be read.
pub fn find(store: &Store, book: &Rulebook, question: &Question<'_>) -> Result<Answer> {
    let search = Search {
        store,
        book,
        spaces: Spaces::new(&book.contracts)?,
        tables: store.ledger.snapshots("")?,
        aside: store.ledger.quarantine_snapshots()?,
        question,
    };
    let (identifiers, hops, conflicts) = search.person()?;
    let found = search.records(&identifiers)?;
    let (received, opaque) = search.received(&identifiers, &found)?;
    let mut unreachable = Vec::new();
    for snapshot in &search.aside {
        let columns = search.spaces.of(&snapshot.table_name);
        let concerned = |who: &Who| identifiers.iter().any(|i| i.who == *who);
        if identifiers.is_empty() || columns.iter().any(|c| c.who.iter().any(concerned)) {
            let records = scan::unreachable(&store.path(&snapshot.path), columns)?;
            if records > 0 {
                let (table, delivery) = (snapshot.table_name.clone(), snapshot.delivery_id.clone());
                unreachable.push(Unreachable { table, delivery, records });
            }
        }
    }
    Ok(Answer { identifiers, hops, conflicts, found, received, opaque, unreachable })
}

struct Search<'s> {
    store: &'s Store,
    book: &'s Rulebook,
    spaces: Spaces,
    tables: Vec<Snapshot>,
    aside: Vec<Snapshot>,
    question: &'s Question<'s>,
}

impl Search<'_> {
    /// Rows of some files that name one of the identifiers, or hold one of the values when it is not
    /// known yet whose they are.
    fn rows<'f>(&self, files: &'f [Snapshot], values: &HashSet<&str>) -> Result<Vec<(&'f Snapshot, Row)>> {
        let mut out = Vec::new();
        for snapshot in files {
            let columns = self.spaces.of(&snapshot.table_name);
            if columns.is_empty() {
                continue;
            }
            let rows = scan::rows(&self.store.path(&snapshot.path), columns, values)?;
            out.extend(rows.into_iter().map(|r| (snapshot, r)));
        }
        Ok(out)
    }

    fn told(&self, known: &Known) -> Result<Vec<Told>> {
        let values = known.iter().map(|i| i.value.as_str()).collect();
        let rows = self.rows(&self.tables, &values)?.into_iter();
        Ok(rows
            .map(|(s, r)| Told {
                table: s.table_name.clone(),
                delivery: s.delivery_id.clone(),
                namings: r.namings,
            })
            .collect())
    }

    /// The person whose identifier it is; nobody when no column holds it.
    fn person(&self) -> Result<(Known, Vec<Hop>, Vec<Conflict>)> {
        let values = HashSet::from([self.question.value]);
        let mut starts = self.meant(self.rows(&self.tables, &values)?);
        if starts.is_empty() {
            starts = self.meant(self.rows(&self.aside, &values)?);
        }
        let mut persons: Vec<(Known, Vec<Hop>, Vec<Conflict>)> = Vec::new();
        for start in starts {
            if !persons.iter().any(|(known, ..)| known.contains(&start)) {
                persons.push(closure(Known::from([start]), |known| self.told(known))?);
            }
        }
        match persons.len() {
            0 => Ok((Known::new(), Vec::new(), Vec::new())),
            1 => persons.pop().ok_or_else(|| Error::Corrupt("personne perdue".into())),
            n => {
                let spaces: BTreeSet<String> = persons
                    .iter()
                    .flat_map(|(known, ..)| known.iter().filter(|i| i.value == self.question.value))
                    .map(|i| format!("{}:{}", i.space, who_name(i.who)))
                    .collect();
                Err(Error::Usage(format!(
                    "cet identifiant est celui de {n} personnes : précisez --space ({})",
                    spaces.into_iter().collect::<Vec<_>>().join(", ")
                )))
            }
        }
    }

    /// What the value may mean. A column of several kinds of person says nothing when another column
    /// of its space tells the kind.
    fn meant(&self, rows: Vec<(&Snapshot, Row)>) -> Vec<Identifier> {
        let question = self.question;
        let mut sure: Known = Known::new();
        let mut unsure: Known = Known::new();
        for (snapshot, row) in rows {
            for naming in row.namings.into_iter().filter(|n| n.identifier.value == question.value) {
                let (space, who) = (&naming.identifier.space, naming.identifier.who);
                if question.space.is_some_and(|s| s != space) || question.who.is_some_and(|w| w != who) {
                    continue;
                }
                let column = self.spaces.of(&snapshot.table_name).iter().find(|c| c.column == naming.column);
                let single = column.is_some_and(|c| c.who.len() == 1);
                if single { &mut sure } else { &mut unsure }.insert(naming.identifier);
            }
        }
        unsure.retain(|u| !sure.iter().any(|s| s.space == u.space));
        sure.into_iter().chain(unsure).collect()
    }

    fn records(&self, known: &Known) -> Result<Vec<Found>> {
        let analysis = Analysis::new(self.store, self.book, self.question.at)?;
        let present = self.present();
        let mut out = Vec::new();
        for (place, files) in [(Place::Table, &self.tables), (Place::Quarantine, &self.aside)] {
            let values = known.iter().map(|i| i.value.as_str()).collect();
            let rows = self.rows(files, &values)?;
            for same in rows.chunk_by(|a, b| a.0.path == b.0.path) {
                let Some((snapshot, _)) = same.first() else { continue };
                let named: Vec<(&Row, Vec<&Naming>)> = same
                    .iter()
                    .map(|(_, r)| (r, r.namings.iter().filter(|n| known.contains(&n.identifier)).collect()))
                    .filter(|(_, n): &(_, Vec<&Naming>)| !n.is_empty())
                    .collect();
                if !named.is_empty() {
                    let superseded = place == Place::Table && !present.contains(snapshot.path.as_str());
                    out.extend(self.of_file(&analysis, place, snapshot, superseded, &named)?);
                }
            }
        }
        out.sort_by(|a, b| {
            let key = |f: &Found| (f.place, f.table.clone(), f.annee_scolaire.clone(), f.record.clone());
            key(a).cmp(&key(b))
        });
        Ok(out)
    }

    /// Paths of the snapshots that say the present state of their tables.
    fn present(&self) -> HashSet<&str> {
        let mut by_table: BTreeMap<&str, Vec<Snapshot>> = BTreeMap::new();
        for s in &self.tables {
            by_table.entry(&s.table_name).or_default().push(s.clone());
        }
        let mut paths = HashSet::new();
        for (table, all) in by_table {
            let complete = self.book.contracts.iter().any(|c| c.name == table && c.snapshot);
            let kept: HashSet<String> =
                current(&all, complete, self.question.at).into_iter().map(|s| s.path.clone()).collect();
            paths.extend(self.tables.iter().map(|s| s.path.as_str()).filter(|p| kept.contains(*p)));
        }
        paths
    }

    fn of_file(
        &self,
        analysis: &Analysis<'_>,
        place: Place,
        snapshot: &Snapshot,
        superseded: bool,
        named: &[(&Row, Vec<&Naming>)],
    ) -> Result<Vec<Found>> {
        let path = self.store.path(&snapshot.path);
        let numbers: Vec<usize> = named.iter().map(|(r, _)| r.number).collect();
        let whole = scan::values(&path, &numbers)?;
        let mut groups = HashMap::new();
        let mut group_of = vec![0; numbers.len()];
        if place == Place::Table {
            let mut splitter = analysis.splitter(snapshot, &path)?;
            if !splitter.is_single() {
                let wanted: Vec<String> = splitter.wanted().into_iter().map(str::to_owned).collect();
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                let mut all = Vec::new();
                for batch in read_batches(&path, Some(&wanted))? {
                    all.extend(splitter.rows(snapshot, &batch?)?);
                }
                group_of = numbers.iter().map(|n| all.get(*n).copied().unwrap_or_default()).collect();
            }
            let told = analysis.groups(snapshot.clone(), &path)?;
            groups = told.into_iter().map(|g| (g.number, analysis.explain(&g))).collect();
        }
        let contract = self.book.contracts.iter().find(|c| c.name == snapshot.table_name);
        let mut out: Vec<Found> = Vec::new();
        for (((row, namings), values), group) in named.iter().zip(whole).zip(group_of) {
            let role =
                if namings.iter().any(|n| n.role == Role::Subject) { Role::Subject } else { Role::Mention };
            let mut columns: Vec<String> = namings.iter().map(|n| n.column.clone()).collect();
            columns.dedup();
            let year = match place {
                Place::Table => snapshot.annee_scolaire.clone(),
                Place::Quarantine => self.year_of(snapshot, &values),
            };
            // What a record says of somebody else is nobody's but his.
            let values = match role {
                Role::Subject => values.into_iter().filter(|(name, _)| !name.starts_with('_')).collect(),
                Role::Mention => {
                    namings.iter().map(|n| (n.column.clone(), n.identifier.value.clone())).collect()
                }
            };
            let record = record_name(&snapshot.delivery_id, &row.file, row.record);
            // All rows of a line are one record.
            if let Some(before) = out.iter_mut().find(|f| f.record == record) {
                before.values.extend(values);
                continue;
            }
            let story = groups.get(&group);
            out.push(Found {
                place,
                table: snapshot.table_name.clone(),
                record_class: contract.map_or_else(String::new, |c| c.record_class.clone()),
                annee_scolaire: year,
                delivery: snapshot.delivery_id.clone(),
                delivery_date: snapshot.delivery_date.clone(),
                record,
                role,
                columns,
                superseded,
                decision: story.map(|s| s.decision),
                due: story.and_then(|s| s.due),
                rules: story.map_or_else(Vec::new, |s| {
                    let governing = s.rules.iter().filter(|r| r.applies);
                    governing.map(|r| format!("{} ({}) : {}", r.title, r.duration, r.citation)).collect()
                }),
                reasons: story.map_or_else(Vec::new, |s| s.reasons.clone()),
                values,
            });
        }
        Ok(out)
    }

    /// School year of a record set aside, as far as its values can be read.
    fn year_of(&self, snapshot: &Snapshot, values: &[(String, String)]) -> String {
        use crate::contract::Partition;
        let contract = self.book.contracts.iter().find(|c| c.name == snapshot.table_name);
        let told = contract.and_then(|c| {
            let (Partition::DateColumn(i) | Partition::YearColumn(i)) = c.partition else { return None };
            let column = c.columns.get(i)?;
            let value = values.iter().find(|(name, _)| *name == *column.name).map(|(_, v)| v.trim())?;
            match c.partition {
                Partition::YearColumn(_) => AnneeScolaire::parse(value),
                _ => self.book.calendar.year_of(column.date_format.parse(value)?),
            }
        });
        let delivered = || self.book.calendar.year_of(DateFormat::Iso.parse(&snapshot.delivery_date)?);
        told.or_else(delivered).map_or_else(String::new, |y| y.to_string())
    }

    /// Received files with the identifiers in them, archives opened.
    fn received(&self, known: &Known, found: &[Found]) -> Result<(Vec<Received>, Vec<Opaque>)> {
        // A number of one school is too short to mean anything outside of its column.
        let (local, mut values): (Vec<_>, BTreeSet<String>) = (
            known.iter().filter(|i| !i.within.is_empty()).map(|i| i.value.as_str()).collect(),
            known.iter().filter(|i| i.within.is_empty()).map(|i| i.value.clone()).collect(),
        );
        if !local.contains(&self.question.value) {
            values.insert(self.question.value.to_owned());
        }
        let values: Vec<String> = values.into_iter().collect();
        let (mut out, mut opaque) = (Vec::new(), Vec::new());
        let mut counted: HashMap<String, (u64, Vec<String>)> = HashMap::new();
        for delivery in self.store.ledger.deliveries(None)? {
            let files: BTreeMap<String, String> =
                self.store.ledger.files(&delivery.id)?.into_iter().map(|f| (f.name, f.sha256)).collect();
            for (name, sha256) in files {
                let path = self.store.path(&received_path(&sha256));
                if !path.exists() {
                    continue; // eliminated under visa
                }
                if !counted.contains_key(&sha256) {
                    let (mut count, mut not) = (0, Vec::new());
                    let outcome = each_member(&path, &ArchiveLimits::default(), &mut |member, mut input| {
                        let mut head = [0; 4];
                        let mut read = 0;
                        while let Some(rest) = head.get_mut(read..).filter(|r| !r.is_empty()) {
                            match input.read(rest) {
                                Ok(0) => break,
                                Ok(n) => read += n,
                                Err(e) => {
                                    not.push(format!("{member} : {e}"));
                                    return Ok(());
                                }
                            }
                        }
                        match head {
                            [b'P', b'A', b'R', b'1'] => not.push("Parquet : octets compressés".into()),
                            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, b'<', ..] | [b'<', 0, ..] => {
                                not.push("texte en UTF-16".into());
                            }
                            _ => {
                                let start = head.get(..read).unwrap_or_default();
                                match occurrences(start.chain(input), &values) {
                                    Ok(found) => count += found.iter().sum::<u64>(),
                                    Err(e) => not.push(format!("{member} : {e}")),
                                }
                            }
                        }
                        Ok(())
                    })?;
                    not.extend(outcome.refusals.iter().map(ToString::to_string));
                    counted.insert(sha256.clone(), (count, not));
                }
                let Some((count, not)) = counted.get(&sha256) else { continue };
                // A member of an archive is named after it: `archive.zip/member.xml`.
                let from = |f: &Found| {
                    let rest = f.record.strip_prefix(&format!("{}/{name}", delivery.id));
                    rest.is_some_and(|r| r.starts_with(['#', '/']))
                };
                if *count > 0 {
                    out.push(Received {
                        delivery: delivery.id.clone(),
                        delivery_date: delivery.delivery_date.clone(),
                        occurrences: *count,
                        explained: found.iter().any(from),
                        file: name.clone(),
                    });
                }
                opaque.extend(not.iter().map(|why| Opaque {
                    delivery: delivery.id.clone(),
                    file: name.clone(),
                    why: why.clone(),
                }));
            }
        }
        Ok((out, opaque))
    }
}

/// As contracts write it.
pub(super) fn who_name(who: Who) -> &'static str {
    match who {
        Who::Eleve => "eleve",
        Who::Responsable => "responsable",
        Who::Agent => "agent",
        Who::Visiteur => "visiteur",
    }
}

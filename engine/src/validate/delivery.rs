//! A whole delivery: its lots judged in one pass each, and in a second one only when the first found
//! keys that several records share. A table that one judged before it refers to is read once more
//! beforehand, for its keys and values alone.

use super::Reference;
use super::assort::{Lot, Unit};
use super::file::{FileOutcome, Means};
use super::judge::{Judge, Known, Target, Wanted};
use super::keys::Loser;
use super::log::FindingLog;
use super::pass::Pass;
use super::profile::ColumnProfile;
use super::references::References;
use crate::contract::{ColumnSpec, Contract, Reference as ForeignKey};
use crate::domain::{AnneeScolaire, Digest};
use crate::error::{Error, Result};
use crate::store::PartWriter;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What is known outside the delivery; an error ends the judgement, nothing is taken for unknown.
pub type Lookup<'a, K> = dyn Fn(&K) -> Result<Option<References>> + 'a;

/// How a delivery is judged.
pub struct Terms<'a> {
    /// Code lists, calendar, date.
    pub reference: Reference<'a>,
    /// Threads and bounds.
    pub means: Means,
    /// Findings kept per table.
    pub max_findings: usize,
    /// Columns are profiled.
    pub profile: bool,
    /// Values of a table outside the delivery, when they are known.
    pub outside: &'a Lookup<'a, ForeignKey>,
    /// Keys of the present state of a table, which the requests of a Delta must find.
    pub state: &'a Lookup<'a, Contract>,
}

/// Where rows go.
pub trait Shelf {
    /// Whether rows are wanted at all.
    fn wants_rows(&self) -> bool;
    /// A writer for the accepted rows of a year, or for quarantine. A second pass asks again and
    /// begins the file anew.
    ///
    /// # Errors
    /// When it cannot be made.
    fn writer(
        &mut self,
        contract: &Contract,
        year: Option<AnneeScolaire>,
        schema: SchemaRef,
    ) -> Result<PartWriter>;
}

/// One file, judged.
pub struct FileResult {
    /// The file.
    pub unit: Unit,
    /// Digest of the delivered file (of the archive, for a member).
    pub sha256: Digest,
    /// Records, over all tables.
    pub outcome: FileOutcome,
    /// What the file says of itself.
    pub metadata: Vec<(String, String)>,
}

/// One table of a delivery, judged.
pub struct TableResult<'a> {
    /// Its contract.
    pub contract: &'a Contract,
    /// Its records.
    pub outcome: FileOutcome,
    /// Its findings.
    pub log: FindingLog,
    /// Files written: year (`None` for quarantine), rows, digest.
    pub parts: Vec<(Option<AnneeScolaire>, u64, Digest)>,
    /// Summaries, then visits, by name.
    pub aggregates: Vec<(String, RecordBatch)>,
    /// Columns, when they were profiled.
    pub profile: Vec<ColumnProfile>,
    /// References that could not be followed: column, table that is neither in the delivery nor
    /// in the store.
    pub unchecked: Vec<(String, String)>,
}

/// A lot, judged.
pub struct LotResult<'a> {
    /// Files.
    pub files: Vec<FileResult>,
    /// Tables.
    pub tables: Vec<TableResult<'a>>,
}

/// Values that the tables of a delivery offer to each other.
pub(super) type Offered = HashMap<(String, Target), Arc<References>>;

/// Records that lose their key, table by table.
type Losers = Vec<HashMap<u64, Loser>>;

/// Judges the lots of a delivery; tables that others refer to come first.
///
/// # Errors
/// When reading or writing fails.
pub fn validate_delivery<'a>(
    lots: Vec<Lot<'a>>,
    terms: &Terms<'a>,
    shelf: &mut dyn Shelf,
) -> Result<Vec<LotResult<'a>>> {
    let lots = in_order(lots);
    let deltas =
        lots.iter().filter(|l| l.delta).flat_map(|l| &l.contracts).map(|c| c.name.as_str()).collect();
    let plan = Plan { keys: foreign_keys(&lots), contracts: contracts(&lots), deltas, terms };
    let mut offered = Offered::new();
    let mut losers: Vec<Option<Losers>> = Vec::new();
    for (i, lot) in lots.iter().enumerate() {
        let early = lots.iter().take(i + 1).any(|before| refers(before, lot));
        losers.push(if early { Some(plan.collect(lot, &mut offered)?) } else { None });
    }
    lots.iter().zip(losers).map(|(lot, losers)| plan.judge(lot, losers, &mut offered, shelf)).collect()
}

/// (Contract that refers, column, foreign key), over a delivery.
type Keys<'a> = Vec<(&'a Contract, usize, &'a ForeignKey)>;

fn foreign_keys<'a>(lots: &[Lot<'a>]) -> Keys<'a> {
    let contracts = lots.iter().flat_map(|l| l.contracts.iter().copied());
    contracts
        .flat_map(|c| {
            c.columns.iter().enumerate().flat_map(move |(i, s)| s.foreign_keys().map(move |key| (c, i, key)))
        })
        .collect()
}

/// The target of a foreign key, in the contract that it names.
pub fn target(key: &ForeignKey, from: &Contract, to: &Contract) -> Option<Target> {
    let mut columns = key
        .with
        .iter()
        .map(|w| to.column(from.columns.get(*w).map_or("", |c| &c.name)))
        .collect::<Option<Vec<usize>>>()?;
    columns.push(to.column(&key.column)?);
    let date = |name: &Option<String>| name.as_ref().and_then(|n| to.column(n));
    Some(Target { columns, from: date(&key.from), to: date(&key.to) })
}

/// Lots sorted so that tables referred to come before those that refer, as far as there is no circle.
fn in_order(mut lots: Vec<Lot<'_>>) -> Vec<Lot<'_>> {
    let mut out: Vec<Lot<'_>> = Vec::new();
    while !lots.is_empty() {
        let waits = |lot: &Lot<'_>| {
            let wanted: BTreeSet<&str> = lot
                .contracts
                .iter()
                .flat_map(|c| &c.columns)
                .flat_map(ColumnSpec::foreign_keys)
                .map(|r| r.table.as_str())
                .collect();
            lots.iter()
                .filter(|other| !std::ptr::eq(*other, lot))
                .any(|other| other.contracts.iter().any(|c| wanted.contains(c.name.as_str())))
        };
        let next = lots.iter().position(|l| !waits(l)).unwrap_or(0);
        out.push(lots.remove(next));
    }
    out
}

/// Whether a table of one lot refers to a table of the other.
fn refers(from: &Lot<'_>, to: &Lot<'_>) -> bool {
    let mut keys = from.contracts.iter().flat_map(|c| &c.columns).flat_map(ColumnSpec::foreign_keys);
    keys.any(|k| to.contracts.iter().any(|c| c.name == k.table))
}

fn contracts<'a>(lots: &[Lot<'a>]) -> HashMap<&'a str, &'a Contract> {
    lots.iter().flat_map(|l| &l.contracts).map(|c| (c.name.as_str(), *c)).collect()
}

/// What a delivery's lots are judged with.
struct Plan<'p, 'a> {
    keys: Keys<'a>,
    contracts: HashMap<&'a str, &'a Contract>,
    /// Tables that come as a Delta.
    deltas: BTreeSet<&'a str>,
    terms: &'p Terms<'a>,
}

/// References of a lot: those known, by table and column, and those that are not.
type Resolved = (Vec<HashMap<usize, Arc<References>>>, Vec<(String, usize, String)>);

impl<'a> Plan<'_, 'a> {
    fn targets(&self, contract: &Contract) -> Vec<Target> {
        let all = self.keys.iter().filter(|(_, _, k)| k.table == contract.name);
        let set: BTreeSet<Target> = all.filter_map(|(from, _, k)| target(k, from, contract)).collect();
        set.into_iter().collect()
    }

    fn references(&self, lot: &Lot<'a>, offered: &Offered) -> Result<Resolved> {
        let mut unchecked = Vec::new();
        let mut known = Vec::new();
        for contract in &lot.contracts {
            let mut mine = HashMap::new();
            for (_, column, key) in self.keys.iter().filter(|(c, _, _)| c.name == contract.name) {
                let found = match self.contracts.get(key.table.as_str()) {
                    Some(to) => {
                        let here = target(key, contract, to)
                            .and_then(|t| offered.get(&(key.table.clone(), t)).cloned());
                        match here {
                            // A Delta brings what changed: the rest of the table is in the state.
                            Some(here) if self.deltas.contains(key.table.as_str()) => {
                                (self.terms.outside)(key)?.map(|state| Arc::new(state.and(&here)))
                            }
                            here => here,
                        }
                    }
                    None => (self.terms.outside)(key)?.map(Arc::new),
                };
                match found {
                    Some(found) => {
                        mine.insert(*column, found);
                    }
                    None => unchecked.push((contract.name.clone(), *column, key.table.clone())),
                }
            }
            known.push(mine);
        }
        Ok((known, unchecked))
    }

    fn judges(
        &self,
        lot: &Lot<'a>,
        references: &[HashMap<usize, Arc<References>>],
        losers: Option<Losers>,
        profile: bool,
    ) -> Result<Vec<Judge<'a>>> {
        let wanted = Wanted { claims: losers.is_none(), profile };
        let mut losers = losers.unwrap_or_default().into_iter();
        let known = lot.contracts.iter().zip(references);
        known
            .map(|(contract, references)| {
                let state = if lot.delta { (self.terms.state)(contract)?.map(Arc::new) } else { None };
                let losers = losers.next().unwrap_or_default();
                Ok(Judge::new(contract, self.terms.reference, lot.delta)?
                    .offering(self.targets(contract))
                    .knowing(Known { losers, references: references.clone(), state }, wanted))
            })
            .collect()
    }

    /// Reads a lot for the keys and values of its tables only.
    fn collect(&self, lot: &Lot<'a>, offered: &mut Offered) -> Result<Losers> {
        let none = vec![HashMap::new(); lot.contracts.len()];
        let judges = self.judges(lot, &none, None, false)?;
        let mut shelf = NoShelf;
        let mut pass = Pass::new(&judges, self.terms, &mut shelf);
        pass.run(lot, &judges, self.terms.means)?;
        let losers = pass.settle()?;
        if losers.iter().all(HashMap::is_empty) {
            pass.finish(lot, &judges, &[], offered)?;
            return Ok(losers);
        }
        let judges = self.judges(lot, &none, Some(losers.clone()), false)?;
        let mut pass = Pass::new(&judges, self.terms, &mut shelf);
        pass.run(lot, &judges, self.terms.means)?;
        pass.finish(lot, &judges, &[], offered)?;
        Ok(losers)
    }

    fn judge(
        &self,
        lot: &Lot<'a>,
        losers: Option<Losers>,
        offered: &mut Offered,
        shelf: &mut dyn Shelf,
    ) -> Result<LotResult<'a>> {
        let (references, unchecked) = self.references(lot, offered)?;
        let settled = losers.is_some();
        let judges = self.judges(lot, &references, losers, self.terms.profile)?;
        let mut pass = Pass::new(&judges, self.terms, shelf);
        pass.run(lot, &judges, self.terms.means)?;
        let losers = if settled || pass.refused() { Losers::new() } else { pass.settle()? };
        if losers.iter().all(HashMap::is_empty) {
            return pass.finish(lot, &judges, &unchecked, offered);
        }
        drop(pass);
        let judges = self.judges(lot, &references, Some(losers), self.terms.profile)?;
        let mut pass = Pass::new(&judges, self.terms, shelf);
        pass.run(lot, &judges, self.terms.means)?;
        pass.finish(lot, &judges, &unchecked, offered)
    }
}

/// Nowhere: a pass that only looks.
struct NoShelf;

impl Shelf for NoShelf {
    fn wants_rows(&self) -> bool {
        false
    }

    fn writer(&mut self, _: &Contract, _: Option<AnneeScolaire>, _: SchemaRef) -> Result<PartWriter> {
        Err(Error::Corrupt("une passe de lecture n'écrit rien".into()))
    }
}

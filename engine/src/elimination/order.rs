//! Ordres d'élimination: what the operator of a source application deletes there, once the execution
//! is ordered and before it starts, for the identifiers then go from the store. They are written in
//! the files of the order alone, never in the store, its journal or a log.

use super::execute::{Execution, Listed, read_list, refuse};
use super::list::bordereau;
use super::papers::{BordereauRow, Service, order_pdf};
use super::refusal::{Refusal, refusals};
use super::state::{Event, State, Step};
use super::visa;
use crate::contract::Contract;
use crate::delta::TOMBSTONES;
use crate::domain::{DateFormat, Digest};
use crate::error::{Error, Result};
use crate::journal::{NewEntry, canonical};
use crate::store::{Snapshot, Store, column_names, read_batches};
use arrow::array::{AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Kind of the journal's entries that record an order.
pub(super) const RECORDED: &str = "elimination_order";

/// An order for one source application. Its text is canonical JSON: one digest for one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceOrder {
    /// Archives service that gave the visa.
    pub archives: String,
    /// Classes of records, row by row of the list.
    pub classes: Vec<OrderClass>,
    /// What is deleted, numbered from 1, in the order of the classes.
    pub items: Vec<OrderItem>,
    /// Always `ordre-elimination`.
    pub kind: &'static str,
    /// Identifier of the list.
    pub list: String,
    /// SHA-256 of the canonical list.
    pub list_digest: String,
    /// First day on which the head of the service lets the execution start.
    pub not_before: NaiveDate,
    /// Identifier of the order.
    pub order: String,
    /// Logical day on which the order was first made.
    pub ordered_on: NaiveDate,
    /// Records in the list.
    pub records: u64,
    /// Service whose archives they are.
    pub service: Service,
    /// Source of the contracts of the tables.
    pub source: String,
    /// Version of this form.
    pub version: u32,
    /// Day of the visa.
    pub visa_on: NaiveDate,
    /// SHA-256 of the visa's file.
    pub visa_sha256: String,
}

/// A row of the list, as its source knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderClass {
    /// School year.
    pub annee_scolaire: String,
    /// Columns of the identifiers; none when the records have no key: the class is deleted whole.
    pub columns: Vec<String>,
    /// Numbered items.
    pub items: u64,
    /// Class of records.
    pub record_class: String,
    /// Records in the list.
    pub records: u64,
    /// Order number in the list.
    pub row: usize,
    /// Table.
    pub table: String,
    /// What the records are, in French.
    pub typology: String,
}

/// One thing to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderItem {
    /// Values of the columns of its class; empty for all records of a class without key.
    pub identifier: Vec<String>,
    /// The store keeps other records of this identifier: only those of the class's year go.
    pub kept_elsewhere: bool,
    /// From 1.
    pub number: u64,
    /// Row of its class.
    pub row: usize,
}

impl SourceOrder {
    /// The JSON file, to the byte.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&self) -> Result<String> {
        let value = serde_json::to_value(self).map_err(|e| Error::Write(e.to_string()))?;
        Ok(format!("{}\n", canonical(&value)))
    }

    /// SHA-256 of [`SourceOrder::text`].
    ///
    /// # Errors
    /// As [`SourceOrder::text`].
    pub fn digest(&self) -> Result<String> {
        Ok(Digest::of(self.text()?.as_bytes()).to_string())
    }

    /// Files for the operator: name and bytes. Only `ordre-*` hold identifiers; `retour-*.csv` is the
    /// form that comes back, by numbers.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let source = file_name(&self.source);
        Ok(vec![
            (format!("ordre-{source}.json"), self.text()?.into_bytes()),
            (format!("ordre-{source}.csv"), self.csv()?),
            (format!("ordre-{source}.pdf"), order_pdf(self)?),
            (format!("retour-{source}.csv"), self.form()?),
        ])
    }

    fn csv(&self) -> Result<Vec<u8>> {
        let header =
            ["numero", "ligne", "table", "annee_scolaire", "identifiant", "valeur", "autres_donnees_gardees"];
        let rows = self.items.iter().filter_map(|item| {
            let class = self.classes.iter().find(|c| c.row == item.row)?;
            Some([
                item.number.to_string(),
                item.row.to_string(),
                class.table.clone(),
                class.annee_scolaire.clone(),
                class.columns.join("|"),
                match item.identifier.is_empty() {
                    true => "(toute la classe)".to_owned(),
                    false => inert(&item.identifier.join("|")),
                },
                if item.kept_elsewhere { "oui" } else { "non" }.to_owned(),
            ])
        });
        csv(&header, rows)
    }

    fn form(&self) -> Result<Vec<u8>> {
        let digest = self.digest()?;
        let empty = String::new;
        let rows = self.items.iter().map(|item| {
            let number = item.number.to_string();
            [self.order.clone(), digest.clone(), empty(), empty(), number, empty(), empty()]
        });
        csv(&super::operator::COLUMNS, rows)
    }
}

/// A spreadsheet must not run what a source wrote.
fn inert(value: &str) -> String {
    if value.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{value}") } else { value.to_owned() }
}

fn csv<const N: usize>(header: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::CRLF)
        .from_writer(b"\xEF\xBB\xBF".to_vec());
    let fault = |e: csv::Error| Error::Write(e.to_string());
    writer.write_record(header).map_err(fault)?;
    for row in rows {
        writer.write_record(&row).map_err(fault)?;
    }
    writer.into_inner().map_err(|e| Error::Write(e.to_string()))
}

fn file_name(source: &str) -> String {
    source.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

impl Execution<'_> {
    /// The orders of a list whose execution is ordered, one a source application. They are refused
    /// for every reason for which the execution would be, the cooling-off apart.
    ///
    /// # Errors
    /// [`Error::Refused`] with what to do; those of the store.
    pub fn orders(&self, list: &str) -> Result<Vec<SourceOrder>> {
        let (text, exported) = read_list(self.store, list)?;
        let course = self.store.ledger.course(list)?;
        match course.state() {
            State::CoolingOff => {}
            State::Executing | State::Executed | State::PartlyFailed | State::Attested => {
                let message = "l'exécution a commencé : les identifiants ne sont plus dans l'entrepôt ; un ordre se produit entre l'ordre d'exécution (--approve) et l'exécution (--by)";
                return Err(Refusal::new("ELIM_ORDER_LATE", message).into());
            }
            other => {
                let message = format!(
                    "un ordre suit le visa et l'ordre d'exécution (`elimination execute --approve`) : la liste est {}",
                    other.french()
                );
                return Err(Refusal::new("ELIM_ORDER_EARLY", message).into());
            }
        }
        let last = course.steps().iter().rev().find(|s| s.event == Event::Approved);
        let approved = last.ok_or_else(|| Error::Corrupt("délai de réflexion sans ordre".into()))?;
        not_before(self.date, approved)?;
        let (check, _) = self.prepare(list)?;
        refuse(&refusals(&check))?;
        let visa = self.store.ledger.elimination_document(list, "visa")?.unwrap_or_default();
        let visa = visa::read(&visa, &exported, &self.rulebook.elimination.registry, self.date)?;
        let granted = visa.statement.granted(&exported);
        let listed = Listed::read(self.store, list, &text, &granted)?;
        let known = recorded(self.store, list)?;
        let paper = bordereau(&text)?;
        let mut sources: BTreeMap<&str, Vec<(&BordereauRow, Option<&Contract>)>> = BTreeMap::new();
        // Of what the archive holds, the local copy goes: nothing is asked of the source.
        let eliminated = |r: &&BordereauRow| granted.contains(&r.order) && r.archived.is_empty();
        for row in paper.rows.iter().filter(eliminated) {
            let contract = contract_of(&self.rulebook.contracts, &row.table);
            let source = contract.map_or("sans-contrat", |c| c.source.as_str());
            sources.entry(source).or_default().push((row, contract));
        }
        let mut orders = Vec::new();
        for (source, rows) in sources {
            let known = known.iter().find(|o| o.source == source);
            let mut order = SourceOrder {
                archives: visa.statement.authority.service.clone(),
                classes: Vec::new(),
                items: Vec::new(),
                kind: "ordre-elimination",
                list: list.to_owned(),
                list_digest: exported.reference.digest.clone(),
                not_before: approved.until.unwrap_or(approved.on),
                order: format!("ORD-{list}-{}", file_name(source)),
                ordered_on: known.map_or(self.date, |o| o.ordered_on),
                records: rows.iter().map(|(r, _)| r.records).sum(),
                service: paper.service.clone(),
                source: source.to_owned(),
                version: 1,
                visa_on: visa.signers.first().map_or(self.date, |s| s.signed_on),
                visa_sha256: visa.sha256.clone(),
            };
            for (row, contract) in rows {
                self.class(&mut order, row, contract, &listed)?;
            }
            if known.is_some_and(|o| Some(&o.sha256) != order.digest().ok().as_ref()) {
                let message = format!(
                    "l'ordre {} a déjà été remis avec un autre contenu : retirez la liste, proposez-en une nouvelle",
                    order.order
                );
                return Err(Refusal::new("ELIM_ORDER_CHANGED", message).into());
            }
            orders.push(order);
        }
        Ok(orders)
    }

    /// Adds a row of the list and its identifiers.
    fn class(
        &self,
        order: &mut SourceOrder,
        row: &BordereauRow,
        contract: Option<&Contract>,
        listed: &Listed,
    ) -> Result<()> {
        let names = contract.iter().flat_map(|c| c.key.iter().filter_map(|i| c.columns.get(*i)));
        let columns: Vec<String> = names.map(|c| c.name.to_string()).collect();
        let year = format!("{}-{}", row.first_year, row.last_year);
        let mut found = Found::default();
        for snapshot in self.store.ledger.snapshots(&row.table)? {
            found.read(self.store, &snapshot, &columns, listed, row.order)?;
        }
        if found.records != row.records {
            return Err(super::execute::changed("les tables ne portent plus les enregistrements visés"));
        }
        let first = order.items.len() as u64;
        let number = (first + 1..).zip(match columns.is_empty() {
            true => BTreeSet::from([Vec::new()]),
            false => found.goes,
        });
        order.items.extend(number.map(|(number, identifier)| OrderItem {
            kept_elsewhere: !identifier.is_empty() && found.stays.contains(&identifier),
            identifier,
            number,
            row: row.order,
        }));
        order.classes.push(OrderClass {
            annee_scolaire: year,
            columns,
            items: order.items.len() as u64 - first,
            record_class: contract.map_or_else(String::new, |c| c.record_class.clone()),
            records: row.records,
            row: row.order,
            table: row.table.clone(),
            typology: row.typology.clone(),
        });
        Ok(())
    }
}

fn not_before(date: NaiveDate, approved: &Step) -> Result<()> {
    if date >= approved.on {
        return Ok(());
    }
    let message = format!(
        "l'ordre précéderait celui d'exécuter, du {} : vérifiez la date",
        approved.on.format("%d/%m/%Y")
    );
    Err(Refusal::new("ELIM_DATE", message).into())
}

/// A table of deletions read from Deltas has the key of the table it is about.
fn contract_of<'c>(contracts: &'c [Contract], table: &str) -> Option<&'c Contract> {
    let about = table.strip_suffix(TOMBSTONES).unwrap_or(table);
    contracts.iter().find(|c| c.name == table).or_else(|| contracts.iter().find(|c| c.name == about))
}

/// Identifiers of a table: those of a row of the list, those of its other records.
#[derive(Default)]
struct Found {
    goes: BTreeSet<Vec<String>>,
    stays: BTreeSet<Vec<String>>,
    records: u64,
}

impl Found {
    fn read(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        columns: &[String],
        listed: &Listed,
        row: usize,
    ) -> Result<()> {
        let path = store.snapshot_path(snapshot)?;
        let there = column_names(&path)?;
        if let Some(missing) = columns.iter().find(|c| !there.contains(c)) {
            let message = format!(
                "{} n'a pas la colonne « {missing} » de la clé du contrat : remettez le contrat de son ingestion",
                snapshot.path
            );
            return Err(Refusal::new("ELIM_ORDER_KEY", message).into());
        }
        let mut wanted: Vec<&str> = columns.iter().map(String::as_str).collect();
        wanted.extend(["_file", "_record"]);
        for batch in read_batches(&path, Some(&wanted))? {
            let batch = batch?;
            let names = crate::retention::record_names(&snapshot.delivery_id, &batch)?;
            let keys = keys(&batch, columns)?;
            for (name, key) in names.as_string::<i32>().iter().zip(keys) {
                match name.and_then(|n| listed.row(&snapshot.table_name, n, &[])) {
                    Some(of) if of == row => {
                        self.records += 1;
                        self.goes.insert(key);
                    }
                    // Another row of this list says so itself.
                    Some(_) => {}
                    None => {
                        self.stays.insert(key);
                    }
                }
            }
        }
        Ok(())
    }
}

fn keys(batch: &RecordBatch, columns: &[String]) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default();
    let arrays: Vec<_> = columns.iter().filter_map(|c| batch.column_by_name(c)).collect();
    let texts = arrays.iter().map(|a| ArrayFormatter::try_new(a.as_ref(), &options));
    let texts: Vec<ArrayFormatter<'_>> = texts.collect::<std::result::Result<_, _>>()?;
    let at = |row: usize| texts.iter().map(|t| t.value(row).to_string()).collect();
    Ok((0..batch.num_rows()).map(at).collect())
}

/// An order that the ledger remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedOrder {
    /// Source application.
    pub source: String,
    /// Identifier of the order.
    pub order: String,
    /// Its digest.
    pub sha256: String,
    /// Logical day.
    pub ordered_on: NaiveDate,
    /// Items to delete.
    pub items: u64,
    /// Records in the list.
    pub records: u64,
}

impl RecordedOrder {
    fn of(payload: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(payload).ok()?;
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let number = |key: &str| value.get(key)?.as_u64();
        Some(RecordedOrder {
            source: text("source")?,
            order: text("order")?,
            sha256: text("order_sha256")?,
            ordered_on: DateFormat::Iso.parse(&text("ordered_on")?)?,
            items: number("items")?,
            records: number("records")?,
        })
    }
}

/// Orders of a list that were recorded, by source.
///
/// # Errors
/// Those of the ledger.
pub fn recorded(store: &Store, list: &str) -> Result<Vec<RecordedOrder>> {
    let entries = store.ledger.journal_kind(list, RECORDED)?;
    let wrong = || Error::Corrupt(format!("ordre d'élimination de {list}"));
    entries.iter().map(|e| RecordedOrder::of(&e.payload).ok_or_else(wrong)).collect()
}

/// Records orders that were handed out, once each: their digests and counts.
///
/// # Errors
/// Those of the ledger.
pub fn record(store: &mut Store, orders: &[SourceOrder], date: NaiveDate, at: &str) -> Result<()> {
    for order in orders {
        if recorded(store, &order.list)?.iter().any(|o| o.source == order.source) {
            continue;
        }
        let classes: Vec<Value> = order
            .classes
            .iter()
            .map(|c| json!({"row": c.row, "table": c.table, "annee_scolaire": c.annee_scolaire, "records": c.records, "items": c.items}))
            .collect();
        let payload = json!({
            "list": order.list, "list_digest": order.list_digest, "visa_sha256": order.visa_sha256,
            "source": order.source, "order": order.order, "order_sha256": order.digest()?,
            "ordered_on": order.ordered_on.to_string(), "records": order.records,
            "items": order.items.len(), "classes": classes,
        });
        let date = date.to_string();
        store.ledger.transact(|tx| {
            tx.journal(&NewEntry { at, date: &date, run_id: &order.list, kind: RECORDED, payload })
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::day;
    use super::*;

    pub(in super::super) fn order() -> SourceOrder {
        let class = |row, columns: &[&str], items| OrderClass {
            annee_scolaire: "2023-2024".into(),
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            items,
            record_class: "c".into(),
            records: 3,
            row,
            table: format!("table_{row}"),
            typology: "Élèves".into(),
        };
        let item = |number, row, identifier: &[&str], kept_elsewhere| OrderItem {
            identifier: identifier.iter().map(|c| (*c).to_owned()).collect(),
            kept_elsewhere,
            number,
            row,
        };
        SourceOrder {
            archives: "Archives départementales".into(),
            classes: vec![class(1, &["id", "uai"], 2), class(4, &[], 1)],
            items: vec![
                item(1, 1, &["A1", "0750001A"], false),
                item(2, 1, &["=cmd()", "0750001A"], true),
                item(3, 4, &[], false),
            ],
            kind: "ordre-elimination",
            list: "EL-1".into(),
            list_digest: "a".repeat(64),
            not_before: day("2026-07-29"),
            order: "ORD-EL-1-ent".into(),
            ordered_on: day("2026-07-23"),
            records: 6,
            service: Service::default(),
            source: "ent".into(),
            version: 1,
            visa_on: day("2026-07-20"),
            visa_sha256: "b".repeat(64),
        }
    }

    #[test]
    fn the_files_of_an_order_say_what_goes_and_run_nothing() {
        let files: BTreeMap<String, Vec<u8>> = order().files().unwrap().into_iter().collect();
        let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
        assert_eq!(
            text("ordre-ent.csv"),
            "\u{FEFF}numero;ligne;table;annee_scolaire;identifiant;valeur;autres_donnees_gardees\r\n\
             1;1;table_1;2023-2024;id|uai;A1|0750001A;non\r\n\
             2;1;table_1;2023-2024;id|uai;'=cmd()|0750001A;oui\r\n\
             3;4;table_4;2023-2024;;(toute la classe);non\r\n"
        );
        assert!(text("retour-ent.csv").contains(&order().digest().unwrap()));
        assert!(!text("retour-ent.csv").contains("A1|"), "the form holds numbers alone");
        assert!(files["ordre-ent.pdf"].starts_with(b"%PDF"));
        let json: Value = serde_json::from_str(&text("ordre-ent.json")).unwrap();
        assert_eq!(json["items"][1]["identifier"][0], "=cmd()");
        assert_eq!(order().files().unwrap(), order().files().unwrap());
    }
}

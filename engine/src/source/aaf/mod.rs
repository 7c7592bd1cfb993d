//! AAF files (`ficAlimMENESR`, SDET annexe 4bis), first and second degree, Complet and Delta: one
//! request a record. What the contract does not name is kept in the map of extra attributes.
//!
//! A Complet is nearly all `addRequest` elements written in one way. They are cut into runs in the
//! order of the file and read by whoever is free ([`run`]); whatever else a file holds (its head and
//! its end, comments, CDATA, requests of a Delta) is read event by event, here.

mod request;
mod run;

use super::columns::RawColumns;
use super::xml::{Step, Walk};
use super::{Chunk, Delivered, FileFindings, Limits, Place, RawBatch, RecordReader, printable};
use crate::codes::Code;
use crate::contract::Contract;
use crate::error::Result;
use crate::finding::{Finding, Severity};
use request::{Layout, Requests};
pub use run::Run;
use run::{Cut, Cutter};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Root of every AAF document.
pub(super) const ROOT: &str = "ficAlimMENESR";

/// Reads an AAF file by its contract.
pub struct AafReader<'a> {
    layout: Arc<Layout<'a>>,
    walk: Walk<'a>,
    form: Requests<'a>,
    cutter: Cutter,
    limits: Limits,
}

impl<'a> AafReader<'a> {
    pub(super) fn new(
        contract: &'a Contract,
        file: Delivered<'a>,
        category: &'a str,
        identifier: Option<usize>,
        limits: Limits,
    ) -> Self {
        let layout = Arc::new(Layout::new(contract, category, identifier, file.delta));
        AafReader {
            form: Requests::new(layout.clone()),
            walk: Walk::new(file, limits),
            cutter: Cutter::new(limits.batch_bytes),
            layout,
            limits,
        }
    }

    /// Reads event by event, up to the first record at least.
    fn batch(&mut self) -> RawBatch {
        read(&mut self.walk, &mut self.form, &self.layout, self.limits)
    }
}

/// Records of a walk, as many as a batch holds.
fn read(walk: &mut Walk<'_>, form: &mut Requests<'_>, layout: &Layout<'_>, limits: Limits) -> RawBatch {
    let file = walk.file().clone();
    let mut columns = RawColumns::new(layout.contract, 256);
    let mut batch = RawBatch::default();
    let mut bytes = 0;
    while batch.places.len() < limits.batch_records && bytes < limits.batch_bytes {
        match walk.step(form) {
            Step::Continue => {}
            Step::Record => {
                bytes += form.text_len();
                form.emit(walk.records, &file, &mut columns, &mut batch);
            }
            Step::End => break,
        }
    }
    (batch.columns, batch.extra) = columns.finish();
    if !batch.is_empty() {
        batch.unknown = form.take_unknown();
    }
    batch
}

impl<'a> RecordReader<'a> for AafReader<'a> {
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>> {
        while !self.walk.done && !self.walk.in_root() {
            self.walk.step(&mut self.form);
        }
        if self.walk.done {
            return Ok(None);
        }
        // A Delta is read in the order of its requests, which are of three kinds.
        if !self.layout.delta
            && let Cut::Run { text, line, byte, records } = self.cutter.cut(self.walk.lines())
        {
            let run = Run {
                layout: self.layout.clone(),
                file: self.walk.file().clone(),
                text,
                start: Place { line, record: self.walk.records, byte },
                records,
                byte_is_char: self.walk.lines().byte_is_char(),
                limits: self.limits,
            };
            self.walk.records += records;
            return Ok(Some(Chunk::Requests(run)));
        }
        let batch = self.batch();
        Ok((!batch.is_empty()).then_some(Chunk::Ready(batch)))
    }

    fn finish(&mut self) -> FileFindings {
        let mut end = std::mem::take(&mut self.walk.end);
        end.metadata = std::mem::take(&mut self.form.header);
        end.unknown = self.form.take_unknown();
        end
    }
}

/// What is said of the attributes that the contract does not name, in the order of the file; a file
/// with too many of them is refused.
pub fn unknown_attributes(file: &Arc<str>, unknown: &BTreeMap<String, Place>) -> Vec<Finding> {
    let told = |(name, place): (&String, &Place)| {
        // Attributes have no spaces; a name of somebody has.
        let name: Arc<str> =
            if name.contains(' ') { "(nom illisible)".into() } else { printable(name).into() };
        Finding::new(
            Code::AafAttributeUnknown,
            place.origin(file, &name),
            "attribut inconnu du contrat, signalé une fois : sa valeur est gardée dans la colonne _extra",
        )
    };
    let mut findings: Vec<Finding> = unknown.iter().map(told).collect();
    findings.sort_by(|a, b| a.origin.cmp(&b.origin));
    findings
}

/// The refusal of a file whose batches together name too many unknown attributes.
pub fn too_many_unknown(file: &Arc<str>, unknown: &BTreeMap<String, Place>) -> Option<Finding> {
    let place = unknown.values().nth(request::UNKNOWN_MAX)?;
    let (code, message) = request::too_many_unknown();
    let finding = Finding::new(code, place.origin(file, &"".into()), message);
    Some(Finding { severity: Severity::Refusal, ..finding })
}

//! Any XML form described by contracts: GAR-ENT, SIECLE, STS. One pass over the document feeds
//! every table whose records stand in it; a record is the element that its contract names.
//!
//! Paths of columns are relative to the record: `NOM`, `A/B`, `@ID`, `A/@ID`, `.` (own text),
//! `../@ID` and `../X` (an ancestor's), `/PARAMETRES/UAJ` (below the root).

use super::columns::RawColumns;
use super::xml::{Form, Refusal, Step, Walk, local, unescaped};
use super::{Chunk, Delivered, FileFindings, Limits, Place, RawBatch, RecordReader, printable};
use crate::codes::Code;
use crate::contract::{Contract, Format};
use crate::error::Result;
use crate::finding::Finding;
use quick_xml::events::BytesStart;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Unknown elements told one by one.
const UNKNOWN_MAX: usize = 1000;

/// One (table, column) that takes a text or an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    table: usize,
    column: usize,
    /// Depth of the element whose start empties the slot: the record, or an ancestor of it.
    owner: usize,
}

/// An element of the form.
#[derive(Default)]
struct Node {
    children: HashMap<String, usize>,
    text: Vec<Slot>,
    attributes: HashMap<String, Vec<Slot>>,
    /// Tables whose record this element is.
    records: Vec<usize>,
}

/// Reads a document by the contracts of its tables.
pub struct DocumentReader<'a> {
    walk: Walk<'a>,
    form: Tables<'a>,
    limits: Limits,
    batches: Vec<(RawColumns, RawBatch, usize)>,
    ready: VecDeque<RawBatch>,
}

/// Values of the records being read.
struct Tables<'a> {
    contracts: Vec<&'a Contract>,
    nodes: Vec<Node>,
    root: String,
    namespace: Option<String>,
    /// Slots by the depth of their owner.
    owned: BTreeMap<usize, Vec<Slot>>,
    /// Node of each open element; `None` below an element that no contract names.
    open: Vec<Option<usize>>,
    names: Vec<String>,
    texts: Vec<String>,
    values: Vec<Vec<Vec<String>>>,
    extras: Vec<Vec<(String, String)>>,
    places: Vec<Place>,
    counts: Vec<u64>,
    /// Depth at which a record is open, outermost first.
    record_depths: Vec<usize>,
    unknown: BTreeMap<String, Place>,
    finished: Vec<usize>,
    begun: bool,
    metadata: Vec<(String, String)>,
}

impl<'a> DocumentReader<'a> {
    pub(super) fn new(contracts: &[&'a Contract], file: Delivered<'a>, limits: Limits) -> Self {
        DocumentReader {
            walk: Walk::new(file, limits),
            form: Tables::new(contracts),
            limits,
            batches: contracts.iter().map(|c| (RawColumns::new(c, 256), RawBatch::default(), 0)).collect(),
            ready: VecDeque::new(),
        }
    }

    fn flush(&mut self, table: usize) {
        let Some((columns, batch, bytes)) = self.batches.get_mut(table) else { return };
        if batch.is_empty() {
            return;
        }
        *bytes = 0;
        let mut done = std::mem::take(batch);
        done.table = table;
        (done.columns, done.extra) = columns.finish();
        self.ready.push_back(done);
    }
}

impl<'a> Tables<'a> {
    fn new(contracts: &[&'a Contract]) -> Self {
        let mut tables = Tables {
            contracts: contracts.to_vec(),
            nodes: vec![Node::default()],
            root: String::new(),
            namespace: None,
            owned: BTreeMap::new(),
            open: Vec::new(),
            names: Vec::new(),
            texts: Vec::new(),
            values: contracts.iter().map(|c| vec![Vec::new(); c.columns.len()]).collect(),
            extras: vec![Vec::new(); contracts.len()],
            places: vec![Place::default(); contracts.len()],
            counts: vec![0; contracts.len()],
            record_depths: Vec::new(),
            unknown: BTreeMap::new(),
            finished: Vec::new(),
            begun: false,
            metadata: Vec::new(),
        };
        for (table, contract) in contracts.iter().enumerate() {
            let Format::Xml { root, namespace, record } = &contract.input.format else { continue };
            tables.root.clone_from(root);
            tables.namespace.clone_from(namespace);
            let node = tables.node(record.iter().map(String::as_str));
            if let Some(n) = tables.nodes.get_mut(node) {
                n.records.push(table);
            }
            for (column, spec) in contract.columns.iter().enumerate() {
                let path = spec.path.as_deref().unwrap_or(&spec.name);
                tables.add_path(table, column, record, path);
            }
        }
        tables
    }

    /// The node at a path below the root, made where it is missing.
    fn node<'p>(&mut self, path: impl Iterator<Item = &'p str>) -> usize {
        let mut at = 0;
        for name in path {
            let next = self.nodes.len();
            let known = self.nodes.get_mut(at).map(|n| *n.children.entry(name.to_owned()).or_insert(next));
            at = known.unwrap_or(0);
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        at
    }

    fn add_path(&mut self, table: usize, column: usize, record: &[String], path: &str) {
        let (base, relative): (Vec<&str>, &str) = match path.strip_prefix('/') {
            Some(absolute) => (Vec::new(), absolute),
            None => {
                let mut base: Vec<&str> = record.iter().map(String::as_str).collect();
                let mut rest = path;
                while let Some(up) = rest.strip_prefix("../") {
                    base.pop();
                    rest = up;
                }
                (base, rest)
            }
        };
        // The root is at depth 1, so the owner stands one level below the length of its path.
        let owner = base.len() + 1;
        let mut elements = base;
        let mut attribute = None;
        for part in relative.split('/').filter(|p| *p != ".") {
            match part.strip_prefix('@') {
                Some(a) => attribute = Some(a.to_owned()),
                None => elements.push(part),
            }
        }
        let slot = Slot { table, column, owner };
        self.owned.entry(owner).or_default().push(slot);
        let node = self.node(elements.into_iter());
        if let Some(node) = self.nodes.get_mut(node) {
            match attribute {
                Some(a) => node.attributes.entry(a).or_default().push(slot),
                None => node.text.push(slot),
            }
        }
    }

    fn put(&mut self, slot: Slot, value: &str) {
        if let Some(values) = self.values.get_mut(slot.table).and_then(|t| t.get_mut(slot.column)) {
            values.push(value.to_owned());
        }
    }

    /// A place numbered in the table whose record is open.
    fn in_table(&self, place: Place) -> Place {
        let count = self.open_tables().last().and_then(|t| self.counts.get(*t)).copied().unwrap_or(0);
        Place { record: count + 1, ..place }
    }

    /// Tables whose record is open.
    fn open_tables(&self) -> Vec<usize> {
        let mut out = Vec::new();
        for node in self.open.iter().flatten().filter_map(|n| self.nodes.get(*n)) {
            out.extend(node.records.iter().copied());
        }
        out
    }

    fn remember(&mut self, name: String, value: &str, place: &mut dyn FnMut() -> Place) {
        let Some(table) = self.open_tables().last().copied() else { return };
        if let Some(extras) = self.extras.get_mut(table) {
            extras.push((name.clone(), value.to_owned()));
        }
        if self.unknown.len() < UNKNOWN_MAX && !self.unknown.contains_key(&name) {
            let at = self.in_table(place());
            self.unknown.insert(name, at);
        }
    }
}

impl Form for Tables<'_> {
    fn root(&self) -> String {
        self.root.clone()
    }

    fn start(
        &mut self,
        depth: usize,
        tag: &BytesStart<'_>,
        place: &mut dyn FnMut() -> Place,
    ) -> Result<(), Refusal> {
        let qualified = tag.name();
        let name = local(qualified.as_ref()).to_owned();
        let node = match depth {
            1 => {
                if name != self.root {
                    let message = format!(
                        "la racine attendue est <{}>, le fichier porte <{}>",
                        self.root,
                        printable(&name)
                    );
                    return Err((Code::XmlRoot, message));
                }
                if let Some(wanted) = &self.namespace {
                    let declared: Vec<String> = tag
                        .attributes()
                        .with_checks(false)
                        .flatten()
                        .filter(|a| a.key.as_ref().starts_with("xmlns"))
                        .map(|a| unescaped(&a.value))
                        .collect();
                    if !declared.contains(wanted) {
                        return Err((Code::XmlRoot, format!("l'espace de noms attendu est {wanted}")));
                    }
                }
                Some(0)
            }
            _ => self
                .open
                .last()
                .copied()
                .flatten()
                .and_then(|n| self.nodes.get(n))
                .and_then(|n| n.children.get(&name))
                .copied(),
        };
        self.open.push(node);
        self.names.push(name);
        self.texts.push(String::new());
        let is_record = node.and_then(|n| self.nodes.get(n)).is_some_and(|n| !n.records.is_empty());
        if is_record {
            // Below an outer record the outer one's length goes on being counted.
            self.begun = self.record_depths.is_empty();
            self.record_depths.push(depth);
            let at = place();
            let tables = node.and_then(|n| self.nodes.get(n)).map(|n| n.records.clone()).unwrap_or_default();
            for table in tables {
                if let Some(p) = self.places.get_mut(table) {
                    *p = at;
                }
                if let Some(extras) = self.extras.get_mut(table) {
                    extras.clear();
                }
            }
        }
        for slot in self.owned.get(&depth).cloned().unwrap_or_default() {
            let mine = node.is_some() && self.on_way(slot, depth);
            if mine && let Some(values) = self.values.get_mut(slot.table).and_then(|t| t.get_mut(slot.column))
            {
                values.clear();
            }
        }
        for a in tag.attributes().with_checks(false).flatten() {
            let key = a.key.as_ref();
            if key.starts_with("xmlns") || key.starts_with("xsi:") || key.starts_with("xml:") {
                continue;
            }
            let key = local(key);
            let slots = node.and_then(|n| self.nodes.get(n)).and_then(|n| n.attributes.get(key)).cloned();
            let value = unescaped(&a.value);
            match slots {
                Some(slots) => slots.into_iter().for_each(|s| self.put(s, &value)),
                None if depth == 1 && key.eq_ignore_ascii_case("version") => {
                    self.metadata.push((printable(key), value.chars().take(80).collect()));
                }
                None if depth > 1 && node.is_some() => self.remember(format!("@{key}"), &value, place),
                None => {}
            }
        }
        if node.is_none() && self.texts.len() > 1 && self.unknown.len() < UNKNOWN_MAX {
            let path = self.names.last().cloned().unwrap_or_default();
            let in_record = !self.record_depths.is_empty();
            let parent_known = self.open.iter().rev().nth(1).is_some_and(Option::is_some);
            if in_record && parent_known && !self.unknown.contains_key(&path) {
                let at = self.in_table(place());
                self.unknown.insert(path, at);
            }
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, _name: &str) -> bool {
        let node = self.open.pop().flatten();
        let name = self.names.pop().unwrap_or_default();
        let text = self.texts.pop().unwrap_or_default();
        match node {
            Some(n) => {
                let slots = self.nodes.get(n).map(|n| n.text.clone()).unwrap_or_default();
                slots.into_iter().for_each(|s| self.put(s, text.trim()));
            }
            None if !text.trim().is_empty() => {
                if let Some(extras) = self.open_tables().last().copied().and_then(|t| self.extras.get_mut(t))
                {
                    extras.push((name, text.trim().to_owned()));
                }
            }
            None => {}
        }
        if self.record_depths.last() == Some(&depth) {
            self.record_depths.pop();
        }
        self.finished = node.and_then(|n| self.nodes.get(n)).map(|n| n.records.clone()).unwrap_or_default();
        !self.finished.is_empty()
    }

    fn text(&mut self, text: &str) {
        if let Some(open) = self.texts.last_mut() {
            open.push_str(text);
        }
    }

    fn wants_text(&self) -> bool {
        match self.open.last() {
            Some(Some(n)) => self.nodes.get(*n).is_some_and(|n| !n.text.is_empty()),
            Some(None) => !self.record_depths.is_empty(),
            None => false,
        }
    }

    fn begins_record(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }
}

impl Tables<'_> {
    /// Whether the element just opened at `depth` is the owner of the slot: it lies on the path
    /// from the root to the slot's record.
    fn on_way(&self, slot: Slot, depth: usize) -> bool {
        let Some(Format::Xml { record, .. }) = self.contracts.get(slot.table).map(|c| &c.input.format) else {
            return false;
        };
        let path = self.names.iter().skip(1).take(depth.saturating_sub(1));
        path.eq(record.iter().take(depth.saturating_sub(1)))
    }

    fn emit(
        &mut self,
        table: usize,
        file: &Arc<str>,
        columns: &mut RawColumns,
        batch: &mut RawBatch,
    ) -> usize {
        let Some(contract) = self.contracts.get(table) else { return 0 };
        let row = batch.places.len();
        let count = self.counts.get_mut(table).map_or(0, |c| {
            *c += 1;
            *c
        });
        let place = Place { record: count, ..self.places.get(table).copied().unwrap_or_default() };
        batch.places.push(place);
        let mut bytes = 0;
        for (column, spec) in contract.columns.iter().enumerate() {
            let values = self.values.get(table).and_then(|t| t.get(column)).map_or(&[][..], |v| v.as_slice());
            bytes += values.iter().map(String::len).sum::<usize>();
            if columns.is_list(column) {
                columns.push_list(column, values.iter().map(String::as_str));
                continue;
            }
            let filled: BTreeSet<&str> =
                values.iter().map(String::as_str).filter(|v| !v.is_empty()).collect();
            if filled.len() > 1 {
                let origin = place.origin(file, &spec.name);
                batch
                    .broken
                    .push((row, Finding::new(Code::MultipleValues, origin, "une seule valeur est admise")));
                batch.raw.push((row, format!("{}={}", spec.name, values.join("|"))));
            }
            let first = values.iter().find(|v| !v.is_empty());
            if first.is_some_and(|v| v.contains('\0')) {
                let origin = place.origin(file, &spec.name);
                batch.broken.push((row, Finding::new(Code::EncNul, origin, "caractère nul dans la valeur")));
            }
            columns.push(column, first.map(String::as_str));
        }
        for (name, value) in self.extras.get(table).map_or(&[][..], |e| e.as_slice()) {
            bytes += value.len();
            columns.push_extra(name, value);
        }
        columns.end_record();
        bytes
    }
}

impl<'a> RecordReader<'a> for DocumentReader<'a> {
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>> {
        let file = self.walk.file().clone();
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(Chunk::Ready(batch)));
            }
            if self.walk.done {
                return Ok(None);
            }
            match self.walk.step(&mut self.form) {
                Step::Continue => {}
                Step::Record => {
                    for table in std::mem::take(&mut self.form.finished) {
                        let Some((columns, batch, bytes)) = self.batches.get_mut(table) else { continue };
                        *bytes += self.form.emit(table, &file, columns, batch);
                        if batch.len() >= self.limits.batch_records || *bytes >= self.limits.batch_bytes {
                            self.flush(table);
                        }
                    }
                }
                Step::End => (0..self.batches.len()).for_each(|t| self.flush(t)),
            }
        }
    }

    fn finish(&mut self) -> FileFindings {
        let mut end = std::mem::take(&mut self.walk.end);
        let file = self.walk.file().clone();
        for (name, place) in &self.form.unknown {
            end.findings.push(Finding::new(
                Code::XmlElementUnknown,
                place.origin(&file, &printable(name).into()),
                "élément inconnu du contrat, signalé une fois : sa valeur est gardée dans la colonne _extra",
            ));
        }
        end.findings.sort_by(|a, b| a.origin.cmp(&b.origin));
        end.metadata = std::mem::take(&mut self.form.metadata);
        end
    }
}

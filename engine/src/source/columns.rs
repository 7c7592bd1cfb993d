//! Builders for the raw columns of a contract.

use crate::contract::{ColumnType, Contract, Format};
use arrow::array::{ArrayRef, ListBuilder, MapBuilder, StringArray, StringBuilder};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// One builder a column, and one for what the contract does not name.
pub(super) struct RawColumns {
    builders: Vec<RawColumn>,
    extra: Option<MapBuilder<StringBuilder, ListBuilder<StringBuilder>>>,
    extra_open: Vec<(String, Vec<String>)>,
}

enum RawColumn {
    Text(Texts),
    List(ListBuilder<StringBuilder>),
}

/// Texts of a column, where the empty text is null: what is null is known from the lengths at the end,
/// which spares a look at each value.
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Texts {
    fn new(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Texts { bytes: Vec::with_capacity(rows * 8), ends }
    }

    fn push(&mut self, value: &str) {
        self.bytes.extend_from_slice(value.as_bytes());
        // A run of records is bounded far below two gigabytes.
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    fn finish(&mut self) -> StringArray {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let bytes = std::mem::take(&mut self.bytes);
        let empty = ends.windows(2).any(|w| w.first() == w.last());
        let nulls = empty.then(|| NullBuffer::from_iter(ends.windows(2).map(|w| w.first() != w.last())));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        // Only whole texts were added, so the bytes are UTF-8 cut between characters; were they not,
        // the column would be null rather than wrong.
        let rows = offsets.len() - 1;
        StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)
            .unwrap_or_else(|_| StringArray::new_null(rows))
    }
}

impl RawColumns {
    pub(super) fn new(contract: &Contract, rows: usize) -> Self {
        let builders = contract
            .columns
            .iter()
            .map(|c| match c.kind {
                ColumnType::List => RawColumn::List(ListBuilder::new(StringBuilder::new())),
                _ => RawColumn::Text(Texts::new(rows)),
            })
            .collect();
        let xml = matches!(contract.input.format, Format::Aaf { .. } | Format::Xml { .. });
        let extra =
            xml.then(|| MapBuilder::new(None, StringBuilder::new(), ListBuilder::new(StringBuilder::new())));
        RawColumns { builders, extra, extra_open: Vec::new() }
    }

    /// Appends a value; the empty text is null.
    pub(super) fn push(&mut self, column: usize, value: Option<&str>) {
        match self.builders.get_mut(column) {
            Some(RawColumn::Text(b)) => b.push(value.unwrap_or_default()),
            Some(RawColumn::List(b)) => match value {
                Some(v) if !v.is_empty() => b.append_value([Some(v)]),
                _ => b.append_null(),
            },
            None => {}
        }
    }

    /// Appends several values to a list column; empty ones are dropped.
    pub(super) fn push_list<'a>(&mut self, column: usize, values: impl Iterator<Item = &'a str>) {
        if let Some(RawColumn::List(b)) = self.builders.get_mut(column) {
            let mut any = false;
            for v in values.filter(|v| !v.is_empty()) {
                b.values().append_value(v);
                any = true;
            }
            b.append(any);
        }
    }

    /// Remembers a value that the contract does not name, for the record being built.
    pub(super) fn push_extra(&mut self, name: &str, value: &str) {
        if value.is_empty() || self.extra.is_none() {
            return;
        }
        match self.extra_open.iter_mut().find(|(n, _)| n == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => self.extra_open.push((name.to_owned(), vec![value.to_owned()])),
        }
    }

    /// Ends the record: what was remembered becomes its map, null when there was nothing.
    pub(super) fn end_record(&mut self) {
        let Some(map) = &mut self.extra else { return };
        for (name, values) in &self.extra_open {
            map.keys().append_value(name);
            map.values().append_value(values.iter().map(Some));
        }
        // A map of as many keys as values cannot fail to close.
        let _ = map.append(!self.extra_open.is_empty());
        self.extra_open.clear();
    }

    pub(super) fn is_list(&self, column: usize) -> bool {
        matches!(self.builders.get(column), Some(RawColumn::List(_)))
    }

    pub(super) fn finish(&mut self) -> (Vec<ArrayRef>, Option<ArrayRef>) {
        let columns = self
            .builders
            .iter_mut()
            .map(|b| match b {
                RawColumn::Text(b) => Arc::new(b.finish()) as ArrayRef,
                RawColumn::List(b) => Arc::new(b.finish()) as ArrayRef,
            })
            .collect();
        (columns, self.extra.as_mut().map(|m| Arc::new(m.finish()) as ArrayRef))
    }
}

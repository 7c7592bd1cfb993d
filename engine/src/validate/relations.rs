//! What a record says of other records: foreign keys, declared counts, local codes, the state that a
//! Delta changes. Everything it is compared with was settled before.

use super::column::Fault;
use super::judge::Judge;
use super::references::{Found, reference_hash};
use crate::codes::Code;
use crate::source::{RawBatch, Request};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, StringArray};
use arrow::datatypes::{Date32Type, Int64Type};

impl Judge<'_> {
    pub(super) fn foreign_keys(
        &self,
        clean: &[ArrayRef],
        typed: &[ArrayRef],
        bad: &[bool],
        faults: &mut Vec<(usize, Fault)>,
    ) {
        for (i, spec) in self.contract.columns.iter().enumerate() {
            let (Some(key), Some(known)) = (&spec.references, self.known.references.get(&i)) else {
                continue;
            };
            let with: Vec<&StringArray> = key
                .with
                .iter()
                .filter_map(|w| clean.get(*w))
                .filter_map(|c| c.as_string_opt::<i32>())
                .collect();
            let days = key.at.and_then(|at| typed.get(at)).and_then(|d| d.as_primitive_opt::<Date32Type>());
            let judge = |row: usize, value: &str| -> Option<Fault> {
                let value = key.part.map_or(Some(value), |p| value.split('$').nth(p)).unwrap_or("");
                if value.is_empty() {
                    return None;
                }
                let parts =
                    with.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }).chain([value]);
                let day = days.filter(|d| d.is_valid(row)).map(|d| d.value(row));
                let (code, message) = match known.find(reference_hash(parts), day) {
                    Found::Yes => return None,
                    Found::No => (Code::ReferenceUnknown, format!("absent de {}.{}", key.table, key.column)),
                    Found::Closed => (
                        Code::ReferenceClosed,
                        format!("présent dans {}.{}, à d'autres dates", key.table, key.column),
                    ),
                };
                Some(Fault { severity: Some(key.severity), ..Fault::new(row, code, message) })
            };
            let Some(column) = clean.get(i) else { continue };
            for row in (0..bad.len()).filter(|r| bad.get(*r) == Some(&false) && column.is_valid(*r)) {
                let fault = if let Some(list) = column.as_list_opt::<i32>() {
                    let values = list.value(row);
                    values.as_string_opt::<i32>().and_then(|v| v.iter().flatten().find_map(|v| judge(row, v)))
                } else {
                    column.as_string_opt::<i32>().and_then(|c| judge(row, c.value(row)))
                };
                faults.extend(fault.map(|f| (i, f)));
            }
        }
    }

    /// Unknown codes that the table referred to declares are local variants, not faults.
    pub(super) fn drop_local(&self, column: usize, local: bool, clean: &[ArrayRef], faults: &mut Vec<Fault>) {
        let codes = self.contract.columns.get(column).and_then(|c| c.codes.as_ref());
        let texts = clean.get(column).and_then(|c| c.as_string_opt::<i32>());
        let (Some(texts), Some(known)) = (texts.filter(|_| local), self.known.references.get(&column)) else {
            return;
        };
        faults.retain(|f| {
            f.code != Code::BcnUnknown
                || codes.is_some_and(|c| !c.may_be_local(texts.value(f.row)))
                || known.find(reference_hash(std::iter::once(texts.value(f.row))), None) == Found::No
        });
    }

    /// Numbers declared by a record against the records that refer to it.
    pub(super) fn counted(
        &self,
        clean: &[ArrayRef],
        typed: &[ArrayRef],
        bad: &[bool],
        faults: &mut Vec<(usize, Fault)>,
    ) {
        let day = super::days(self.reference.delivery_date);
        for (i, spec) in self.contract.columns.iter().enumerate() {
            let (Some(key), Some(known)) = (&spec.counts, self.known.references.get(&i)) else { continue };
            let own = self.contract.column(&key.column);
            let columns: Vec<&StringArray> = key
                .with
                .iter()
                .copied()
                .chain(own)
                .filter_map(|c| clean.get(c)?.as_string_opt::<i32>())
                .collect();
            let Some(declared) = typed.get(i).and_then(|c| c.as_primitive_opt::<Int64Type>()) else {
                continue;
            };
            for row in (0..bad.len()).filter(|r| bad.get(*r) == Some(&false) && declared.is_valid(*r)) {
                let parts = columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" });
                let found = known.count(reference_hash(parts), day);
                if u64::try_from(declared.value(row)) != Ok(found) {
                    let message = format!(
                        "{} déclarés, {found} dans {} à la date de la livraison",
                        declared.value(row),
                        key.table
                    );
                    let fault = Fault {
                        severity: Some(key.severity),
                        ..Fault::new(row, Code::CountMismatch, message)
                    };
                    faults.push((i, fault));
                }
            }
        }
    }

    /// A modification or a deletion is about somebody whom the state knows.
    pub(super) fn targets_of_requests(&self, raw: &RawBatch, bad: &[bool], faults: &mut Vec<(usize, Fault)>) {
        let (Some(state), Some(key)) = (&self.known.state, self.contract.key.first().copied()) else {
            return;
        };
        let Some(keys) = raw.columns.get(key).and_then(|c| c.as_string_opt::<i32>()) else { return };
        for (row, request) in raw.requests.iter().enumerate().filter(|(_, r)| **r != Request::Add) {
            if bad.get(row) == Some(&false)
                && keys.is_valid(row)
                && state.find(reference_hash(std::iter::once(keys.value(row))), None) == Found::No
            {
                let what = if *request == Request::Delete { "suppression" } else { "modification" };
                let message = format!("{what} d'un enregistrement que l'état ne connaît pas");
                faults.push((key, Fault::new(row, Code::DeltaTarget, message)));
            }
        }
    }

    /// Values of the accepted records that other tables refer to.
    pub(super) fn offers(&self, typed: &[ArrayRef], keep: &BooleanArray) -> Vec<(usize, u64, i32, i32)> {
        let mut out = Vec::new();
        for (n, target) in self.targets.iter().enumerate() {
            let columns: Vec<&StringArray> = target
                .columns
                .iter()
                .filter_map(|c| typed.get(*c))
                .filter_map(|c| c.as_string_opt::<i32>())
                .collect();
            if columns.len() != target.columns.len() {
                continue;
            }
            let date = |c: Option<usize>| {
                c.and_then(|c| typed.get(c)).and_then(|c| c.as_primitive_opt::<Date32Type>())
            };
            let (from, to) = (date(target.from), date(target.to));
            let day = |d: Option<&Date32Array>, row: usize, none: i32| {
                d.filter(|d| d.is_valid(row)).map_or(none, |d| d.value(row))
            };
            for row in (0..keep.len()).filter(|r| keep.value(*r)) {
                let parts = columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" });
                out.push((n, reference_hash(parts), day(from, row, i32::MIN), day(to, row, i32::MAX)));
            }
        }
        out
    }
}

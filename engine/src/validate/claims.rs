//! Claims of records on their keys, and the records that an earlier pass found to share one.

use super::column::{Fault, is_code};
use super::judge::Judge;
use super::keys::{Claim, Loser, hash_key, hash64};
use crate::codes::Code;
use crate::contract::Personal;
use crate::domain::DateFormat;
use crate::source::{RawBatch, Request};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};

impl Judge<'_> {
    /// Only records that are otherwise right claim their keys.
    pub(super) fn claims(&self, base: u64, raw: &RawBatch, clean: &[ArrayRef], bad: &[bool]) -> Vec<Claim> {
        let columns = self.key_columns(clean);
        if !self.wanted.claims || columns.is_empty() {
            return Vec::new();
        }
        let texts: Vec<Option<&StringArray>> = raw.columns.iter().map(|c| c.as_string_opt::<i32>()).collect();
        let mut claims = Vec::with_capacity(bad.len());
        let mut list_text = String::new();
        for row in (0..bad.len()).filter(|r| bad.get(*r) == Some(&false)) {
            let key = hash_key(columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }));
            list_text.clear();
            for list in raw.columns.iter().filter_map(|c| c.as_list_opt::<i32>()).filter(|l| l.is_valid(row))
            {
                let values = list.value(row);
                for v in values.as_string_opt::<i32>().into_iter().flatten().flatten() {
                    list_text.push_str(v);
                    list_text.push('\u{1F}');
                }
                list_text.push('\u{1E}');
            }
            let content = texts.iter().map(|t| t.filter(|t| t.is_valid(row)).map_or("", |t| t.value(row)));
            let request = match raw.requests.get(row) {
                Some(Request::Delete) => "delete",
                Some(Request::Modify(_)) => "modify",
                _ => "add",
            };
            let content = hash64(3, content.chain([list_text.as_str(), request]));
            let ordinal = base + raw.places.get(row).map_or(0, |p| p.record);
            claims.push(Claim { key, content, ordinal });
        }
        claims
    }

    fn key_columns<'r>(&self, clean: &'r [ArrayRef]) -> Vec<&'r StringArray> {
        self.contract
            .key
            .iter()
            .filter_map(|k| clean.get(*k))
            .filter_map(|c| c.as_string_opt::<i32>())
            .collect()
    }

    /// Records that an earlier pass found to share a key.
    pub(super) fn losers(
        &self,
        base: u64,
        raw: &RawBatch,
        clean: &[ArrayRef],
        bad: &mut [bool],
        faults: &mut Vec<(usize, Fault)>,
    ) {
        let Some(first_column) = self.contract.key.first().copied().filter(|_| !self.known.losers.is_empty())
        else {
            return;
        };
        let columns = self.key_columns(clean);
        for (row, flag) in bad.iter_mut().enumerate() {
            let ordinal = base + raw.places.get(row).map_or(0, |p| p.record);
            let Some(why) = self.known.losers.get(&ordinal) else { continue };
            if *flag {
                continue;
            }
            *flag = true;
            let key = self.key_shown(columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }));
            let (code, message) = match why {
                Loser::Copy(first) => (
                    Code::KeyDuplicate,
                    format!("clé ({key}) déjà portée par l'enregistrement n° {first}, identique"),
                ),
                Loser::Conflict(first) => (
                    Code::KeyConflict,
                    format!(
                        "clé ({key}) portée par des enregistrements qui diffèrent, dont le n° {first} : aucun n'est repris"
                    ),
                ),
            };
            faults.push((first_column, Fault::new(row, code, message)));
        }
    }

    /// Names of the key's columns, with the values that say nothing about people.
    fn key_shown<'v>(&self, values: impl Iterator<Item = &'v str>) -> String {
        let specs = self.contract.key.iter().filter_map(|k| self.contract.columns.get(*k));
        let parts = specs.zip(values).map(|(spec, value)| match spec.personal {
            Personal::None if is_code(value) || DateFormat::Iso.parse(value).is_some() => {
                format!("{} = {value}", spec.name)
            }
            _ => spec.name.to_string(),
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

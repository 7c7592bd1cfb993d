//! What the accepted values of each column look like: nulls, distinct values, extremes, most
//! frequent codes. Of a column that says something about people only the nulls are counted.

use crate::contract::{ColumnType, Contract, Personal};
use crate::finding::Severity;
use crate::french::{count, thousands};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, Time32SecondType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Distinct values followed before a column is said to have "more".
const DISTINCT_MAX: usize = 5_000;
/// Longest value shown.
const SHOWN_MAX: usize = 40;
/// Most frequent values shown.
const TOP: usize = 8;

/// A column in one batch.
#[derive(Debug, Clone, Default)]
pub struct ColumnPart {
    rows: u64,
    nulls: u64,
    low: Option<i128>,
    high: Option<i128>,
    /// `None` when there are too many values, or when they may not be looked at.
    values: Option<BTreeMap<String, u64>>,
}

/// A column of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Column.
    pub column: String,
    /// Accepted records.
    pub rows: u64,
    /// Without a value.
    pub nulls: u64,
    /// Distinct values; `None` when they are more than are followed, or not looked at.
    pub distinct: Option<u64>,
    /// Least and greatest value, as text, of numbers and dates.
    pub extremes: Option<(String, String)>,
    /// Most frequent values and their counts.
    pub top: Vec<(String, u64)>,
    /// Nothing but the nulls may be told.
    pub personal: bool,
}

/// Profiles the accepted rows of a batch.
pub fn parts(contract: &Contract, typed: &[ArrayRef], keep: &BooleanArray) -> Vec<ColumnPart> {
    contract
        .columns
        .iter()
        .zip(typed)
        .map(|(spec, array)| {
            let mut part = ColumnPart { values: Some(BTreeMap::new()), ..ColumnPart::default() };
            let open = spec.personal == Personal::None;
            for row in (0..keep.len()).filter(|r| keep.value(*r)) {
                part.rows += 1;
                if array.is_null(row) {
                    part.nulls += 1;
                } else if open {
                    if let Some(n) = number(array, row) {
                        part.low = Some(part.low.map_or(n, |l| l.min(n)));
                        part.high = Some(part.high.map_or(n, |h| h.max(n)));
                    }
                    if let Some(text) = array.as_string_opt::<i32>() {
                        part.count(text.value(row));
                    }
                }
            }
            if !open || array.as_string_opt::<i32>().is_none() {
                part.values = None;
            }
            part
        })
        .collect()
}

fn number(array: &ArrayRef, row: usize) -> Option<i128> {
    match array.data_type() {
        DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(|a| i128::from(a.value(row))),
        DataType::Date32 => array.as_primitive_opt::<Date32Type>().map(|a| i128::from(a.value(row))),
        DataType::Time32(_) => array.as_primitive_opt::<Time32SecondType>().map(|a| i128::from(a.value(row))),
        DataType::Decimal128(..) => array.as_primitive_opt::<Decimal128Type>().map(|a| a.value(row)),
        _ => None,
    }
}

impl ColumnPart {
    fn count(&mut self, value: &str) {
        let Some(values) = &mut self.values else { return };
        if let Some(n) = values.get_mut(value) {
            *n += 1;
        } else if values.len() < DISTINCT_MAX {
            values.insert(value.to_owned(), 1);
        } else {
            self.values = None;
        }
    }

    /// Adds another batch.
    pub fn merge(&mut self, other: ColumnPart) {
        let started = self.rows > 0;
        self.rows += other.rows;
        self.nulls += other.nulls;
        self.low = [self.low, other.low].into_iter().flatten().min();
        self.high = [self.high, other.high].into_iter().flatten().max();
        match (&mut self.values, other.values) {
            (_, Some(theirs)) if !started => self.values = Some(theirs),
            (Some(mine), Some(theirs)) => {
                for (value, n) in theirs {
                    *mine.entry(value).or_default() += n;
                }
                if mine.len() > DISTINCT_MAX {
                    self.values = None;
                }
            }
            _ => self.values = None,
        }
    }
}

/// The columns of a delivery, for the report.
pub fn profiles(contract: &Contract, parts: Vec<ColumnPart>) -> Vec<ColumnProfile> {
    contract
        .columns
        .iter()
        .zip(parts)
        .map(|(spec, part)| {
            let personal = spec.personal != Personal::None;
            let shown = |n: i128| match spec.kind {
                ColumnType::Date => i32::try_from(n)
                    .ok()
                    .and_then(super::from_days)
                    .map_or(String::new(), |d| d.format("%d/%m/%Y").to_string()),
                ColumnType::Time | ColumnType::Duration => {
                    format!("{:02}:{:02}:{:02}", n / 3600, n / 60 % 60, n % 60)
                }
                ColumnType::Decimal { scale, .. } => {
                    let unit = 10_i128.pow(u32::try_from(scale).unwrap_or(0));
                    format!(
                        "{}{},{:0w$}",
                        if n < 0 { "-" } else { "" },
                        (n / unit).abs(),
                        (n % unit).abs(),
                        w = usize::try_from(scale).unwrap_or(0)
                    )
                }
                _ => n.to_string(),
            };
            let distinct = part.values.as_ref().filter(|_| !personal).map(|v| v.len() as u64);
            // Free text could hold anything, people included: only columns of codes show values.
            let codes = spec.codes.is_some() || !spec.values.is_empty() || spec.uai;
            let mut top: Vec<(String, u64)> = match &part.values {
                Some(v) if !personal && codes => v
                    .iter()
                    .filter(|(t, _)| {
                        t.chars().count() <= SHOWN_MAX
                            && (spec.values.contains(t) || super::column::is_code(t))
                    })
                    .map(|(t, n)| (t.clone(), *n))
                    .collect(),
                _ => Vec::new(),
            };
            top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            top.truncate(TOP);
            ColumnProfile {
                column: spec.name.to_string(),
                rows: part.rows,
                nulls: part.nulls,
                distinct,
                extremes: part.low.zip(part.high).filter(|_| !personal).map(|(a, b)| (shown(a), shown(b))),
                top,
                personal,
            }
        })
        .collect()
}

/// What changed between two deliveries enough to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Column, or empty for the whole table.
    pub column: String,
    /// What changed, in French.
    pub message: String,
    /// Weight: a drift is never more than a warning.
    pub severity: Severity,
    /// Accepted records of the delivery before, when the drift is about their number.
    #[serde(default)]
    pub before: Option<u64>,
    /// Those of this delivery.
    #[serde(default)]
    pub now: Option<u64>,
}

/// Compares with the delivery before: rows by more than a fifth, nulls by more than five points,
/// a code never seen before or gone among the most frequent.
pub fn drift(before: &[ColumnProfile], now: &[ColumnProfile]) -> Vec<Drift> {
    let mut out = Vec::new();
    let told = |column: &str, message: String| Drift {
        column: column.into(),
        message,
        severity: Severity::Warning,
        before: None,
        now: None,
    };
    if let (Some(a), Some(b)) = (before.first(), now.first())
        && a.rows > 0
        && a.rows.abs_diff(b.rows) * 5 > a.rows
    {
        let message = format!(
            "{}, {} à la livraison précédente",
            count(b.rows, "enregistrement accepté", "enregistrements acceptés"),
            thousands(a.rows)
        );
        out.push(Drift { before: Some(a.rows), now: Some(b.rows), ..told("", message) });
    }
    for b in now {
        let Some(a) = before.iter().find(|a| a.column == b.column) else { continue };
        let share = |p: &ColumnProfile| 100 * p.nulls / p.rows.max(1);
        if share(a).abs_diff(share(b)) > 5 {
            out.push(told(
                &b.column,
                format!("{} % de valeurs absentes, {} % à la livraison précédente", share(b), share(a)),
            ));
        }
        let gone: Vec<&str> = a
            .top
            .iter()
            .filter(|(v, n)| *n * 20 > a.rows && !b.top.is_empty() && !b.top.iter().any(|(w, _)| w == v))
            .map(|(v, _)| v.as_str())
            .collect();
        if !gone.is_empty() {
            out.push(told(
                &b.column,
                format!("valeurs fréquentes qui ne le sont plus : {}", gone.join(", ")),
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_tells_rows_nulls_and_codes_that_left() {
        let profile = |rows, nulls, top: &[(&str, u64)]| ColumnProfile {
            column: "c".into(),
            rows,
            nulls,
            top: top.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect(),
            ..ColumnProfile::default()
        };
        assert_eq!(drift(&[profile(100, 0, &[("A", 90)])], &[profile(110, 1, &[("A", 99)])]), []);
        let told = drift(&[profile(100, 0, &[("A", 90), ("B", 10)])], &[profile(50, 10, &[("A", 50)])]);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told.first().map(|d| (d.before, d.now)), Some((Some(100), Some(50))));
    }
}

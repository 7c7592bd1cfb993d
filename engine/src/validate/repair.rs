//! Repairs that a contract allows, of what exports are known to break. Each is counted and told;
//! the value as it came stays in the delivery and, for a rejected record, in quarantine.

use super::column::days;
use crate::contract::{ColumnSpec, ColumnType, Repair};
use crate::domain::DateFormat;
use crate::nomenclature::academie;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use chrono::{Days, NaiveDate};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Day numbers of spreadsheets that can be dates of people or schools: 1900 to 2100.
const EXCEL: std::ops::RangeInclusive<u64> = 1..=73_415;

impl Repair {
    /// What was done, in French.
    pub fn french(self) -> &'static str {
        match self {
            Repair::DecimalComma => "virgule décimale remplacée par un point",
            Repair::LeadingZeros => "zéros de gauche restitués",
            Repair::ExcelDate => "numéro de jour d'un tableur changé en date",
            Repair::Trim => "espaces de bord retirés",
            Repair::Academie => "académie remise dans la graphie du portail",
        }
    }
}

/// The column with its repairs, and how many of each; the column itself when there is none.
pub fn repaired(spec: &ColumnSpec, raw: &ArrayRef) -> (ArrayRef, BTreeMap<Repair, u64>) {
    let mut done = BTreeMap::new();
    let Some(text) = raw.as_string_opt::<i32>().filter(|_| !spec.repair.is_empty()) else {
        return (raw.clone(), done);
    };
    let first = (0..text.len()).find(|row| text.is_valid(*row) && repair(spec, text.value(*row)).is_some());
    let Some(first) = first else { return (raw.clone(), done) };
    let mut out = StringBuilder::with_capacity(text.len(), text.values().len());
    for row in 0..text.len() {
        if text.is_null(row) {
            out.append_null();
            continue;
        }
        let value = text.value(row);
        match if row < first { None } else { repair(spec, value) } {
            Some((better, kinds)) => {
                kinds.iter().for_each(|k| *done.entry(*k).or_default() += 1);
                if better.is_empty() { out.append_null() } else { out.append_value(&better) }
            }
            None => out.append_value(value),
        }
    }
    let column: StringArray = out.finish();
    (Arc::new(column), done)
}

fn repair<'v>(spec: &ColumnSpec, value: &'v str) -> Option<(Cow<'v, str>, Vec<Repair>)> {
    let mut kinds = Vec::new();
    let mut out = Cow::Borrowed(value);
    for kind in &spec.repair {
        let better = match kind {
            Repair::Trim => {
                let trimmed = out.trim();
                (trimmed.len() != out.len()).then(|| trimmed.to_owned())
            }
            Repair::DecimalComma => decimal_comma(&out),
            Repair::LeadingZeros => spec
                .width
                .filter(|w| out.len() < *w && !out.is_empty())
                .and_then(|w| out.bytes().all(|b| b.is_ascii_digit()).then(|| format!("{out:0>w$}"))),
            Repair::ExcelDate if spec.kind == ColumnType::Date => excel_date(spec.date_format, &out),
            Repair::ExcelDate => None,
            Repair::Academie => {
                academie(&out).map(|(_, label)| label).filter(|l| *l != out).map(str::to_owned)
            }
        };
        if let Some(better) = better {
            kinds.push(*kind);
            out = Cow::Owned(better);
        }
    }
    (!kinds.is_empty()).then_some((out, kinds))
}

/// `1234,5` only: with a point or a second comma nothing says which one is the decimal mark.
fn decimal_comma(value: &str) -> Option<String> {
    let (whole, fraction) = value.split_once(',')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(fraction))
        .then(|| format!("{whole}.{fraction}"))
}

/// Spreadsheets count days from 1899-12-30 (after their 29 February 1900 that never was).
fn excel_date(format: DateFormat, value: &str) -> Option<String> {
    let number: u64 = value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok()).flatten()?;
    let day = EXCEL
        .contains(&number)
        .then(|| NaiveDate::from_ymd_opt(1899, 12, 30)?.checked_add_days(Days::new(number)))
        .flatten()
        .filter(|d| days(*d) > days(NaiveDate::from_ymd_opt(1900, 3, 1).unwrap_or_default()))?;
    Some(match format {
        DateFormat::French => day.format("%d/%m/%Y").to_string(),
        DateFormat::Iso => day.format("%Y-%m-%d").to_string(),
        DateFormat::Compact => day.format("%Y%m%d").to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_nothing_else_is_repaired() {
        assert_eq!(decimal_comma("12,50").as_deref(), Some("12.50"));
        assert_eq!(decimal_comma("-3,5").as_deref(), Some("-3.5"));
        for other in ["12.50", "1,234,5", "1.234,5", ",5", "5,", "a,b", ""] {
            assert_eq!(decimal_comma(other), None, "{other}");
        }
        assert_eq!(excel_date(DateFormat::French, "45536").as_deref(), Some("01/09/2024"));
        for other in ["0", "99999999", "01/09/2024", "1e3", ""] {
            assert_eq!(excel_date(DateFormat::French, other), None, "{other}");
        }
    }
}

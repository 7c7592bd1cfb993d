//! One column at a time: text to type, and every check that needs no other row.

use super::checksum;
use super::coded::Coded;
use super::composite::part_fields;
use crate::codes::Code;
use crate::contract::{Checksum, CodeList, ColumnSpec, ColumnType, Personal};
use crate::domain::{AnneeScolaire, Uai, UaiFault, parse_duration_seconds, parse_time_seconds};
use crate::finding::Severity;
use crate::nomenclature::{Table, Validity, Verdict, replaced_by};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Array, Date32Builder, Decimal128Builder, Int64Builder,
    StringArray, Time32SecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Days, NaiveDate};
use std::sync::Arc;

/// A check that failed: row, code, French text.
pub struct Fault {
    pub row: usize,
    pub code: Code,
    /// Weight given by the contract; the code's own when it says nothing.
    pub severity: Option<Severity>,
    /// Name of the contract's rule.
    pub rule: Option<Arc<str>>,
    pub message: String,
}

impl Fault {
    /// A fault that weighs what its code weighs.
    pub fn new(row: usize, code: Code, message: String) -> Self {
        Fault { row, code, severity: None, rule: None, message }
    }

    /// Whether the record is set aside for it.
    pub fn rejects(&self) -> bool {
        self.severity.unwrap_or_else(|| self.code.severity()) >= Severity::Error
    }
}

/// Arrow type of a checked column.
pub fn arrow_type(spec: &ColumnSpec) -> DataType {
    let text = || match spec.parts.is_empty() {
        true => DataType::Utf8,
        false => DataType::Struct(part_fields(spec)),
    };
    match spec.kind {
        ColumnType::Text => text(),
        ColumnType::AnneeScolaire => DataType::Utf8,
        ColumnType::List => DataType::new_list(text(), true),
        ColumnType::Integer | ColumnType::Duration => DataType::Int64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ColumnType::Date => DataType::Date32,
        ColumnType::Time => DataType::Time32(TimeUnit::Second),
        ColumnType::Boolean => DataType::Boolean,
    }
}

/// Days since 1970-01-01, as Date32 counts.
pub fn days(date: NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

/// The day of a Date32 value.
pub fn from_days(value: i32) -> Option<NaiveDate> {
    match u64::try_from(value) {
        Ok(n) => NaiveDate::default().checked_add_days(Days::new(n)),
        Err(_) => NaiveDate::default().checked_sub_days(Days::new(u64::from(value.unsigned_abs()))),
    }
}

/// Appends a value to a typed column, or says why it cannot.
type Parse<'a> = dyn FnMut(Option<&str>) -> Result<(), (Code, String)> + 'a;

/// A raw column, and the numbers of its values when it has few.
#[derive(Clone, Copy)]
pub struct Raw<'c> {
    /// `Utf8` or `List<Utf8>`.
    pub values: &'c ArrayRef,
    /// Numbers of the values.
    pub coded: Option<&'c Coded>,
}

/// Types and checks a raw column. Wrong values become null and a fault; `skip` rows (broken
/// frames) are not looked at. A column whose values are numbered is looked at once a value.
pub fn check(spec: &ColumnSpec, column: Raw<'_>, skip: &[bool], faults: &mut Vec<Fault>) -> ArrayRef {
    let Raw { values: raw, coded } = column;
    if let Some(list) = raw.as_list_opt::<i32>() {
        let texts: &StringArray = list.values().as_string();
        for row in (0..list.len()).filter(|r| !skip.get(*r).copied().unwrap_or(false)) {
            if spec.required && list.is_null(row) {
                faults.push(required(row));
            }
            let (start, end) = (list.value_offsets().get(row), list.value_offsets().get(row + 1));
            for i in start.copied().unwrap_or(0)..end.copied().unwrap_or(0) {
                if let Some(fault) = text_fault(spec, row, texts.value(usize::try_from(i).unwrap_or(0))) {
                    faults.push(fault);
                    break;
                }
            }
        }
        return raw.clone();
    }
    let text: &StringArray = raw.as_string();
    let mut walk = |parse: &mut Parse<'_>| {
        for row in 0..text.len() {
            let value = text.is_valid(row).then(|| text.value(row));
            let skipped = skip.get(row).copied().unwrap_or(false);
            if value.is_none() && spec.required && !skipped {
                faults.push(required(row));
            }
            if let Err((code, message)) = parse(value) {
                let severity = spec.severity.filter(|_| code == Code::Range);
                faults.push(Fault { severity, ..Fault::new(row, code, message) });
            }
        }
    };
    match spec.kind {
        ColumnType::Text | ColumnType::List | ColumnType::AnneeScolaire => {
            if let Some(coded) = coded {
                let wrong: Vec<bool> = coded.values(text).map(|v| text_fault(spec, 0, v).is_some()).collect();
                if (spec.required && text.null_count() > 0) || wrong.contains(&true) {
                    for (row, code) in coded.of_row.iter().enumerate() {
                        if skip.get(row).copied().unwrap_or(false) {
                        } else if *code == Coded::NULL {
                            faults.extend(spec.required.then(|| required(row)));
                        } else if wrong.get(*code as usize).copied().unwrap_or(false) {
                            faults.extend(text_fault(spec, row, text.value(row)));
                        }
                    }
                }
                return raw.clone();
            }
            for row in 0..text.len() {
                if text.is_valid(row) {
                    if !skip.get(row).copied().unwrap_or(false) {
                        faults.extend(text_fault(spec, row, text.value(row)));
                    }
                } else if spec.required && !skip.get(row).copied().unwrap_or(false) {
                    faults.push(required(row));
                }
            }
            raw.clone()
        }
        ColumnType::Integer => {
            let mut b = Int64Builder::with_capacity(text.len());
            walk(&mut |v| {
                let parsed = v
                    .map(|v| integer(v).ok_or_else(|| (Code::TypeInteger, shown(spec, v, "entier attendu"))));
                finish(parsed.map(|p| p.and_then(|n| in_range(spec, n, 1, v))), |n| b.append_option(n))
            });
            Arc::new(b.finish())
        }
        ColumnType::Decimal { precision, scale } => {
            let mut b = Decimal128Builder::with_capacity(text.len())
                .with_data_type(DataType::Decimal128(precision, scale));
            let unit = 10_i64.checked_pow(u32::try_from(scale).unwrap_or(0)).unwrap_or(i64::MAX);
            walk(&mut |v| {
                let parsed = v.map(|v| {
                    decimal(v, precision, scale).ok_or_else(|| {
                        (
                            Code::TypeDecimal,
                            shown(
                                spec,
                                v,
                                &format!("nombre à {scale} décimales au plus attendu, avec un point"),
                            ),
                        )
                    })
                });
                finish(parsed.map(|p| p.and_then(|n| in_range(spec, n, unit, v))), |n| b.append_option(n))
            });
            Arc::new(b.finish())
        }
        ColumnType::Date => {
            let mut b = Date32Builder::with_capacity(text.len());
            walk(&mut |v| {
                let parsed = v.map(|v| {
                    spec.date_format.parse(v).map(days).ok_or_else(|| {
                        (
                            Code::TypeDate,
                            shown(spec, v, &format!("date réelle {} attendue", spec.date_format.french())),
                        )
                    })
                });
                finish(parsed, |n| b.append_option(n))
            });
            Arc::new(b.finish())
        }
        ColumnType::Time => {
            let mut b = Time32SecondBuilder::with_capacity(text.len());
            walk(&mut |v| {
                let parsed = v.map(|v| {
                    parse_time_seconds(v)
                        .ok_or_else(|| (Code::TypeTime, shown(spec, v, "heure hh:mm attendue")))
                });
                finish(parsed, |n| b.append_option(n))
            });
            Arc::new(b.finish())
        }
        ColumnType::Duration => {
            let mut b = Int64Builder::with_capacity(text.len());
            walk(&mut |v| {
                let parsed = v.map(|v| {
                    parse_duration_seconds(v)
                        .ok_or_else(|| (Code::TypeDuration, shown(spec, v, "durée hh:mm:ss attendue")))
                });
                finish(parsed, |n| b.append_option(n))
            });
            Arc::new(b.finish())
        }
        ColumnType::Boolean => {
            let mut b = BooleanBuilder::with_capacity(text.len());
            let (yes, no) = &spec.marks;
            walk(&mut |v| {
                let parsed = v.map(|v| match v {
                    _ if v == yes => Ok(true),
                    _ if v == no => Ok(false),
                    _ => Err((Code::TypeBoolean, shown(spec, v, &format!("« {yes} » ou « {no} » attendu")))),
                });
                finish(parsed, |n| b.append_option(n))
            });
            Arc::new(b.finish())
        }
    }
}

/// Judges codes against a nomenclature, at the date of the row or the delivery's.
pub fn check_codes(
    spec: &ColumnSpec,
    table: Option<&Table>,
    column: Raw<'_>,
    dates: Option<&Date32Array>,
    or: Option<&StringArray>,
    default_date: NaiveDate,
    faults: &mut Vec<Fault>,
) {
    let Some(codes) = &spec.codes else { return };
    let Raw { values: raw, coded } = column;
    let day_of = |row: usize| dates.filter(|d| d.is_valid(row)).and_then(|d| from_days(d.value(row)));
    let mut judge = |row: usize, value: &str| -> bool {
        let (part, code) = part_and_code(codes, value);
        let at = day_of(row).unwrap_or(default_date);
        let day = |d: NaiveDate| d.format("%d/%m/%Y");
        let (fault, text) = match table.map_or(Verdict::Unknown, |t| t.judge(code, at)) {
            Verdict::Valid => return true,
            // A local variant is judged by the national code that it is attached to.
            Verdict::Unknown
                if codes.may_be_local(part)
                    && or.is_some_and(|o| {
                        let other = if o.is_valid(row) { o.value(row) } else { "" };
                        let other = codes.prefix.and_then(|n| other.get(..n)).unwrap_or(other);
                        table.is_some_and(|t| t.judge(other, at) == Verdict::Valid)
                    }) =>
            {
                return true;
            }
            Verdict::Unknown => (Code::BcnUnknown, format!("code absent de {}", codes.table)),
            Verdict::NotYetOpen(d) => (
                Code::BcnNotYetOpen,
                format!("code de {} ouvert le {} seulement, jugé au {}", codes.table, day(d), day(at)),
            ),
            Verdict::Closed { last_day, successors } => (
                Code::BcnClosed,
                format!(
                    "code de {} fermé depuis le {}{}, jugé au {}",
                    codes.table,
                    day(last_day),
                    replaced_by(successors),
                    day(at)
                ),
            ),
        };
        faults.push(Fault { severity: spec.severity, ..Fault::new(row, fault, shown(spec, value, &text)) });
        false
    };
    if let Some(list) = raw.as_list_opt::<i32>() {
        for row in (0..list.len()).filter(|r| list.is_valid(*r)) {
            let values = list.value(row);
            let values: &StringArray = values.as_string();
            let _ = values.iter().flatten().all(|v| judge(row, v));
        }
    } else if let (Some(text), Some(coded)) = (raw.as_string_opt::<i32>(), coded) {
        let spans: Vec<Vec<(i32, i32)>> =
            coded.values(text).map(|v| spans(table, part_and_code(codes, v).1)).collect();
        let default_day = days(default_date);
        for (row, code) in coded.of_row.iter().enumerate().filter(|(_, c)| **c != Coded::NULL) {
            let day = dates.filter(|d| d.is_valid(row)).map_or(default_day, |d| d.value(row));
            let open =
                spans.get(*code as usize).is_some_and(|s| s.iter().any(|(a, b)| *a <= day && day <= *b));
            if !open {
                judge(row, text.value(row));
            }
        }
    }
}

/// The part of a value that a list of codes is about, and the code in it.
fn part_and_code<'v>(codes: &CodeList, value: &'v str) -> (&'v str, &'v str) {
    let part = codes.part.map_or(Some(value), |p| value.split('$').nth(p)).unwrap_or("");
    (part, codes.prefix.and_then(|n| part.get(..n)).unwrap_or(part))
}

/// When a code holds: first and last days, counted as in Date32.
fn spans(table: Option<&Table>, code: &str) -> Vec<(i32, i32)> {
    let windows = table.map_or(&[][..], |t| t.windows(code));
    let span = |w: &Validity| (w.open.map_or(i32::MIN, days), w.close.map_or(i32::MAX, days));
    windows.iter().map(span).collect()
}

fn finish<T>(
    parsed: Option<Result<T, (Code, String)>>,
    mut append: impl FnMut(Option<T>),
) -> Result<(), (Code, String)> {
    match parsed {
        None => append(None),
        Some(Ok(v)) => append(Some(v)),
        Some(Err(fault)) => {
            append(None);
            return Err(fault);
        }
    }
    Ok(())
}

fn required(row: usize) -> Fault {
    Fault::new(row, Code::Required, "valeur obligatoire absente".into())
}

/// A message with the value, when it can be nothing but a code: the column says nothing about
/// people, and the value is what a code looks like. In a row whose columns slid, a name or a
/// national pupil number may stand anywhere, so anything else is not shown.
fn shown(spec: &ColumnSpec, value: &str, text: &str) -> String {
    match spec.personal {
        Personal::None if is_code(value) => format!("« {value} » : {text}"),
        _ => text.to_owned(),
    }
}

/// Whether a value can be nothing but a code.
pub fn is_code(value: &str) -> bool {
    let code = (1..=16).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_digit());
    // INE: nine or ten digits and one or two letters.
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let ine = value.len() == 11 && (9..=10).contains(&digits);
    code && !ine
}

fn text_fault(spec: &ColumnSpec, row: usize, value: &str) -> Option<Fault> {
    let fault = |code, text: &str| {
        Some(Fault { severity: spec.severity, ..Fault::new(row, code, shown(spec, value, text)) })
    };
    if spec.kind == ColumnType::AnneeScolaire && AnneeScolaire::parse(value).is_none() {
        let message = shown(spec, value, "année scolaire attendue, par exemple 2025-2026");
        return Some(Fault::new(row, Code::TypeAnneeScolaire, message));
    }
    if spec.uai {
        match Uai::parse(value) {
            Ok(_) => {}
            Err(UaiFault::Format) => return fault(Code::UaiFormat, "sept chiffres et une lettre attendus"),
            Err(UaiFault::Letter { expected }) => {
                return fault(Code::UaiLetter, &format!("lettre de contrôle attendue : {expected}"));
            }
        }
    }
    if spec.pattern.as_ref().is_some_and(|p| !p.is_match(value)) {
        return fault(Code::Pattern, "forme inattendue pour cette colonne");
    }
    if !spec.values.is_empty() && !spec.values.iter().any(|v| v == value) {
        return fault(Code::Enum, &format!("valeurs admises : {}", spec.values.join(", ")));
    }
    if !spec.parts.is_empty() && value.split('$').count() > spec.parts.len() {
        return fault(
            Code::CompositeParts,
            &format!("{} parties au plus, séparées par « $ »", spec.parts.len()),
        );
    }
    if let Some(kind) = spec.checksum
        && !checksum::passes(kind, value)
    {
        let code = if kind == Checksum::Ine { Code::CheckIne } else { Code::CheckSiren };
        return fault(code, "clé de contrôle fausse");
    }
    None
}

fn in_range<N: Copy + Into<i128>>(
    spec: &ColumnSpec,
    n: N,
    unit: i64,
    value: Option<&str>,
) -> Result<N, (Code, String)> {
    let (wide, unit): (i128, i128) = (n.into(), unit.into());
    let low = spec.min.is_some_and(|m| wide < i128::from(m) * unit);
    let high = spec.max.is_some_and(|m| wide > i128::from(m) * unit);
    if !low && !high {
        return Ok(n);
    }
    let bounds = match (spec.min, spec.max) {
        (Some(a), Some(b)) => format!("valeur entre {a} et {b} attendue"),
        (Some(a), None) => format!("valeur d'au moins {a} attendue"),
        (None, Some(b)) => format!("valeur d'au plus {b} attendue"),
        (None, None) => String::new(),
    };
    Err((Code::Range, shown(spec, value.unwrap_or(""), &bounds)))
}

/// Digits with an optional minus; no sign, space, separator or exponent is guessed at.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    if digits.is_empty() {
        return None;
    }
    // Counted downwards: the least integer has no opposite.
    let least = digits.bytes().try_fold(0_i64, |n, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { n.checked_mul(10)?.checked_sub(i64::from(digit)) }
    })?;
    if negative { Some(least) } else { least.checked_neg() }
}

/// An exact decimal as a count of its smallest unit.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, body) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let digits_only = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || !digits_only(whole)
        || !digits_only(fraction)
        || fraction.len() > scale
        || body.ends_with('.')
    {
        return None;
    }
    let mut n: i128 = 0;
    for d in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', scale - fraction.len())) {
        n = n.checked_mul(10)?.checked_add(i128::from(d - b'0'))?;
    }
    (n < 10_i128.checked_pow(u32::from(precision))?).then_some(if negative { -n } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        for (text, want) in [
            ("12", Some(1200)),
            ("12.5", Some(1250)),
            ("-0.01", Some(-1)),
            ("0012.30", Some(1230)),
            ("9999999999.99", Some(999_999_999_999)),
        ] {
            assert_eq!(decimal(text, 12, 2), want, "{text}");
        }
        for bad in [
            "",
            "12,5",
            "12.345",
            "1e3",
            "NaN",
            "+1",
            ".5",
            "5.",
            "1 000",
            "12.3.4",
            "99999999999.99",
            "1e309",
            "--1",
        ] {
            assert_eq!(decimal(bad, 12, 2), None, "{bad}");
        }
        for bad in ["", "12,5", "1.0", "+1", " 1", "9223372036854775808", "-", "0x1", "1e3", "²"] {
            assert_eq!(integer(bad), None, "{bad}");
        }
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
    }

    proptest! {
        #[test]
        fn days_round_trip(n in -40_000_i32..2_600_000) {
            prop_assert_eq!(from_days(n).map(days), Some(n));
        }

        #[test]
        fn any_cents_read_back(n in 0_i128..1_000_000_000_000) {
            let text = format!("{}.{:02}", n / 100, n % 100);
            prop_assert_eq!(decimal(&text, 12, 2), (n < 1_000_000_000_000).then_some(n));
        }
    }
}

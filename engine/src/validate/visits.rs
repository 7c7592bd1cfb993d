//! Raw hits made into visits by the ACPM rule: the pages of one visitor, ended by strictly more than
//! a given time without a new page.
//!
//! A visit is made of the pages of one visitor within one group; it belongs to the week of its first
//! page, in legal time. Hits may come in any order and in any number: they are spilled, and each
//! visitor's pages come back in the order of time.
//!
//! Visitors are compared by 128 bits of hash, as keys are (see `keys`).

use super::keys::hash_key;
use super::{days, from_days};
use crate::contract::VisitsSpec;
use crate::error::{Error, Result};
use crate::store::Spill;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime};
use chrono_tz::Europe::Paris;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Names of the columns of the result that are not those of the contract.
pub const COLUMNS: [&str; 5] = ["semaine", "visites", "visiteurs", "duree_s", "pages"];

const SECOND: u64 = 1_000_000_000;

/// Values of the group columns.
type Values = Box<[Option<String>]>;

/// A hit on its way to the others: hash of the visitor, group, nanoseconds since 1970.
type Hit = (u128, u32, i64);

/// A spilled hit, so that bytes in order are hits in order: 16 bytes of hash, 4 of group, 8 of time.
type Record = [u8; 28];

/// The hits of one batch.
pub struct VisitsPartial {
    groups: Vec<Values>,
    hits: Vec<Hit>,
}

/// Takes the accepted hits of a batch. A row without instant or visitor is no hit: contracts require
/// both, and [`unreadable`] finds the instants that are none.
pub fn partial(spec: &VisitsSpec, typed: &[ArrayRef], keep: &BooleanArray) -> VisitsPartial {
    let mut out = VisitsPartial { groups: Vec::new(), hits: Vec::with_capacity(keep.true_count()) };
    let (Some(at), Some(visitor)) = (text(typed, spec.at), text(typed, spec.visitor)) else { return out };
    let by: Vec<Option<&StringArray>> = spec.by.iter().map(|i| text(typed, *i)).collect();
    let mut known: Map<Vec<Option<&str>>, (u32, u128)> = Map::default();
    let mut key: Vec<Option<&str>> = Vec::with_capacity(by.len());
    for row in (0..keep.len()).filter(|r| keep.value(*r)) {
        let (Some(at), Some(visitor)) = (value(at, row).and_then(instant), value(visitor, row)) else {
            continue;
        };
        key.clear();
        key.extend(by.iter().map(|c| c.and_then(|c| value(c, row))));
        let (group, salt) = match known.get(key.as_slice()) {
            Some(found) => *found,
            None => {
                let next = u32::try_from(out.groups.len()).unwrap_or(u32::MAX);
                let new = (next, hash_key(key.iter().map(|v| v.unwrap_or("\0"))));
                out.groups.push(key.iter().map(|v| v.map(str::to_owned)).collect());
                known.insert(key.clone(), new);
                new
            }
        };
        // The group spreads a pseudonym that very many share (consent refused) over the partitions.
        out.hits.push((hash_key(std::iter::once(visitor)) ^ salt, group, at));
    }
    out
}

fn text(typed: &[ArrayRef], column: usize) -> Option<&StringArray> {
    typed.get(column).and_then(|a| a.as_string_opt::<i32>())
}

fn value(column: &StringArray, row: usize) -> Option<&str> {
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

/// Rows whose instant cannot be read.
pub fn unreadable(spec: &VisitsSpec, typed: &[ArrayRef]) -> Vec<usize> {
    let Some(at) = text(typed, spec.at) else { return Vec::new() };
    (0..at.len()).filter(|r| value(at, *r).is_some_and(|v| instant(v).is_none())).collect()
}

/// Nanoseconds since 1970 of `yyyy-mm-ddThh:mm:ssZ`, or with `+00:00`, or `yyyy-mm-dd hh:mm:ss`
/// read as UTC; each with up to nine decimals of a second.
fn instant(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19)?;
    let number = |from: usize, to: usize| {
        let digits = head.get(from..to).filter(|d| d.iter().all(u8::is_ascii_digit))?;
        Some(digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0')))
    };
    let is = |at: usize, mark: u8| head.get(at) == Some(&mark);
    if !(is(4, b'-') && is(7, b'-') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (nanos, zone) = match tail.split_first() {
        Some((b'.', rest)) => {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let (digits, zone) = rest.split_at_checked(digits).filter(|(d, _)| (1..=9).contains(&d.len()))?;
            let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
            (padded.fold(0_u32, |n, d| n * 10 + u32::from(d - b'0')), zone)
        }
        _ => (0, tail),
    };
    match (head.get(10)?, zone) {
        (b'T', b"Z" | b"+00:00") | (b' ', b"") => {}
        _ => return None,
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
    let time = NaiveTime::from_hms_nano_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?, nanos)?;
    date.and_time(time).and_utc().timestamp_nanos_opt()
}

/// Monday of the week of an instant, in legal time, as Date32 counts.
fn week(at: i64) -> i32 {
    let day = days(DateTime::from_timestamp_nanos(at).with_timezone(&Paris).date_naive());
    day - from_days(day).map_or(0, |d| d.weekday().num_days_from_monday().cast_signed())
}

/// The visits of one group and week.
#[derive(Default)]
struct Sums {
    visits: i64,
    visitors: i64,
    nanos: i128,
    pages: i64,
}

/// All batches together.
pub struct Visits {
    spec: VisitsSpec,
    ids: Map<Values, u32>,
    groups: Vec<Values>,
    hits: Spill<28>,
}

impl Visits {
    /// No hit yet.
    pub fn new(spec: &VisitsSpec) -> Self {
        Visits { spec: spec.clone(), ids: Map::default(), groups: Vec::new(), hits: Spill::default() }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// When the temporary folder is full.
    pub fn add(&mut self, part: VisitsPartial) -> Result<()> {
        let mut ids = Vec::with_capacity(part.groups.len());
        for values in part.groups {
            let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
            let id = *self.ids.entry(values).or_insert_with_key(|values| {
                self.groups.push(values.clone());
                next
            });
            ids.push(id);
        }
        for (visitor, group, at) in part.hits {
            let group = ids.get(group as usize).copied().unwrap_or(u32::MAX);
            self.hits.add(record(visitor, group, at))?;
        }
        Ok(())
    }

    /// The visits, sorted by week and group. `name` gives the names of the contract's columns.
    ///
    /// # Errors
    /// When a sum does not fit 64 bits or the temporary files cannot be read.
    pub fn finish<'n>(self, name: &dyn Fn(usize) -> &'n str) -> Result<RecordBatch> {
        let gap = u64::from(self.spec.gap_minutes).saturating_mul(60 * SECOND);
        let mut cells: Map<(i32, u32), Sums> = Map::default();
        self.hits.each_partition(|records| {
            for pages in records.chunk_by(|a, b| a.first_chunk::<20>() == b.first_chunk::<20>()) {
                let mut last_week = None;
                for visit in pages.chunk_by(|a, b| time(b).abs_diff(time(a)) <= gap) {
                    let (Some(first), Some(last)) = (visit.first(), visit.last()) else { continue };
                    let week = week(time(first));
                    let sums = cells.entry((week, group(first))).or_default();
                    sums.visits += 1;
                    // Weeks of a visitor come in order.
                    sums.visitors += i64::from(last_week.replace(week) != Some(week));
                    sums.nanos += i128::from(time(last).abs_diff(time(first)));
                    sums.pages += i64::try_from(visit.len()).unwrap_or(i64::MAX);
                }
            }
            Ok(())
        })?;
        drop(self.ids);
        let mut order: Vec<u32> = (0..).take(self.groups.len()).collect();
        order.sort_unstable_by_key(|g| self.groups.get(*g as usize));
        let mut rank = vec![0_u32; order.len()];
        for (n, g) in (0_u32..).zip(&order) {
            if let Some(slot) = rank.get_mut(*g as usize) {
                *slot = n;
            }
        }
        let sorted: BTreeMap<(i32, u32), (u32, Sums)> = cells
            .into_iter()
            .map(|((week, g), sums)| ((week, rank.get(g as usize).copied().unwrap_or(u32::MAX)), (g, sums)))
            .collect();
        let [week, visits, visitors, duration, pages] = COLUMNS;
        let mut fields = vec![Field::new(week, DataType::Date32, false)];
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(Date32Array::from_iter_values(sorted.keys().map(|(week, _)| *week)))];
        for (c, i) in self.spec.by.iter().enumerate() {
            let of = |g: u32| self.groups.get(g as usize).and_then(|v| v.get(c)).and_then(|v| v.as_deref());
            fields.push(Field::new(name(*i), DataType::Utf8, true));
            columns.push(Arc::new(StringArray::from_iter(sorted.values().map(|(g, _)| of(*g)))));
        }
        // Durations are added to the nanosecond, and the sum cut to whole seconds.
        let seconds = sorted.values().map(|(_, s)| {
            i64::try_from(s.nanos / i128::from(SECOND))
                .map_err(|_| Error::Write("durée des visites : plus de 64 bits".into()))
        });
        let measures = [
            (visits, sorted.values().map(|(_, s)| s.visits).collect()),
            (visitors, sorted.values().map(|(_, s)| s.visitors).collect()),
            (duration, seconds.collect::<Result<Vec<i64>>>()?),
            (pages, sorted.values().map(|(_, s)| s.pages).collect()),
        ];
        for (name, values) in measures {
            fields.push(Field::new(name, DataType::Int64, false));
            columns.push(Arc::new(Int64Array::from(values)));
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

fn record(visitor: u128, group: u32, at: i64) -> Record {
    let mut record = [0; 28];
    // With its sign turned over, a time before 1970 comes first among bytes as it does in time.
    let at = at.cast_unsigned() ^ (1 << 63);
    let bytes = visitor.to_be_bytes().into_iter().chain(group.to_be_bytes()).chain(at.to_be_bytes());
    record.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    record
}

fn group(record: &Record) -> u32 {
    record.get(16..20).and_then(|b| b.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes)
}

fn time(record: &Record) -> i64 {
    record.last_chunk::<8>().map_or(0, |b| (u64::from_be_bytes(*b) ^ (1 << 63)).cast_signed())
}

#[cfg(test)]
mod tests;

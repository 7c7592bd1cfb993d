//! Periods that overlap: a teacher in two lessons at once. Any number of records, in bounded memory;
//! which records are told does not depend on their order.

use super::keys::hash_key;
use crate::contract::OverlapSpec;
use crate::error::Result;
use crate::source::Place;
use crate::store::Spill;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{Date32Type, Time32SecondType};

/// A period: 16 bytes of who and which day, its beginning and end, then the file, line and record.
pub type Period = [u8; 42];

/// Periods of the accepted records of a batch; `file` is the number of the file in its lot.
pub fn periods(
    spec: &OverlapSpec,
    typed: &[ArrayRef],
    keep: &BooleanArray,
    places: &[Place],
    file: u16,
) -> Vec<Period> {
    let mut out = Vec::new();
    let days = typed.get(spec.date).and_then(|d| d.as_primitive_opt::<Date32Type>());
    let time = |i: usize| typed.get(i).and_then(|d| d.as_primitive_opt::<Time32SecondType>());
    let (Some(days), Some(from), Some(to)) = (days, time(spec.from), time(spec.to)) else { return out };
    let only =
        spec.only.as_ref().and_then(|(c, v)| Some((typed.get(*c)?.as_string_opt::<i32>()?, v.as_str())));
    for row in (0..keep.len()).filter(|r| keep.value(*r)) {
        let counts = only.is_none_or(|(column, value)| column.is_valid(row) && column.value(row) == value);
        if !counts || days.is_null(row) || from.is_null(row) || to.is_null(row) {
            continue;
        }
        let (Some(start), Some(end)) =
            (u32::try_from(from.value(row)).ok(), u32::try_from(to.value(row)).ok())
        else {
            continue;
        };
        let place = places.get(row).copied().unwrap_or_default();
        let mut groups: Vec<Vec<String>> = vec![vec![days.value(row).to_string()]];
        for column in spec.by.iter().filter_map(|i| typed.get(*i)) {
            let values: Vec<String> = if let Some(list) = column.as_list_opt::<i32>() {
                let values = list.value(row);
                let texts = values.as_string_opt::<i32>().into_iter().flatten().flatten().map(str::to_owned);
                if list.is_valid(row) { texts.collect() } else { Vec::new() }
            } else {
                column
                    .as_string_opt::<i32>()
                    .filter(|c| c.is_valid(row))
                    .map(|c| c.value(row).to_owned())
                    .into_iter()
                    .collect()
            };
            groups = groups
                .iter()
                .flat_map(|g| values.iter().map(|v| [g.as_slice(), std::slice::from_ref(v)].concat()))
                .collect();
        }
        // Somebody named twice in one lesson is there once.
        groups.sort();
        groups.dedup();
        for group in groups {
            let key = hash_key(group.iter().map(String::as_str));
            let bytes = key
                .to_be_bytes()
                .into_iter()
                .chain(start.to_be_bytes())
                .chain(end.to_be_bytes())
                .chain(file.to_be_bytes())
                .chain(place.line.to_be_bytes())
                .chain(place.record.to_be_bytes());
            let mut period = [0; 42];
            period.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            out.push(period);
        }
    }
    out
}

/// Records whose period begins before an earlier one of the same group has ended: (file, place).
///
/// # Errors
/// When the temporary files cannot be read.
pub fn overlapping(periods: Spill<42>) -> Result<Vec<(u16, Place)>> {
    let mut out = Vec::new();
    periods.each_partition(|all| {
        for group in all.chunk_by(|a, b| a.first_chunk::<16>() == b.first_chunk::<16>()) {
            let mut latest = 0;
            for (n, period) in group.iter().enumerate() {
                let number = |at: std::ops::Range<usize>| {
                    period.get(at).unwrap_or_default().iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b))
                };
                let (start, end) = (number(16..20), number(20..24));
                if n > 0 && start < latest {
                    let place = Place { line: number(26..34), record: number(34..42), byte: 0 };
                    out.push((u16::try_from(number(24..26)).unwrap_or(0), place));
                }
                latest = latest.max(end);
            }
        }
        Ok(())
    })?;
    out.sort_by_key(|(file, place)| (*file, place.record));
    out.dedup();
    Ok(out)
}

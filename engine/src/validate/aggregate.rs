//! Summaries of the accepted records, exact, in bounded memory: sums and distinct counts by groups.
//! Each batch is summed up where it is judged; what is left to put together is small.

use super::coded::Coded;
use super::keys::hash64;
use crate::contract::{AggregateSpec, ColumnType, Contract};
use crate::error::{Error, Result};
use crate::store::Spill;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use chrono::Datelike;
use hashbrown::HashTable;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A summary of one batch. Groups are rows of codes, one code a group column.
pub struct Partial {
    months: Vec<i32>,
    values: Vec<Vec<String>>,
    /// Month and value codes of each group, one after the other.
    keys: Vec<u32>,
    /// Sums of each group, one after the other.
    sums: Vec<i128>,
    /// (group, distinct column, hash of the value).
    distinct: Vec<(u32, u32, u64)>,
}

/// Sums up the accepted rows of a batch, whose grouping and counted columns are numbered.
pub fn partial(
    spec: &AggregateSpec,
    typed: &[ArrayRef],
    coded: &[Option<Coded>],
    keep: &BooleanArray,
) -> Partial {
    let numbered = |i: &usize| {
        let text = typed.get(*i).and_then(|a| a.as_string_opt::<i32>())?;
        Some((coded.get(*i)?.as_ref()?, text))
    };
    let groups: Vec<(&Coded, &StringArray)> = spec.by.iter().filter_map(numbered).collect();
    let counted: Vec<(&Coded, &StringArray)> = spec.count_distinct.iter().filter_map(numbered).collect();
    let sums: Vec<Summed<'_>> = spec.sum.iter().filter_map(|i| Summed::of(typed.get(*i)?)).collect();
    let months = Months::of(spec.month_of.and_then(|i| typed.get(i)), keep);
    let mut out = Partial {
        months: months.firsts.clone(),
        values: groups.iter().map(|(c, t)| c.values(t).map(str::to_owned).collect()).collect(),
        keys: Vec::new(),
        sums: Vec::new(),
        distinct: Vec::new(),
    };
    let mut index = Index::of(months.firsts.len(), &groups, keep.true_count());
    let stride = groups.len() + 1;
    let mut key: Vec<u32> = Vec::with_capacity(stride);
    // (group, value) of each counted column.
    let mut pairs: Vec<Vec<u64>> = vec![Vec::new(); counted.len()];
    for row in (0..keep.len()).filter(|r| keep.value(*r)) {
        key.clear();
        key.push(months.of_row.get(row).copied().unwrap_or(NONE));
        key.extend(groups.iter().map(|(c, _)| c.of_row.get(row).copied().unwrap_or(NONE)));
        let next = u32::try_from(out.keys.len() / stride).unwrap_or(NONE);
        let group = index.group(&key, next);
        if group == next {
            out.keys.extend(&key);
            out.sums.resize(out.sums.len() + sums.len(), 0);
        }
        let at = group as usize * sums.len();
        if let Some(totals) = out.sums.get_mut(at..at + sums.len()) {
            for (total, column) in totals.iter_mut().zip(&sums) {
                *total += column.value(row);
            }
        }
        for ((column, _), pairs) in counted.iter().zip(&mut pairs) {
            let value = column.of_row.get(row).copied().unwrap_or(NONE);
            if value != NONE {
                pairs.push((u64::from(group) << 32) | u64::from(value));
            }
        }
    }
    for (n, (mut pairs, (column, text))) in (0_u32..).zip(pairs.into_iter().zip(&counted)) {
        let hashes: Vec<u64> = column.values(text).map(|v| hash64(7, std::iter::once(v))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        out.distinct.extend(pairs.into_iter().filter_map(|pair| {
            let value = hashes.get(usize::try_from(pair & u64::from(u32::MAX)).ok()?)?;
            Some((u32::try_from(pair >> 32).ok()?, n, *value))
        }));
    }
    out
}

/// The number of no month, of no value and of no group.
const NONE: u32 = Coded::NULL;

/// Combinations of values of which a batch has a table of groups.
const CELLS_MAX: usize = 1 << 19;

/// Groups of a batch by their keys: a table with a cell for each combination where there are few.
enum Index {
    Cells { sizes: Vec<usize>, groups: Vec<u32> },
    Hashed(Map<Vec<u32>, u32>),
}

impl Index {
    fn of(months: usize, columns: &[(&Coded, &StringArray)], rows: usize) -> Self {
        // One more for no value.
        let sizes: Vec<usize> =
            std::iter::once(months + 1).chain(columns.iter().map(|(c, _)| c.len() + 1)).collect();
        match sizes.iter().try_fold(1_usize, |n, size| n.checked_mul(*size)) {
            Some(cells) if cells <= CELLS_MAX.min(rows.saturating_mul(16)) => {
                Index::Cells { sizes, groups: vec![NONE; cells] }
            }
            _ => Index::Hashed(Map::default()),
        }
    }

    /// The group of a key; `next` when it is new.
    fn group(&mut self, key: &[u32], next: u32) -> u32 {
        match self {
            Index::Cells { sizes, groups } => {
                let cell = key
                    .iter()
                    .zip(sizes.iter())
                    .fold(0, |cell, (code, size)| cell * size + (*code as usize).min(size - 1));
                let Some(group) = groups.get_mut(cell) else { return next };
                if *group == NONE {
                    *group = next;
                }
                *group
            }
            Index::Hashed(groups) => match groups.get(key) {
                Some(group) => *group,
                None => {
                    groups.insert(key.to_vec(), next);
                    next
                }
            },
        }
    }
}

/// Months as numbers.
struct Months {
    of_row: Vec<u32>,
    /// First day of each month.
    firsts: Vec<i32>,
}

impl Months {
    fn of(dates: Option<&ArrayRef>, keep: &BooleanArray) -> Self {
        let Some(dates) = dates.and_then(|a| a.as_primitive_opt::<Date32Type>()) else {
            return Months { of_row: vec![NONE; keep.len()], firsts: Vec::new() };
        };
        // A few hundred days come back in every row.
        let mut of_day: Map<i32, u32> = Map::default();
        let mut firsts: Vec<i32> = Vec::new();
        let of_row = dates.iter().map(|day| {
            day.map_or(NONE, |day| {
                *of_day.entry(day).or_insert_with(|| {
                    let first = month_of(day);
                    let known = firsts.iter().position(|f| *f == first).unwrap_or_else(|| {
                        firsts.push(first);
                        firsts.len() - 1
                    });
                    u32::try_from(known).unwrap_or(NONE)
                })
            })
        });
        Months { of_row: of_row.collect(), firsts }
    }
}

/// A column that is added up: integers, or decimals as counts of their smallest unit.
enum Summed<'c> {
    Integers(&'c Int64Array),
    Decimals(&'c Decimal128Array),
}

impl<'c> Summed<'c> {
    fn of(column: &'c ArrayRef) -> Option<Self> {
        let integers = column.as_primitive_opt::<Int64Type>().map(Summed::Integers);
        integers.or_else(|| column.as_primitive_opt::<Decimal128Type>().map(Summed::Decimals))
    }

    fn value(&self, row: usize) -> i128 {
        match self {
            Summed::Integers(c) if c.is_valid(row) => i128::from(c.value(row)),
            Summed::Decimals(c) if c.is_valid(row) => c.value(row),
            _ => 0,
        }
    }
}

/// Days from 1970-01-01 to the first of the month of a day.
fn month_of(day: i32) -> i32 {
    super::from_days(day).and_then(|d| d.with_day(1)).map_or(day, super::days)
}

/// All batches together.
pub struct Aggregate {
    spec: AggregateSpec,
    codes: Vec<Map<String, u32>>,
    names: Vec<Vec<String>>,
    /// Numbers of the groups, found by the hash of their key.
    groups: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// First day of the month of each group.
    months: Vec<Option<i32>>,
    /// Value codes of each group, one after the other.
    keys: Vec<u32>,
    /// Sums of each group, one after the other.
    sums: Vec<i128>,
    distinct: Spill<16>,
}

impl Aggregate {
    /// Nothing summed yet.
    pub fn new(spec: &AggregateSpec) -> Self {
        Aggregate {
            spec: spec.clone(),
            codes: vec![Map::default(); spec.by.len()],
            names: vec![Vec::new(); spec.by.len()],
            groups: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            months: Vec::new(),
            keys: Vec::new(),
            sums: Vec::new(),
            distinct: Spill::default(),
        }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// When the temporary folder is full.
    pub fn add(&mut self, part: Partial) -> Result<()> {
        let mut translate: Vec<Vec<u32>> = Vec::new();
        for ((values, codes), names) in part.values.into_iter().zip(&mut self.codes).zip(&mut self.names) {
            let of = values.into_iter().map(|v| {
                let next = u32::try_from(codes.len()).unwrap_or(u32::MAX);
                *codes.entry(v).or_insert_with_key(|v| {
                    names.push(v.clone());
                    next
                })
            });
            translate.push(of.collect());
        }
        let mut ids = Vec::new();
        let (stride, width) = (self.spec.by.len() + 1, self.spec.sum.len());
        let mut key: Vec<u32> = Vec::with_capacity(stride);
        for (n, group) in part.keys.chunks_exact(stride).enumerate() {
            let (month, rest) = group.split_first().map_or((0, &[][..]), |(m, r)| (*m, r));
            let month = part.months.get(month as usize).copied();
            key.clear();
            key.push(month.map_or(u32::MAX, i32::cast_unsigned));
            key.extend(
                rest.iter().zip(&translate).map(|(c, t)| t.get(*c as usize).copied().unwrap_or(u32::MAX)),
            );
            let (months, keys, hasher, by) = (&self.months, &self.keys, &self.hasher, stride - 1);
            let month_key =
                |g: u32| months.get(g as usize).copied().flatten().map_or(u32::MAX, i32::cast_unsigned);
            let codes = |g: u32| keys.get(g as usize * by..(g as usize + 1) * by).unwrap_or_default();
            let hash = |month: u32, codes: &[u32]| hasher.hash_one((month, codes));
            let (first, rest) = key.split_first().map_or((u32::MAX, &[][..]), |(m, r)| (*m, r));
            let wanted = hash(first, rest);
            let found = self.groups.find(wanted, |g| month_key(*g) == first && codes(*g) == rest).copied();
            let id = match found {
                Some(id) => id,
                None => {
                    let next = u32::try_from(self.months.len()).unwrap_or(u32::MAX);
                    self.groups.insert_unique(wanted, next, |g| hash(month_key(*g), codes(*g)));
                    self.months.push(month);
                    self.keys.extend(rest);
                    self.sums.resize(self.sums.len() + width, 0);
                    next
                }
            };
            let sums = part.sums.get(n * width..(n + 1) * width).unwrap_or_default();
            let at = id as usize * width;
            if let Some(totals) = self.sums.get_mut(at..at + width) {
                totals.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
            }
            ids.push(id);
        }
        for (group, column, hash) in part.distinct {
            let id = ids.get(group as usize).copied().unwrap_or(u32::MAX);
            let record = (u128::from(hash) << 64) | (u128::from(id) << 32) | u128::from(column);
            self.distinct.add(record.to_be_bytes())?;
        }
        Ok(())
    }

    /// The summary, sorted by its groups.
    ///
    /// # Errors
    /// When a sum does not fit 64 bits or the temporary files cannot be read.
    pub fn finish(self, contract: &Contract) -> Result<RecordBatch> {
        let (stride, width, counted) =
            (self.spec.by.len(), self.spec.sum.len(), self.spec.count_distinct.len());
        let mut counts = vec![0_u64; counted * self.months.len()];
        self.distinct.each_partition(|records| {
            for same in records.chunk_by(|a, b| a == b) {
                let Some(record) = same.first().map(|r| u128::from_be_bytes(*r)) else { continue };
                let (id, column) = ((record >> 32) as u32, record as u32);
                if let Some(n) = counts.get_mut(id as usize * counted + column as usize) {
                    *n += 1;
                }
            }
            Ok(())
        })?;
        drop(self.groups);
        // Groups are sorted by the ranks of their values: numbers, not copies of texts.
        let ranks: Vec<Vec<u32>> = self.names.iter().map(|names| ranks(names)).collect();
        let code = |g: usize, c: usize| self.keys.get(g * stride + c).copied().unwrap_or(u32::MAX) as usize;
        // No value has no rank, and comes first.
        let rank = |g: usize, c: usize| ranks.get(c).and_then(|r| r.get(code(g, c))).copied();
        let text = |g: usize, c: usize| self.names.get(c).and_then(|n| n.get(code(g, c)));
        let mut order: Vec<usize> = (0..self.months.len()).collect();
        order.sort_unstable_by(|a, b| {
            let months = self.months.get(*a).cmp(&self.months.get(*b));
            (0..stride).fold(months, |o, c| o.then_with(|| rank(*a, c).cmp(&rank(*b, c))))
        });
        let name = |i: &usize| contract.columns.get(*i).map_or("", |c| &*c.name);
        let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        if let Some(date) = &self.spec.month_of {
            fields.push(Field::new(format!("{}_mois", name(date)), DataType::Date32, true));
            columns.push(Arc::new(Date32Array::from_iter(
                order.iter().map(|g| self.months.get(*g).copied().flatten()),
            )));
        }
        for (c, i) in self.spec.by.iter().enumerate() {
            fields.push(Field::new(name(i), DataType::Utf8, true));
            columns.push(Arc::new(StringArray::from_iter(order.iter().map(|g| text(*g, c)))));
        }
        for (n, i) in self.spec.sum.iter().enumerate() {
            let values = order.iter().map(|g| self.sums.get(g * width + n).copied().unwrap_or(0));
            if let Some(ColumnType::Decimal { scale, .. }) = contract.columns.get(*i).map(|c| c.kind) {
                fields.push(Field::new(name(i), DataType::Decimal128(38, scale), false));
                let column = Decimal128Array::from_iter_values(values).with_precision_and_scale(38, scale)?;
                columns.push(Arc::new(column));
                continue;
            }
            fields.push(Field::new(name(i), DataType::Int64, false));
            let values = values.map(|v| {
                i64::try_from(v).map_err(|_| Error::Write(format!("somme de {} : plus de 64 bits", name(i))))
            });
            columns.push(Arc::new(Int64Array::from(values.collect::<Result<Vec<_>>>()?)));
        }
        for (n, i) in self.spec.count_distinct.iter().enumerate() {
            fields.push(Field::new(format!("nb_{}", name(i)), DataType::UInt64, false));
            let values = order.iter().map(|g| counts.get(g * counted + n).copied().unwrap_or(0));
            columns.push(Arc::new(UInt64Array::from_iter_values(values)));
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

/// Rank of each name in their order.
fn ranks(names: &[String]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names.get(*a).cmp(&names.get(*b)));
    let mut out = vec![0; names.len()];
    for (rank, at) in (0..).zip(order) {
        if let Some(slot) = out.get_mut(at) {
            *slot = rank;
        }
    }
    out
}

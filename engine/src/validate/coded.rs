//! Columns of few values as numbers: what is judged or grouped by value is looked at once a value,
//! not once a record.

use super::short::Short;
use crate::contract::Contract;
use arrow::array::{Array, StringArray};
use std::collections::{BTreeSet, HashMap};

type Map<K> = HashMap<K, u32, foldhash::fast::RandomState>;

/// A text column as numbers of its distinct values.
pub struct Coded {
    /// Number of each row's value; [`Coded::NULL`] where there is none.
    pub of_row: Vec<u32>,
    /// First row of each value.
    first: Vec<usize>,
}

impl Coded {
    /// The number of no value.
    pub const NULL: u32 = u32::MAX;

    /// Numbers the values of a column in the order in which they are met.
    pub fn of(text: &StringArray) -> Self {
        let mut short: Map<Short> = Map::default();
        let mut long: Map<&str> = Map::default();
        let (mut of_row, mut first) = (Vec::with_capacity(text.len()), Vec::new());
        for (row, value) in text.iter().enumerate() {
            let Some(value) = value else {
                of_row.push(Self::NULL);
                continue;
            };
            let mut new = || {
                first.push(row);
                u32::try_from(first.len() - 1).unwrap_or(Self::NULL)
            };
            of_row.push(match Short::of(value) {
                Some(key) => *short.entry(key).or_insert_with(&mut new),
                None => *long.entry(value).or_insert_with(&mut new),
            });
        }
        Coded { of_row, first }
    }

    /// How many distinct values there are.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// The distinct values of the column that was numbered, in the order of their numbers.
    pub fn values<'t>(&self, text: &'t StringArray) -> impl Iterator<Item = &'t str> {
        self.first.iter().map(|row| text.value(*row))
    }
}

/// Columns whose values come back in many records: those that have a list of values, and those by
/// which a summary groups or counts.
pub fn coded_columns(contract: &Contract) -> BTreeSet<usize> {
    let listed =
        contract.columns.iter().enumerate().filter(|(_, c)| c.codes.is_some() || !c.values.is_empty());
    let grouped = contract.aggregates.iter().flat_map(|a| a.by.iter().chain(&a.count_distinct)).copied();
    listed.map(|(i, _)| i).chain(grouped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_value_have_one_number_and_no_value_has_none() {
        let long = "plus de seize octets, assurément";
        let text = StringArray::from(vec![Some("b"), None, Some("a"), Some(long), Some("b"), Some(long)]);
        let coded = Coded::of(&text);
        assert_eq!(coded.of_row, [0, Coded::NULL, 1, 2, 0, 2]);
        assert_eq!(coded.values(&text).collect::<Vec<_>>(), ["b", "a", long]);
    }
}

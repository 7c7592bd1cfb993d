//! A published table: cells with totals, as SDMX writes them.

use std::collections::BTreeMap;

/// The total of a dimension.
pub const TOTAL: &str = "_T";

/// One published cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// One code per dimension; [`TOTAL`] for a margin.
    pub codes: Vec<String>,
    /// True value: known to the engine only when `masked`.
    pub value: u64,
    /// Not published.
    pub masked: bool,
}

/// Cells with every margin, sorted by codes. Combinations that nobody fills are absent: readers
/// know that they are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cube {
    /// Number of dimensions.
    pub dimensions: usize,
    /// Cells.
    pub cells: Vec<Cell>,
}

impl Cube {
    /// All margins of the given inner cells.
    pub fn with_totals(dimensions: usize, inner: &BTreeMap<Vec<String>, u64>) -> Self {
        let mut all: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for (codes, value) in inner {
            for mask in 0..1_usize << dimensions {
                let key = codes
                    .iter()
                    .enumerate()
                    .map(|(d, code)| if mask >> d & 1 == 1 { TOTAL.to_owned() } else { code.clone() })
                    .collect();
                *all.entry(key).or_default() += value;
            }
        }
        let cells = all.into_iter().map(|(codes, value)| Cell { codes, value, masked: false }).collect();
        Cube { dimensions, cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_margin_is_the_sum_of_its_cells() {
        let inner = [("a", "x", 3), ("a", "y", 4), ("b", "x", 5)]
            .into_iter()
            .map(|(a, b, n)| (vec![a.to_owned(), b.to_owned()], n))
            .collect();
        let cube = Cube::with_totals(2, &inner);
        let of = |a: &str, b: &str| cube.cells.iter().find(|c| c.codes == [a, b]).map(|c| c.value);
        assert_eq!(cube.cells.len(), 3 + 2 + 2 + 1);
        assert_eq!(
            (of("a", TOTAL), of(TOTAL, "x"), of(TOTAL, TOTAL), of("b", "y")),
            (Some(7), Some(8), Some(12), None)
        );
    }
}

//! What a reader of the published table can compute of each masked cell: its exact least and
//! greatest value. The reader is assumed to know that a listed cell is at least 1 and that an
//! absent combination is 0. In two dimensions the bounds over the integers are those of a flow, so
//! they are exact: a masked cell can change by what a greatest flow can carry round it.

use super::protect::Graph;
use super::table::Cube;
use crate::error::Result;
use serde::Serialize;
use std::collections::VecDeque;

/// What can be inferred of a masked cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Codes of the cell.
    pub cell: Vec<String>,
    /// Least value that agrees with everything published.
    pub lower: u64,
    /// Greatest value, up to a bound past which the exact figure says nothing more.
    pub upper: u64,
}

/// Rises above this are not told apart: the cell is unbounded for every purpose.
const RISE_MAX: u64 = 1_000_000_000;

/// A cell is safe when it is not pinned and a reader cannot tell that it is under the threshold.
pub fn is_safe(interval: &Interval, threshold: u64) -> bool {
    interval.lower < interval.upper && interval.upper >= threshold
}

/// Exact bounds of every masked cell.
///
/// # Errors
/// When the table has not two dimensions.
pub fn intervals(cube: &Cube) -> Result<Vec<Interval>> {
    let graph = Graph::of(cube)?;
    let masked: Vec<usize> =
        (0..cube.cells.len()).filter(|i| cube.cells.get(*i).is_some_and(|c| c.masked)).collect();
    let mut flow = Flow::new(graph.nodes);
    for i in &masked {
        if let (Some(edge), Some(cell)) = (graph.edges.get(*i), cube.cells.get(*i)) {
            flow.add(edge.from, edge.to, RISE_MAX, cell.value.saturating_sub(1));
        }
    }
    let mut out = Vec::with_capacity(masked.len());
    for (slot, i) in masked.iter().enumerate() {
        let (Some(edge), Some(cell)) = (graph.edges.get(*i), cube.cells.get(*i)) else { continue };
        // The cell rises when the surplus at its end finds a way back to its start, and falls when
        // what no longer passes through it finds another way to its end.
        let rise = flow.greatest(edge.to, edge.from, slot, RISE_MAX);
        let fall = flow.greatest(edge.from, edge.to, slot, cell.value.saturating_sub(1));
        out.push(Interval { cell: cell.codes.clone(), lower: cell.value - fall, upper: cell.value + rise });
    }
    Ok(out)
}

/// A residual network; arcs 2k and 2k+1 are the two ways through masked cell k.
struct Flow {
    to: Vec<usize>,
    capacity: Vec<u64>,
    out: Vec<Vec<usize>>,
}

impl Flow {
    fn new(nodes: usize) -> Self {
        Flow { to: Vec::new(), capacity: Vec::new(), out: vec![Vec::new(); nodes] }
    }

    fn add(&mut self, from: usize, to: usize, forward: u64, backward: u64) {
        for (a, b, capacity) in [(from, to, forward), (to, from, backward)] {
            if let Some(arcs) = self.out.get_mut(a) {
                arcs.push(self.to.len());
            }
            self.to.push(b);
            self.capacity.push(capacity);
        }
    }

    /// Greatest flow from `source` to `sink` without masked cell `without`, up to `limit`
    /// (Edmonds–Karp on a copy of the capacities).
    fn greatest(&self, source: usize, sink: usize, without: usize, limit: u64) -> u64 {
        let mut capacity = self.capacity.clone();
        for arc in [without * 2, without * 2 + 1] {
            if let Some(c) = capacity.get_mut(arc) {
                *c = 0;
            }
        }
        let mut total = 0;
        while total < limit {
            let mut came: Vec<Option<usize>> = vec![None; self.out.len()];
            let mut queue = VecDeque::from([source]);
            let mut found = false;
            while let Some(node) = queue.pop_front() {
                if node == sink {
                    found = true;
                    break;
                }
                for arc in self.out.get(node).into_iter().flatten() {
                    let next = self.to.get(*arc).copied().unwrap_or(0);
                    if next != source
                        && capacity.get(*arc).is_some_and(|c| *c > 0)
                        && came.get(next).is_some_and(Option::is_none)
                    {
                        if let Some(slot) = came.get_mut(next) {
                            *slot = Some(*arc);
                        }
                        queue.push_back(next);
                    }
                }
            }
            if !found {
                break;
            }
            let mut path = Vec::new();
            let mut node = sink;
            while let Some(arc) = came.get(node).copied().flatten().filter(|_| node != source) {
                path.push(arc);
                node = self.to.get(arc ^ 1).copied().unwrap_or(source);
            }
            let carried =
                path.iter().filter_map(|a| capacity.get(*a)).copied().min().unwrap_or(0).min(limit - total);
            for arc in path {
                if let Some(c) = capacity.get_mut(arc) {
                    *c -= carried;
                }
                if let Some(c) = capacity.get_mut(arc ^ 1) {
                    *c += carried;
                }
            }
            total += carried;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::super::protect::protect;
    use super::super::table::TOTAL;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn cube(rows: &[&[u64]]) -> Cube {
        let mut inner = BTreeMap::new();
        for (i, row) in rows.iter().enumerate() {
            for (j, v) in row.iter().enumerate().filter(|(_, v)| **v > 0) {
                inner.insert(vec![format!("r{i}"), format!("c{j}")], *v);
            }
        }
        Cube::with_totals(2, &inner)
    }

    /// Every table that agrees with what is published, by trying all values up to a bound.
    fn by_enumeration(cube: &Cube, bound: u64) -> Vec<(u64, u64)> {
        let masked: Vec<usize> = (0..cube.cells.len()).filter(|i| cube.cells[*i].masked).collect();
        let mut bounds = vec![(u64::MAX, 0); masked.len()];
        let mut values: Vec<u64> = cube.cells.iter().map(|c| if c.masked { 1 } else { c.value }).collect();
        loop {
            let get =
                |a: &str, b: &str| cube.cells.iter().position(|c| c.codes == [a, b]).map_or(0, |i| values[i]);
            let codes = |d: usize| {
                cube.cells
                    .iter()
                    .map(|c| c.codes[d].as_str())
                    .filter(|c| *c != TOTAL)
                    .collect::<std::collections::BTreeSet<_>>()
            };
            let (rows, columns) = (codes(0), codes(1));
            let fits = rows
                .iter()
                .chain([&TOTAL])
                .all(|r| columns.iter().map(|c| get(r, c)).sum::<u64>() == get(r, TOTAL))
                && columns
                    .iter()
                    .chain([&TOTAL])
                    .all(|c| rows.iter().map(|r| get(r, c)).sum::<u64>() == get(TOTAL, c));
            if fits {
                for (b, i) in bounds.iter_mut().zip(&masked) {
                    *b = (b.0.min(values[*i]), b.1.max(values[*i]));
                }
            }
            let Some(turn) = masked.iter().find(|i| values[**i] < bound) else { return bounds };
            for i in &masked {
                if i == turn {
                    values[*i] += 1;
                    break;
                }
                values[*i] = 1;
            }
        }
    }

    #[test]
    fn the_bounds_are_those_of_enumeration() {
        let mut c = cube(&[&[2, 9, 7], &[6, 3, 8]]);
        for codes in [["r0", "c0"], ["r0", "c1"], ["r1", "c0"], ["r1", "c1"]] {
            c.cells.iter_mut().find(|x| x.codes == codes).unwrap().masked = true;
        }
        let found: Vec<(u64, u64)> = intervals(&c).unwrap().iter().map(|i| (i.lower, i.upper)).collect();
        assert_eq!(found, by_enumeration(&c, 12));
    }

    #[test]
    fn masking_small_cells_alone_pins_them() {
        let mut c = cube(&[&[2, 9], &[6, 8]]);
        c.cells.iter_mut().find(|x| x.codes == ["r0", "c0"]).unwrap().masked = true;
        let found = intervals(&c).unwrap();
        assert_eq!((found[0].lower, found[0].upper), (2, 2));
        assert!(!is_safe(&found[0], 5));
    }

    #[test]
    fn a_tiny_school_hides_its_total_too() {
        let mut c = cube(&[&[2, 0, 1], &[40, 50, 60], &[30, 20, 10]]);
        protect(&mut c, 5).unwrap();
        assert!(c.cells.iter().find(|x| x.codes == ["r0", TOTAL]).unwrap().masked);
        assert!(intervals(&c).unwrap().iter().all(|i| is_safe(i, 5)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn every_protected_table_is_safe_or_refused(values in proptest::collection::vec(prop_oneof![Just(0_u64), 1_u64..8, 5_u64..60], 4..60), width in 2_usize..8) {
            let rows: Vec<&[u64]> = values.chunks(width).collect();
            let mut c = cube(&rows);
            let before = c.clone();
            if protect(&mut c, 5).is_ok() {
                for (a, b) in c.cells.iter().zip(&before.cells) {
                    prop_assert_eq!(a.value, b.value);
                    prop_assert!(a.value >= 5 || a.masked);
                }
                for i in intervals(&c).unwrap() {
                    prop_assert!(is_safe(&i, 5), "{:?}", i);
                }
            }
        }
    }
}

//! Suppression in a table of two dimensions with all its margins.
//!
//! The equations of such a table are those of a flow: every row, every column and the two totals
//! are nodes, every cell an edge, and "cells add up to margins" says that what enters a node leaves
//! it. Changing a masked cell without changing any published number is sending flow around a cycle
//! of masked cells. So, for each cell under the threshold, the cheapest cycle through it is masked
//! that lets it rise to the threshold: what a reader can infer then reaches from 1 to at least the
//! threshold. Source: Fischetti and Salazar, two-dimensional case; INSEE, manuel de protection des
//! tableaux (secondary secret).

use super::table::{Cube, TOTAL};
use crate::error::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A cell as an edge between two nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
}

/// Nodes: rows, then columns, then the row of totals, then the column of totals.
pub(super) struct Graph {
    pub nodes: usize,
    /// One edge per cell of the cube, in its order.
    pub edges: Vec<Edge>,
}

impl Graph {
    pub(super) fn of(cube: &Cube) -> Result<Self> {
        if cube.dimensions != 2 {
            return Err(Error::Usage("la protection des tableaux vaut pour deux dimensions".into()));
        }
        let mut ids: [BTreeMap<&str, usize>; 2] = [BTreeMap::new(), BTreeMap::new()];
        let mut codes = Vec::with_capacity(cube.cells.len());
        for cell in &cube.cells {
            let [a, b] = cell.codes.as_slice() else {
                return Err(Error::Corrupt("cellule sans deux codes".into()));
            };
            codes.push((a.as_str(), b.as_str()));
            ids[0].entry(a).or_default();
            ids[1].entry(b).or_default();
        }
        // Numbers in the order of the codes: the same table gives the same graph.
        let mut next = 0;
        for side in &mut ids {
            for id in side.values_mut() {
                *id = next;
                next += 1;
            }
        }
        let [rows, columns] = &ids;
        let node = |side: &BTreeMap<&str, usize>, code: &str| side.get(code).copied().unwrap_or(0);
        let edges = codes
            .into_iter()
            .map(|(a, b)| {
                let (row, column) = (node(rows, a), node(columns, b));
                match (a == TOTAL, b == TOTAL) {
                    // What a row holds comes from the column of totals and goes to the columns.
                    (false, false) => Edge { from: row, to: column },
                    (false, true) => Edge { from: column, to: row },
                    // What a column holds goes to the row of totals.
                    (true, false) => Edge { from: column, to: row },
                    (true, true) => Edge { from: row, to: column },
                }
            })
            .collect();
        Ok(Graph { nodes: next, edges })
    }
}

/// Masks every cell under `threshold`, and the cheapest others that protect them.
///
/// # Errors
/// When a cell cannot be protected: the table must not be published.
pub fn protect(cube: &mut Cube, threshold: u64) -> Result<()> {
    let graph = Graph::of(cube)?;
    let mut primary: Vec<usize> = Vec::new();
    for (i, cell) in cube.cells.iter_mut().enumerate() {
        if cell.value < threshold {
            cell.masked = true;
            primary.push(i);
        }
    }
    // Large rises first: the cycles they open often serve the others.
    primary.sort_by_key(|i| (cube.cells.get(*i).map_or(0, |c| c.value), *i));
    for target in primary {
        let rise = threshold - cube.cells.get(target).map_or(0, |c| c.value);
        let Some(path) = cheapest_cycle(cube, &graph, target, rise) else {
            return Err(Error::Refused {
                code: "DISCLOSURE_UNPROTECTABLE",
                message: "une petite cellule ne peut pas être protégée dans ce tableau : publiez moins de croisements".into(),
            });
        };
        for i in path {
            if let Some(cell) = cube.cells.get_mut(i) {
                cell.masked = true;
            }
        }
    }
    Ok(())
}

/// What masking a cell costs: nothing if it is masked already, else what readers lose; totals are
/// worth more than what they add up.
fn cost(cube: &Cube, i: usize) -> u64 {
    cube.cells.get(i).map_or(u64::MAX / 4, |c| {
        let totals = c.codes.iter().filter(|k| *k == TOTAL).count();
        match (c.masked, totals) {
            (true, _) => 0,
            (false, 0) => 1 + c.value,
            (false, 1) => 1_000_000 + c.value,
            (false, _) => 1_000_000_000,
        }
    })
}

/// The cheapest way back from the end of `target` to its start, such that `rise` more can go round:
/// cells walked forward rise, cells walked backward fall and must stay at 1 or more.
fn cheapest_cycle(cube: &Cube, graph: &Graph, target: usize, rise: u64) -> Option<Vec<usize>> {
    let goal = *graph.edges.get(target)?;
    let mut out: Vec<Vec<(usize, usize)>> = vec![Vec::new(); graph.nodes];
    for (i, edge) in graph.edges.iter().enumerate().filter(|(i, _)| *i != target) {
        out.get_mut(edge.from)?.push((edge.to, i));
        if cube.cells.get(i)?.value > rise {
            out.get_mut(edge.to)?.push((edge.from, i));
        }
    }
    let mut best = vec![u64::MAX; graph.nodes];
    let mut came: Vec<Option<(usize, usize)>> = vec![None; graph.nodes];
    let mut queue = BinaryHeap::from([Reverse((0_u64, goal.to))]);
    *best.get_mut(goal.to)? = 0;
    while let Some(Reverse((spent, node))) = queue.pop() {
        if node == goal.from {
            break;
        }
        if best.get(node).is_some_and(|b| *b < spent) {
            continue;
        }
        for (next, cell) in out.get(node)? {
            let total = spent.saturating_add(cost(cube, *cell));
            if total < *best.get(*next)? {
                *best.get_mut(*next)? = total;
                *came.get_mut(*next)? = Some((node, *cell));
                queue.push(Reverse((total, *next)));
            }
        }
    }
    let mut path = Vec::new();
    let mut node = goal.from;
    while node != goal.to {
        let (before, cell) = (*came.get(node)?)?;
        path.push(cell);
        node = before;
    }
    Some(path)
}

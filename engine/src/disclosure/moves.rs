//! Moves: changes of masked cells that leave every published addition true.
//!
//! In one dimension a unit can go from a code to a sibling, or in from outside and up to the total. A
//! product of such steps over all dimensions keeps all additions. Two of the dimensions are searched
//! together: rows and columns are nodes, crossings are edges, and the cheapest cycle (Dijkstra) through
//! the target is the cheapest way to let it change; the other dimensions multiply it.

use super::slots::Slots;
use super::system::CellId;
use super::table::{Dimension, Node, Table, Tables};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Changes by cell, in order, none of them 0.
pub(super) type Changes = Vec<(CellId, i64)>;

/// Rows or columns searched at once in a large table.
const WIDE: usize = 700;
/// How many are kept of a larger family.
const KEPT: usize = 40;
/// Steps tried in each dimension that is not searched.
const STEPS: usize = 10;
/// Leaves tried under a target that is a margin of a hierarchy.
const OWN: usize = 6;

/// What masking costs and allows, by cell.
pub(super) struct Field {
    /// True values.
    pub values: Vec<i64>,
    /// Least value of a masked cell.
    pub floor: Vec<i64>,
    /// Already masked, or not published at all: free to use.
    pub masked: Vec<bool>,
    /// Cannot be masked (a figure already published).
    pub fixed: Vec<bool>,
    /// Cost of masking.
    pub cost: Vec<u64>,
    /// Cost of using the cell although it is masked: what insiders know of it.
    pub known: Vec<u64>,
    /// In several tables: only a target, which is then moved in each of them.
    pub shared: Vec<bool>,
}

/// One way out of a node: a signed step per node.
type Chain = Vec<(u64, i64)>;

/// A crossing of a row and a column, and its sign.
type Edge<'c> = (&'c [(u64, i64)], &'c [(u64, i64)], i64);

/// Steps of one dimension that involve the target: `own` minus one of `others`.
struct Family {
    own: Chain,
    others: Vec<Chain>,
}

/// Leaves on the target's line of a hierarchy.
#[derive(Default)]
struct Leaves {
    /// The heaviest under each node.
    best: HashMap<Node, Node, FixedState>,
    /// The heaviest under the target's own.
    own: Vec<Node>,
}

/// Finds moves in one table.
pub(super) struct Finder<'a> {
    table: &'a Table,
    /// Dimensions of more than one level.
    deep: Vec<bool>,
    /// Heaviest leafward child of each node, by dimension.
    heavy: Vec<Vec<Node>>,
    /// Node value in its dimension alone: crossings with all totals.
    weight: Vec<Vec<i64>>,
    /// Cells of each line: for each dimension, by key with that dimension at 0.
    lines: Vec<HashMap<u64, Vec<Node>, FixedState>>,
}

/// A search: what is asked, on what.
pub(super) struct Query<'a> {
    /// Cell that must change.
    pub target: CellId,
    /// Its key in the table.
    pub key: u64,
    /// +1 to rise, -1 to fall.
    pub way: i64,
    /// By how much.
    pub amount: i64,
    /// Costs and values.
    pub field: &'a Field,
    /// Look at every code of large dimensions: slow, and sure.
    pub wide: bool,
    /// Changes already decided, added to the values.
    pub done: &'a HashMap<CellId, i64, FixedState>,
}

impl Query<'_> {
    /// Cost of changing a cell by `sign` × amount, or none when it cannot.
    #[inline]
    fn cost(&self, cell: CellId, sign: i64) -> Option<u64> {
        let i = cell as usize;
        let masked = self.field.masked.at(i);
        if (self.field.fixed.at(i) && !masked) || (self.field.shared.at(i) && cell != self.target) {
            return None;
        }
        if sign < 0 {
            let done = if self.done.is_empty() { 0 } else { self.done.get(&cell).copied().unwrap_or(0) };
            if self.field.values.at(i) + done + sign * self.amount < self.field.floor.at(i) {
                return None;
            }
        }
        let known = if cell == self.target { 0 } else { self.field.known.at(i) };
        Some(known + if masked { 0 } else { self.field.cost.at(i) })
    }
}

impl<'a> Finder<'a> {
    pub(super) fn new(tables: &Tables, table: &'a Table) -> Self {
        let value =
            |key: u64| table.cell(key).and_then(|c| tables.cells.get(c as usize)).map_or(0, |c| c.value);
        let weight: Vec<Vec<i64>> = table
            .dimensions
            .iter()
            .zip(&table.strides)
            .map(|(d, s)| (0..d.len() as u64).map(|n| value(n * s)).collect())
            .collect();
        let heavy = table
            .dimensions
            .iter()
            .zip(&weight)
            .map(|(d, w)| {
                (0..d.len() as Node)
                    .map(|n| {
                        d.children(n)
                            .iter()
                            .copied()
                            .max_by_key(|c| (w.at(*c as usize), Reverse(*c)))
                            .unwrap_or(0)
                    })
                    .collect()
            })
            .collect();
        let lines = table
            .dimensions
            .iter()
            .zip(&table.strides)
            .map(|(d, s)| {
                let mut lines: HashMap<u64, Vec<Node>, FixedState> = HashMap::default();
                for key in &table.keys {
                    let node = key / s % d.len() as u64;
                    lines.entry(key - node * s).or_default().push(node as Node);
                }
                lines
            })
            .collect();
        let inner = |d: &Dimension| (1..d.len() as Node).any(|n| !d.children(n).is_empty());
        let deep = table.dimensions.iter().map(inner).collect();
        Finder { table, deep, heavy, weight, lines }
    }

    /// The cheapest move found that changes the target by the whole amount.
    pub(super) fn find(&self, query: &Query) -> Option<Changes> {
        let nodes = self.table.nodes(query.key);
        let families: Vec<Vec<Family>> =
            (0..nodes.len()).map(|k| self.families(k, nodes.at(k), query)).collect();
        let size = |k: usize| families.get(k).into_iter().flatten().map(|f| f.others.len()).sum::<usize>();
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.sort_by_key(|k| (Reverse(size(*k)), *k));
        if nodes.len() == 1 {
            return self.single(families.first()?, query);
        }
        let mut planes = Vec::new();
        for (i, p) in order.iter().enumerate() {
            planes.extend(order.iter().skip(i + 1).map(|q| (*p, *q)));
        }
        for (p, q) in planes {
            let mut best: Option<(u64, Changes)> = None;
            for w in self.products(&families, p, q) {
                for rows in families.get(p).into_iter().flatten() {
                    for columns in families.get(q).into_iter().flatten() {
                        let limit = best.as_ref().map_or(u64::MAX, |b| b.0);
                        if let Some(found) = self.cycle(rows, columns, &w, query, limit) {
                            if found.0 == 0 {
                                return Some(found.1);
                            }
                            best = Some(found);
                        }
                    }
                }
            }
            if let Some((_, changes)) = best {
                return Some(changes);
            }
        }
        None
    }

    /// A table of one dimension: the step itself.
    fn single(&self, families: &[Family], query: &Query) -> Option<Changes> {
        let steps = families.iter().flat_map(|f| f.others.iter().map(move |o| (f, o)));
        steps
            .filter_map(|(f, o)| {
                let chain: Chain = f.own.iter().copied().chain(o.iter().map(|(k, s)| (*k, -s))).collect();
                let cost = self.edge(&[(0, 1)], &[(0, 1)], &chain, 1, query)?;
                Some((cost, self.gather(&[(&[(0, 1)], &[(0, 1)], 1)], &chain, query)?))
            })
            .min_by_key(|(cost, _)| *cost)
            .map(|(_, c)| c)
    }

    /// Steps in dimension `k` that involve `node`, one family for each leaf that it can go down to and each
    /// level at which it can be balanced.
    fn families(&self, k: usize, node: Node, query: &Query) -> Vec<Family> {
        let Some(d) = self.table.dimensions.get(k) else { return Vec::new() };
        let stride = self.table.strides.at(k);
        let leaves = self.leaves(k, d, node, query);
        let chain = |n: Node, sign: i64| -> Chain {
            let path = leaves.best.get(&n).map_or_else(|| self.down(k, n), |leaf| path(d, n, *leaf));
            path.into_iter().map(|n| (u64::from(n) * stride, sign)).collect()
        };
        if node == 0 {
            // The total can only rise with one of its own.
            let others = self.siblings(k, d, 0, None, query).into_iter().map(|n| chain(n, -1)).collect();
            return vec![Family { own: vec![(0, 1)], others }];
        }
        let owns: Vec<Vec<Node>> = match leaves.own.as_slice() {
            [] => vec![self.down(k, node)],
            own => own.iter().map(|leaf| path(d, node, *leaf)).collect(),
        };
        let mut levels: Vec<(Vec<Node>, Vec<Chain>)> = Vec::new();
        let (mut at, mut above) = (node, Vec::new());
        while let Some(parent) = d.parent(at) {
            let mut others: Vec<Chain> =
                self.siblings(k, d, parent, Some(at), query).into_iter().map(|n| chain(n, 1)).collect();
            if parent == 0 {
                others.push(vec![(0, -1)]);
            }
            levels.push((above.clone(), others));
            above.push(parent);
            at = parent;
        }
        owns.iter()
            .flat_map(|own| {
                levels.iter().map(|(above, others)| Family {
                    own: own.iter().chain(above).map(|n| (u64::from(*n) * stride, 1)).collect(),
                    others: others.clone(),
                })
            })
            .collect()
    }

    /// Where to go down to in a hierarchy: leaves that are filled where the target is.
    fn leaves(&self, k: usize, d: &Dimension, node: Node, query: &Query) -> Leaves {
        let mut found = Leaves::default();
        if !self.deep.at(k) {
            return found;
        }
        let stride = self.table.strides.at(k);
        let base = query.key - u64::from(node) * stride;
        let value = |n: Node| {
            let cell = self.table.cell(base + u64::from(n) * stride);
            cell.map_or(0, |c| query.field.values.at(c as usize))
        };
        let line = self.lines.get(k).and_then(|l| l.get(&base)).map_or(&[][..], Vec::as_slice);
        let mut all: Vec<(Reverse<i64>, Node)> = line
            .iter()
            .filter(|n| **n != 0 && d.children(**n).is_empty())
            .map(|n| (Reverse(value(*n)), *n))
            .collect();
        all.sort_unstable();
        let inner = !d.children(node).is_empty();
        for (_, leaf) in all {
            let mut at = leaf;
            while let Some(parent) = d.parent(at) {
                if parent != 0 {
                    found.best.entry(parent).or_insert(leaf);
                }
                if inner && parent == node && node != 0 && found.own.len() < OWN {
                    found.own.push(leaf);
                }
                at = parent;
            }
        }
        found
    }

    /// Children of `parent` but `without`; in a large family those that the target's own line reaches
    /// best, and the heaviest.
    fn siblings(
        &self,
        k: usize,
        d: &Dimension,
        parent: Node,
        without: Option<Node>,
        query: &Query,
    ) -> Vec<Node> {
        let all = d.children(parent);
        if query.wide || (all.len() <= WIDE && self.table.keys.len() <= 30_000) {
            return all.iter().copied().filter(|n| Some(*n) != without).collect();
        }
        let stride = self.table.strides.at(k);
        let node = query.key / stride % d.len() as u64;
        let base = query.key - node * stride;
        let line = self.lines.get(k).and_then(|l| l.get(&base)).map_or(&[][..], Vec::as_slice);
        let mut ranked: Vec<(u64, Reverse<i64>, Node)> = line
            .iter()
            .filter(|n| d.parent(**n) == Some(parent) && Some(**n) != without && **n != 0)
            .filter_map(|n| {
                let cell = self.table.cell(base + u64::from(*n) * stride)?;
                let cost = query.cost(cell, -query.way)?;
                Some((cost, Reverse(query.field.values.at(cell as usize)), *n))
            })
            .collect();
        if ranked.len() > KEPT {
            ranked.select_nth_unstable(KEPT);
            ranked.truncate(KEPT);
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, n)| n).collect()
    }

    /// From a node down to its heaviest leaf.
    fn down(&self, k: usize, node: Node) -> Vec<Node> {
        let heavy = self.heavy.get(k).map_or(&[][..], Vec::as_slice);
        let next = |n: &Node| Some(heavy.at(*n as usize)).filter(|c| *c != 0);
        std::iter::successors(Some(node), next).collect()
    }

    /// Signed keys of the dimensions other than `p` and `q`: every combination of their steps.
    fn products(&self, families: &[Vec<Family>], p: usize, q: usize) -> Vec<Chain> {
        let mut out: Vec<Chain> = vec![vec![(0, 1)]];
        for (k, list) in families.iter().enumerate().filter(|(k, _)| *k != p && *k != q) {
            let weight = self.weight.get(k).map_or(&[][..], Vec::as_slice);
            let stride = self.table.strides.at(k).max(1);
            let mut steps: Vec<(i64, Chain)> = list
                .iter()
                .flat_map(|f| {
                    f.others.iter().map(move |o| {
                        let reach = o.first().map_or(0, |(key, _)| weight.at((key / stride) as usize));
                        let back = o.iter().map(|(n, s)| (*n, -s));
                        (reach, f.own.iter().copied().chain(back).collect())
                    })
                })
                .collect();
            steps.sort_by_key(|(reach, _)| Reverse(*reach));
            steps.truncate(STEPS);
            out = out.iter().flat_map(|w| steps.iter().map(move |(_, s)| product(w, s))).collect();
        }
        out
    }

    /// Cost of one crossing of a row, a column and the product of the others.
    fn edge(
        &self,
        row: &[(u64, i64)],
        column: &[(u64, i64)],
        w: &[(u64, i64)],
        sign: i64,
        query: &Query,
    ) -> Option<u64> {
        let mut total = 0;
        for (r, rs) in row {
            for (c, cs) in column {
                for (o, os) in w {
                    let cell = self.table.cell(r + c + o)?;
                    total += query.cost(cell, rs * cs * os * sign * query.way)?;
                }
            }
        }
        Some(total)
    }

    /// The cheapest cycle through (own row, own column), cheaper than `limit`.
    fn cycle(
        &self,
        rows: &Family,
        columns: &Family,
        w: &Chain,
        query: &Query,
        limit: u64,
    ) -> Option<(u64, Changes)> {
        let row = |i: usize| if i == 0 { Some(&rows.own) } else { rows.others.get(i - 1) };
        let column = |j: usize| if j == 0 { Some(&columns.own) } else { columns.others.get(j - 1) };
        let start = self.edge(&rows.own, &columns.own, w, 1, query).filter(|c| *c < limit)?;
        let (nr, nc) = (rows.others.len() + 1, columns.others.len() + 1);
        // Nodes: rows, then columns. From the own column to the own row; falls from columns to rows.
        let mut best = vec![u64::MAX; nr + nc];
        let mut came = vec![usize::MAX; nr + nc];
        let mut queue = BinaryHeap::from([Reverse((start, nr))]);
        best.put(nr, start);
        while let Some(Reverse((spent, node))) = queue.pop() {
            if node == 0 || spent >= limit {
                break;
            }
            if best.at(node) < spent {
                continue;
            }
            let next = if node >= nr { 0..nr } else { nr..nr + nc };
            for other in next {
                // The own crossing is the target: it is used once, at the start.
                if best.at(other) <= spent || (node == nr && other == 0) {
                    continue;
                }
                let (r, c, sign) = if node >= nr { (other, node - nr, -1) } else { (node, other - nr, 1) };
                let (Some(r), Some(c)) = (row(r), column(c)) else { continue };
                let Some(cost) = self.edge(r, c, w, sign, query) else { continue };
                if spent + cost < best.at(other) {
                    best.put(other, spent + cost);
                    came.put(other, node);
                    queue.push(Reverse((spent + cost, other)));
                }
            }
        }
        let cost = Some(best.at(0)).filter(|c| *c < limit)?;
        let mut edges: Vec<Edge> = vec![(&rows.own, &columns.own, 1)];
        let mut node = 0;
        while node != nr {
            let before = came.at(node);
            let (r, c, sign) = if before >= nr { (node, before - nr, -1) } else { (before, node - nr, 1) };
            edges.push((row(r)?, column(c)?, sign));
            node = before;
        }
        Some((cost, self.gather(&edges, w, query)?))
    }

    /// Changes of a cycle, or none when crossings that meet in one cell ask too much of it.
    fn gather(&self, edges: &[Edge], w: &Chain, query: &Query) -> Option<Changes> {
        let mut changes: Changes = Vec::with_capacity(edges.len() * w.len());
        for (row, column, sign) in edges {
            for (key, s) in product(&product(row, column), w) {
                changes.push((self.table.cell(key)?, s * sign * query.way * query.amount));
            }
        }
        let changes = merged(changes);
        let fits = changes.iter().all(|(cell, change)| {
            let i = *cell as usize;
            let done = query.done.get(cell).copied().unwrap_or(0);
            query.field.values.at(i) + done + change >= query.field.floor.at(i)
        });
        let hits = changes.iter().any(|(c, d)| *c == query.target && *d == query.way * query.amount);
        (fits && hits).then_some(changes)
    }
}

/// From a node down to one of its leaves.
fn path(d: &Dimension, node: Node, leaf: Node) -> Vec<Node> {
    let mut nodes: Vec<Node> =
        std::iter::successors(Some(leaf), |n| if *n == node { None } else { d.parent(*n) }).collect();
    nodes.reverse();
    nodes
}

fn product(a: &[(u64, i64)], b: &[(u64, i64)]) -> Chain {
    a.iter().flat_map(|(x, s)| b.iter().map(move |(y, t)| (x + y, s * t))).collect()
}

/// Changes of the same cell added up, in the order of cells.
pub(super) fn merged(mut changes: Changes) -> Changes {
    changes.sort_unstable_by_key(|(c, _)| *c);
    changes.dedup_by(|b, a| {
        let same = a.0 == b.0;
        if same {
            a.1 += b.1;
        }
        same
    });
    changes.retain(|(_, d)| *d != 0);
    changes
}

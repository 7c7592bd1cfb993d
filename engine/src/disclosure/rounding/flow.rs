//! Unbiased draws that keep two chains of margins between their multiples.

use super::super::slots::Slots;
use super::super::table::Table;
use super::Work;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// No node, no edge.
const NONE: u32 = u32::MAX;

/// Draws that nobody repeats without the key.
pub(super) struct Draws {
    pub(super) seed: Hmac<Sha256>,
    pub(super) drawn: u64,
}

impl Draws {
    /// A whole number below `n`, all alike but for `n` in 2⁶⁴.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.drawn += 1;
        let mac = self.seed.clone().chain_update(self.drawn.to_be_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let draw = bytes.iter().take(8).fold(0_u128, |n, b| n << 8 | u128::from(*b));
        ((draw * n as u128) >> 64) as usize
    }
}

/// What a cell has above a multiple; it flows from one node to another.
#[derive(Clone, Copy, Default)]
pub(super) struct Edge {
    from: u32,
    to: u32,
    pub(super) above: i64,
}

/// Two trees of margins that share their leaves, joined by their totals: what enters a node leaves it.
pub(super) struct Flow {
    base: i64,
    pub(super) edges: Vec<Edge>,
    /// Edges of each node: a leaf is one node, a margin one in each tree.
    touching: Vec<Vec<u32>>,
    /// One edge of each leaf.
    pub(super) own: Vec<u32>,
}

impl Flow {
    pub(super) fn new(table: &Table, work: &Work) -> Self {
        let touching = vec![Vec::new(); 2 * work.errors.len()];
        let mut met = vec![false; touching.len()];
        let mut flow = Flow { base: work.base, edges: Vec::new(), touching, own: Vec::new() };
        let mut order: Vec<_> = table.dimensions.iter().zip(&table.strides).collect();
        order.sort_by_key(|(d, _)| d.len());
        // The largest in the middle: fewest margins are then in no chain.
        if let Some(largest) = order.pop() {
            order.insert(order.len() / 2, largest);
        }
        for side in [0, 1] {
            let over = |key: u64| {
                order.iter().find_map(|(d, stride)| {
                    let node = (key / *stride % d.len() as u64) as u32;
                    Some(key - u64::from(node - d.parent(node)?) * *stride)
                })
            };
            for leaf in &work.leaves {
                let (mut key, mut node) = (leaf.key, 2 * leaf.cell);
                if side == 0 {
                    flow.own.push(flow.edges.len() as u32);
                }
                while let Some(above) = over(key) {
                    let up = 2 * table.cell(above).unwrap_or(0) + side;
                    let ends = if side == 0 { (up, node) } else { (node, up) };
                    flow.join(ends, work.errors.at(node as usize / 2));
                    if met.at(up as usize) {
                        break;
                    }
                    met.put(up as usize, true);
                    (key, node) = (above, up);
                }
            }
            order.reverse();
        }
        let total = table.cell(0).unwrap_or(0);
        flow.join((2 * total + 1, 2 * total), work.errors.at(total as usize));
        flow
    }

    /// An edge for a cell whose leaves are all down.
    fn join(&mut self, (from, to): (u32, u32), error: i64) {
        for end in [from, to] {
            let list = self.touching.get_mut(end as usize);
            list.into_iter().for_each(|list| list.push(self.edges.len() as u32));
        }
        self.edges.push(Edge { from, to, above: -error % self.base });
    }

    /// An edge of `node` that may still move, but for the one it was reached by.
    fn next(&mut self, node: u32, came: u32) -> Option<u32> {
        let list = self.touching.get_mut(node as usize)?;
        let mut aside = None;
        while let Some(edge) = list.pop() {
            if edge == came {
                aside = Some(edge);
            } else if (1..self.base).contains(&self.edges.at(edge as usize).above) {
                list.extend([Some(edge), aside].into_iter().flatten());
                return Some(edge);
            }
        }
        list.extend(aside);
        None
    }

    /// Goes round cycles until no edge may move: since what enters leaves, no node has only one that may.
    pub(super) fn settle(&mut self, draws: &mut Draws) {
        let mut places = vec![NONE; self.touching.len()];
        for start in 0..self.touching.len() as u32 {
            let (mut node, mut came, mut path) = (start, NONE, Vec::new());
            places.put(node as usize, 0);
            while let Some(edge) = self.next(node, came) {
                path.push((edge, node));
                let Edge { from, to, .. } = self.edges.at(edge as usize);
                node = if node == from { to } else { from };
                came = edge;
                let met = places.at(node as usize) as usize;
                if met < path.len() {
                    let cycle = path.split_off(met);
                    self.turn(&cycle, draws);
                    cycle.iter().for_each(|(_, node)| places.put(*node as usize, NONE));
                    came = path.last().map_or(NONE, |(edge, _)| *edge);
                }
                places.put(node as usize, path.len() as u32);
            }
            places.put(node as usize, NONE);
        }
    }

    /// Moves a cycle as far as it goes, one way or the other: likelier the shorter one, so that each edge
    /// stays where it was on average.
    fn turn(&mut self, cycle: &[(u32, u32)], draws: &mut Draws) {
        let (mut more, mut less) = (self.base, self.base);
        for (edge, node) in cycle {
            let Edge { from, above, .. } = self.edges.at(*edge as usize);
            let (up, down) =
                if from == *node { (self.base - above, above) } else { (above, self.base - above) };
            (more, less) = (more.min(up), less.min(down));
        }
        let by = if (draws.below((more + less) as usize) as i64) < less { more } else { -less };
        for (edge, node) in cycle {
            let moved =
                |e: Edge| Edge { above: if e.from == *node { e.above + by } else { e.above - by }, ..e };
            self.edges.change(*edge as usize, moved);
        }
    }
}

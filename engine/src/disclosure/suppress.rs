//! Chooses what to mask: the cells that the policy protects, then the cheapest others that keep them
//! from being computed.
//!
//! For each protected cell the cheapest move is found that lets it rise (and fall) as far as the policy
//! asks; what the move changes is masked. Moves that later ones made useless are taken back, so that
//! little information is lost. Every choice follows the order of cells, never that of the records.

use super::moves::{Changes, Field, Finder, Query, merged};
use super::policy::{Insiders, Policy, Requirement, Uniform};
use super::slots::Slots;
use super::system::CellId;
use super::table::Tables;
use crate::error::Result;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Cells up to which useless masks are taken back: above, each attempt costs more than it gives.
const REFINED: usize = 30_000;
/// Moves that may add up to one rise.
const PARTS: usize = 24;
/// Cost of passing through a cell that an insider knows: about that of masking two more.
const KNOWN: u64 = 60;
/// Moves tried so that no insider stops them all.
const ALTERNATIVES: usize = 4;

/// What earlier publications impose.
#[derive(Debug, Clone, Default)]
pub struct Imposed {
    /// Cells whose figure is already known: they cannot be masked any more.
    pub fixed: BTreeSet<CellId>,
    /// Cells masked before, which stay masked whatever they hold.
    pub kept: BTreeSet<CellId>,
    /// Cells to protect besides those of the policy.
    pub required: Vec<Requirement>,
}

/// What to mask, and why it is enough.
#[derive(Debug, Clone)]
pub struct Suppression {
    /// By cell.
    pub masked: Vec<bool>,
    /// Cells that the policy protects by themselves.
    pub primary: usize,
    /// What each of them needs.
    pub requirements: Vec<Requirement>,
    /// Cells that could not be protected: nothing may be published while there is one.
    pub unprotected: Vec<CellId>,
    /// Changes of the true table that agree with everything published.
    pub(super) moves: Vec<Changes>,
}

impl Suppression {
    /// Cells masked only to protect others.
    pub fn secondary(&self) -> usize {
        self.masked.iter().filter(|m| **m).count() - self.primary
    }
}

/// Chooses what to mask in `tables` under `policy`.
///
/// # Errors
/// When the policy is not valid.
pub fn suppress(tables: &Tables, policy: &Policy, imposed: &Imposed) -> Result<Suppression> {
    policy.validate()?;
    let mut requirements = policy.requirements(tables);
    requirements.extend(&imposed.required);
    requirements.sort_by_key(|r| r.cell);
    requirements.dedup_by(|b, a| {
        let same = a.cell == b.cell;
        if same {
            a.at_least = a.at_least.max(b.at_least);
            a.at_most = a.at_most.min(b.at_most);
        }
        same
    });
    let mut work = Work::new(tables, policy, imposed);
    let mut lost: BTreeSet<CellId> = BTreeSet::new();
    for r in &requirements {
        if work.field.fixed.at(r.cell as usize) {
            lost.insert(r.cell);
        } else {
            work.field.masked.put(r.cell as usize, true);
        }
    }
    for cell in &work.kept {
        work.field.masked.put(*cell as usize, true);
    }
    // Those that rise most open moves that serve the others.
    let mut order: Vec<Requirement> =
        requirements.iter().filter(|r| !lost.contains(&r.cell)).copied().collect();
    order.sort_by_key(|r| (Reverse(work.needs(r).map(|(_, amount)| amount).max()), r.cell));
    for r in &order {
        if !work.protect(r) {
            lost.insert(r.cell);
        }
    }
    if tables.cells.len() <= REFINED && lost.is_empty() {
        work.forget_useless(&order);
        work.refine(&order);
    }
    work.forget_useless(&order);
    lost.extend(work.even_out(policy.uniform().of(tables.counts)));
    let masked: Vec<bool> =
        tables.cells.iter().zip(&work.field.masked).map(|(c, m)| *m && c.published).collect();
    Ok(Suppression {
        primary: requirements.iter().filter(|r| masked.at(r.cell as usize)).count(),
        requirements,
        unprotected: lost.into_iter().collect(),
        moves: work.moves.into_iter().flatten().collect(),
        masked,
    })
}

/// What remains to be done to a cell: up (1) or down (-1), and by how much.
type Need = (i64, i64);

struct Work<'a> {
    tables: &'a Tables,
    finders: Vec<Finder<'a>>,
    /// Tables of a cell and its key there.
    places: Vec<Vec<(u32, u64)>>,
    field: Field,
    moves: Vec<Option<Changes>>,
    /// Moves that change a cell.
    users: Vec<Vec<u32>>,
    /// Moves that protect a cell: all of them are needed.
    proofs: HashMap<(CellId, i64), Vec<u32>, FixedState>,
    /// Insiders of a cell, from 1: cells nested in each other with as few people hold the same ones.
    group: Vec<u32>,
    /// Cells by group.
    members: Vec<Vec<CellId>>,
    /// Groups of insiders that an empty cell is a part of.
    nested: HashMap<CellId, Vec<u32>, FixedState>,
    /// Cells masked before.
    kept: BTreeSet<CellId>,
}

impl<'a> Work<'a> {
    fn new(tables: &'a Tables, policy: &Policy, imposed: &Imposed) -> Self {
        let n = tables.cells.len();
        let mut places: Vec<Vec<(u32, u64)>> = vec![Vec::new(); n];
        for (t, table) in (0_u32..).zip(&tables.tables) {
            for (cell, key) in table.cells.iter().zip(&table.keys) {
                if let Some(list) = places.get_mut(*cell as usize) {
                    list.push((t, *key));
                }
            }
        }
        let floor = policy.floor(tables);
        let alone = match policy.insiders {
            Insiders::None => 0,
            Insiders::Singletons => 1,
            Insiders::Pairs => 2,
        };
        let cells = &tables.cells;
        let mut field = Field {
            values: cells.iter().map(|c| c.value).collect(),
            floor: cells.iter().map(|c| if c.published { floor } else { 0 }).collect(),
            masked: cells.iter().map(|c| !c.published).collect(),
            fixed: (0_u32..)
                .zip(cells)
                .map(|(i, c)| c.published && (c.value < floor || imposed.fixed.contains(&i)))
                .collect(),
            cost: cells.iter().map(|c| 24 + u64::from((c.value.unsigned_abs() + 1).ilog2())).collect(),
            known: Vec::new(),
            shared: places.iter().map(|p| p.len() > 1).collect(),
        };
        let insiders: Vec<bool> = cells.iter().map(|c| (1..=alone).contains(&c.contributors)).collect();
        field.known = insiders.iter().map(|i| if *i { KNOWN } else { 0 }).collect();
        let (group, members) = groups(tables, &insiders);
        let mut nested: HashMap<CellId, Vec<u32>, FixedState> = HashMap::default();
        for r in tables.relations.iter().filter(|r| group.at(r.parent as usize) != 0) {
            let empty = |c: &&CellId| cells.get(**c as usize).is_some_and(|x| x.contributors == 0);
            for child in r.children.iter().filter(empty) {
                nested.entry(*child).or_default().push(group.at(r.parent as usize));
            }
        }
        let finders = tables.tables.iter().map(|t| Finder::new(tables, t)).collect();
        Work {
            tables,
            finders,
            places,
            field,
            moves: Vec::new(),
            users: vec![Vec::new(); n],
            proofs: HashMap::default(),
            group,
            members,
            nested,
            kept: imposed.kept.difference(&imposed.fixed).copied().collect(),
        }
    }

    fn needs(&self, r: &Requirement) -> impl Iterator<Item = Need> + use<> {
        let v = self.field.values.at(r.cell as usize);
        [(1, r.at_least - v), (-1, v - r.at_most)].into_iter().filter(|(_, amount)| *amount > 0)
    }
}

/// Who is in which cells: a cell and one that it adds up to, with as many people, hold the same ones.
fn groups(tables: &Tables, insiders: &[bool]) -> (Vec<u32>, Vec<Vec<CellId>>) {
    let people = |c: CellId| tables.cells.get(c as usize).map_or(0, |x| x.contributors);
    let mut same: HashMap<CellId, Vec<CellId>, FixedState> = HashMap::default();
    for r in tables.relations.iter().filter(|r| insiders.at(r.parent as usize)) {
        for c in r.children.iter().filter(|c| people(**c) == people(r.parent)) {
            same.entry(r.parent).or_default().push(*c);
            same.entry(*c).or_default().push(r.parent);
        }
    }
    let mut group = vec![0_u32; tables.cells.len()];
    let mut members = vec![Vec::new()];
    for cell in (0..tables.cells.len() as u32).filter(|c| insiders.at(*c as usize)) {
        if group.at(cell as usize) != 0 {
            continue;
        }
        let number = members.len() as u32;
        let mut found = vec![cell];
        group.put(cell as usize, number);
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            for other in same.get(&at).into_iter().flatten() {
                if group.at(*other as usize) == 0 {
                    group.put(*other as usize, number);
                    found.push(*other);
                }
            }
            next += 1;
        }
        members.push(found);
    }
    (group, members)
}

impl Work<'_> {
    /// Finds what lets a cell rise and fall as it must; masks it. False when it cannot be done.
    fn protect(&mut self, r: &Requirement) -> bool {
        let needs: Vec<Need> = self.needs(r).collect();
        needs.into_iter().all(|(way, amount)| self.prove(r.cell, way, amount))
    }

    fn prove(&mut self, cell: CellId, way: i64, amount: i64) -> bool {
        let mut proof = Vec::new();
        // None: anything; then the insiders that every move so far meets.
        let mut known: Option<Vec<u32>> = None;
        for id in self.users.get(cell as usize).cloned().unwrap_or_default() {
            let Some(Some(changes)) = self.moves.get(id as usize) else { continue };
            if changes.iter().any(|(c, d)| *c == cell && d * way >= amount)
                && self.narrow(&mut known, changes, cell)
            {
                proof.push(id);
                if known.as_ref().is_some_and(Vec::is_empty) {
                    break;
                }
            }
        }
        for _ in 0..ALTERNATIVES {
            if known.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            let barred: Vec<CellId> = known
                .iter()
                .flatten()
                .filter_map(|g| self.members.get(*g as usize))
                .flatten()
                .copied()
                .collect();
            for c in &barred {
                self.field.shared.put(*c as usize, true);
            }
            let found =
                self.search(cell, way, amount, false).or_else(|| self.search(cell, way, amount, true));
            for c in &barred {
                let places = self.places.get(*c as usize).map_or(0, Vec::len);
                self.field.shared.put(*c as usize, places > 1);
            }
            let Some(changes) = found else { break };
            self.narrow(&mut known, &changes, cell);
            proof.push(self.keep(changes));
        }
        let proven = known.is_some_and(|k| k.is_empty());
        if proven {
            self.proofs.insert((cell, way), proof);
        }
        proven
    }

    /// Insiders whose cells every move so far changes, but those of the target itself, or of a group that
    /// holds it and nobody else, who learn nothing of others; false when this move changes nothing to it.
    fn narrow(&self, known: &mut Option<Vec<u32>>, changes: &Changes, target: CellId) -> bool {
        let own = self.group.at(target as usize);
        let nested = self.nested.get(&target).map_or(&[][..], Vec::as_slice);
        let mut met: Vec<u32> = changes
            .iter()
            .map(|(c, _)| self.group.at(*c as usize))
            .filter(|g| *g != 0 && *g != own && !nested.contains(g))
            .collect();
        met.sort_unstable();
        met.dedup();
        match known {
            None => {
                *known = Some(met);
                true
            }
            Some(list) => {
                let before = list.len();
                list.retain(|g| met.binary_search(g).is_ok());
                list.len() < before
            }
        }
    }

    /// Masks what a move changes, and remembers it.
    fn keep(&mut self, changes: Changes) -> u32 {
        let id = self.moves.len() as u32;
        for (cell, _) in &changes {
            self.field.masked.put(*cell as usize, true);
            if let Some(list) = self.users.get_mut(*cell as usize) {
                list.push(id);
            }
        }
        self.moves.push(Some(changes));
        id
    }

    /// A change of the true table by which the cell moves `amount`: at once, else in parts.
    fn search(&mut self, cell: CellId, way: i64, amount: i64, wide: bool) -> Option<Changes> {
        let mut done: HashMap<CellId, i64, FixedState> = HashMap::default();
        let mut lent: Vec<CellId> = Vec::new();
        let mut rest = amount;
        let mut part = amount;
        let mut parts = 0;
        while rest > 0 && part > 0 && parts < PARTS {
            let Some(changes) = self.step(cell, way, part.min(rest), &done, wide) else {
                part = part.min(rest) / 2;
                continue;
            };
            parts += 1;
            rest -= part.min(rest);
            for (c, d) in changes {
                *done.entry(c).or_insert(0) += d;
                if !self.field.masked.at(c as usize) {
                    // Later parts use it freely.
                    self.field.masked.put(c as usize, true);
                    lent.push(c);
                }
            }
        }
        for c in lent {
            self.field.masked.put(c as usize, false);
        }
        (rest == 0).then(|| merged(done.into_iter().collect()))
    }

    /// One move in each table that holds the cell.
    fn step(
        &self,
        target: CellId,
        way: i64,
        amount: i64,
        done: &HashMap<CellId, i64, FixedState>,
        wide: bool,
    ) -> Option<Changes> {
        let places = self.places.get(target as usize)?;
        let mut all = Changes::new();
        for (i, (table, key)) in places.iter().enumerate() {
            let query = Query { target, key: *key, way, amount, field: &self.field, wide, done };
            let found = self.finders.get(*table as usize)?.find(&query)?;
            all.extend(found.into_iter().filter(|(c, _)| i == 0 || *c != target));
        }
        Some(merged(all))
    }

    /// Takes back masks whose work others can do for less.
    fn refine(&mut self, order: &[Requirement]) {
        let primary: BTreeSet<CellId> =
            order.iter().map(|r| r.cell).chain(self.kept.iter().copied()).collect();
        let mut secondary: Vec<CellId> = (0_u32..)
            .zip(self.field.masked.iter().zip(&self.tables.cells))
            .filter(|(i, (m, c))| **m && c.published && !primary.contains(i))
            .map(|(i, _)| i)
            .collect();
        secondary.sort_by_key(|c| (Reverse(self.field.cost.at(*c as usize)), *c));
        let mut served: HashMap<u32, Vec<(CellId, i64)>, FixedState> = HashMap::default();
        for (served_by, ids) in &self.proofs {
            for id in ids {
                served.entry(*id).or_default().push(*served_by);
            }
        }
        let needs: HashMap<(CellId, i64), i64, FixedState> = order
            .iter()
            .flat_map(|r| self.needs(r).map(move |(way, amount)| ((r.cell, way), amount)))
            .collect();
        for cell in secondary {
            let i = cell as usize;
            let users: BTreeSet<u32> = self.users.get(i).into_iter().flatten().copied().collect();
            let users: Vec<u32> =
                users.into_iter().filter(|u| matches!(self.moves.get(*u as usize), Some(Some(_)))).collect();
            let mut orphans: Vec<(CellId, i64)> =
                users.iter().filter_map(|u| served.get(u)).flatten().copied().collect();
            orphans.sort_unstable();
            orphans.dedup();
            orphans.retain(|o| self.proofs.get(o).is_some_and(|p| p.iter().any(|id| users.contains(id))));
            let before = self.field.masked.clone();
            let (moves, proofs) = (self.moves.len(), self.proofs.clone());
            let fixed = self.field.fixed.at(i);
            self.field.masked.put(i, false);
            self.field.fixed.put(i, true);
            let retired: Vec<(u32, Option<Changes>)> = users
                .iter()
                .filter_map(|u| self.moves.get_mut(*u as usize).map(|m| (*u, m.take())))
                .collect();
            let proven =
                orphans.iter().all(|o| needs.get(o).is_some_and(|amount| self.prove(o.0, o.1, *amount)));
            let cost = |masked: &[bool]| -> u64 {
                self.field.cost.iter().zip(masked).filter(|(_, m)| **m).map(|(c, _)| c).sum()
            };
            self.field.fixed.put(i, fixed);
            if proven && cost(&self.field.masked) < cost(&before) {
                for o in orphans {
                    for id in self.proofs.get(&o).into_iter().flatten() {
                        served.entry(*id).or_default().push(o);
                    }
                }
                self.forget_useless(order);
            } else {
                self.field.masked = before;
                self.proofs = proofs;
                for list in &mut self.users {
                    while list.last().is_some_and(|id| *id as usize >= moves) {
                        list.pop();
                    }
                }
                self.moves.truncate(moves);
                for (id, changes) in retired {
                    if let Some(slot) = self.moves.get_mut(id as usize) {
                        *slot = changes;
                    }
                }
            }
        }
    }

    /// Unmasks what no proof uses.
    fn forget_useless(&mut self, order: &[Requirement]) {
        let alive: BTreeSet<u32> = self.proofs.values().flatten().copied().collect();
        let mut masked: Vec<bool> = self.tables.cells.iter().map(|c| !c.published).collect();
        for cell in order.iter().map(|r| r.cell).chain(self.kept.iter().copied()) {
            masked.put(cell as usize, true);
        }
        for (id, slot) in (0_u32..).zip(&mut self.moves) {
            if !alive.contains(&id) {
                *slot = None;
            }
            for (cell, _) in slot.iter().flatten() {
                masked.put(*cell as usize, true);
            }
        }
        self.field.masked = masked;
    }

    /// Gives every masked cell the doubt of the uniform rule, so that nothing tells which were small;
    /// returns those that cannot have it.
    fn even_out(&mut self, uniform: Uniform) -> Vec<CellId> {
        let mut lost = Vec::new();
        let mut seen: BTreeSet<CellId> = self.proofs.keys().map(|(c, _)| *c).collect();
        loop {
            let all: Vec<CellId> = (0_u32..)
                .zip(self.field.masked.iter().zip(&self.tables.cells))
                .filter(|(i, (m, c))| **m && c.published && !seen.contains(i))
                .map(|(i, _)| i)
                .collect();
            if all.is_empty() {
                return lost;
            }
            for cell in all {
                seen.insert(cell);
                let v = self.field.values.at(cell as usize);
                let moved = self.users.get(cell as usize).into_iter().flatten().any(|id| {
                    self.moves
                        .get(*id as usize)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .any(|(c, d)| *c == cell && uniform.allows(v.min(v + d), Some(v.max(v + d))))
                });
                let falls = v >= uniform.threshold;
                let proven = moved
                    || self.prove(cell, 1, uniform.rise(v))
                    || (falls && self.prove(cell, -1, uniform.rise(v)));
                if !proven {
                    lost.push(cell);
                }
            }
        }
    }
}

//! Hierarchical tables of any dimension, linked by the cells that they share.
//!
//! Two tables that both say "pupils of school X, girls" speak of one cell: cells are identified by the
//! codes that are not totals, so linked tables join by themselves. Cell numbers follow the order of the
//! codes, never that of the records.

use super::slots::Slots;
use super::system::{CellId, Known, Published, Relation};
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Node of a dimension; 0 is its total.
pub type Node = u32;
/// No cell.
const NONE: u32 = u32::MAX;
/// Crossings up to which an array finds cells; a map above.
const DENSE: u64 = 1 << 25;

/// A dimension and its hierarchy, codes in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Name; the same name in two tables is the same dimension.
    pub name: String,
    codes: Vec<String>,
    parents: Vec<Node>,
    children: Vec<Vec<Node>>,
    depths: Vec<u8>,
    levels: Vec<String>,
}

impl Dimension {
    /// A dimension whose codes all add up to the total.
    pub fn flat<S: Into<String>>(name: &str, codes: impl IntoIterator<Item = S>) -> Self {
        let edges: BTreeSet<String> = codes.into_iter().map(Into::into).collect();
        Self::build(name, edges.into_iter().map(|c| (c, None)).collect(), &BTreeMap::new())
    }

    /// A dimension from (code, parent code or none); codes are unique in the whole dimension.
    ///
    /// # Errors
    /// [`Error::Usage`] when a parent does not exist, a code has two parents, or codes go round.
    pub fn hierarchy(name: &str, edges: &[(&str, Option<&str>)]) -> Result<Self> {
        let refuse =
            |code: &str, why: &str| Error::Usage(format!("dimension « {name} », code « {code} » : {why}"));
        let mut parents: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (code, parent) in edges {
            let parent = parent.map(ToOwned::to_owned);
            if parents.insert((*code).to_owned(), parent.clone()).is_some_and(|p| p != parent) {
                return Err(refuse(code, "deux parents"));
            }
        }
        let mut levels: Vec<(String, Option<String>)> = Vec::with_capacity(parents.len());
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        while placed.len() < parents.len() {
            let ready: Vec<(&String, &Option<String>)> = parents
                .iter()
                .filter(|(c, p)| {
                    !placed.contains(c.as_str()) && p.as_ref().is_none_or(|p| placed.contains(p.as_str()))
                })
                .collect();
            if ready.is_empty() {
                let code = parents.keys().find(|c| !placed.contains(c.as_str())).map_or("", String::as_str);
                return Err(refuse(code, "parent inconnu, ou hiérarchie qui tourne en rond"));
            }
            for (code, parent) in ready {
                placed.insert(code);
                levels.push((code.clone(), parent.clone()));
            }
        }
        let numbers = levels.iter().map(|(c, _)| c.clone()).zip(1..).collect();
        Ok(Self::build(name, levels, &numbers))
    }

    fn build(name: &str, nodes: Vec<(String, Option<String>)>, numbers: &BTreeMap<String, Node>) -> Self {
        let mut this = Dimension {
            name: name.to_owned(),
            codes: vec![String::new()],
            parents: vec![0],
            children: vec![Vec::new(); nodes.len() + 1],
            depths: vec![0],
            levels: Vec::new(),
        };
        for (node, (code, parent)) in (1..).zip(nodes) {
            let parent = parent.and_then(|p| numbers.get(&p)).copied().unwrap_or(0);
            this.codes.push(code);
            this.parents.push(parent);
            this.depths.push(this.depths.at(parent as usize).saturating_add(1));
            if let Some(list) = this.children.get_mut(parent as usize) {
                list.push(node);
            }
        }
        this
    }

    /// The same, with a name for each level under the total (`departement`, `uai`): a code is then that
    /// level's, in whichever table or release it comes.
    #[must_use]
    pub fn with_levels<S: Into<String>>(mut self, levels: impl IntoIterator<Item = S>) -> Self {
        self.levels = levels.into_iter().map(Into::into).collect();
        self
    }

    /// Name of a node's level: the dimension's own where levels have none.
    pub fn level(&self, node: Node) -> &str {
        let above = usize::from(self.depth(node)).checked_sub(1);
        above.and_then(|i| self.levels.get(i)).map_or(&self.name, String::as_str)
    }

    /// Nodes, the total included.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Never: the total is always there.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Node of a code.
    pub fn node(&self, code: &str) -> Option<Node> {
        (1..).zip(self.codes.iter().skip(1)).find(|(_, c)| *c == code).map(|(i, _)| i)
    }

    /// Nodes by code, to read many records.
    pub fn nodes(&self) -> BTreeMap<&str, Node> {
        self.codes.iter().skip(1).map(String::as_str).zip(1..).collect()
    }

    /// Code of a node; empty for the total.
    pub fn code(&self, node: Node) -> &str {
        self.codes.get(node as usize).map_or("", String::as_str)
    }

    /// What a node adds up to; none for the total.
    pub fn parent(&self, node: Node) -> Option<Node> {
        if node == 0 { None } else { self.parents.get(node as usize).copied() }
    }

    /// What adds up to a node.
    pub fn children(&self, node: Node) -> &[Node] {
        self.children.get(node as usize).map_or(&[], Vec::as_slice)
    }

    /// Levels above a node: 0 for the total.
    pub fn depth(&self, node: Node) -> u8 {
        self.depths.at(node as usize)
    }
}

/// What falls in one crossing of leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// One leaf per dimension.
    pub leaves: Vec<Node>,
    /// The measure; at least 0.
    pub value: i64,
    /// How many people make it.
    pub contributors: u64,
    /// Greatest contribution.
    pub first: i64,
    /// Second greatest.
    pub second: i64,
}

impl Record {
    /// People counted: value and contributors are the same.
    pub fn count(leaves: Vec<Node>, people: u32) -> Self {
        let first = i64::from(people > 0);
        let second = i64::from(people > 1);
        Record { leaves, value: i64::from(people), contributors: u64::from(people), first, second }
    }
}

/// A table to publish.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Dimensions.
    pub dimensions: Vec<Dimension>,
    /// Crossings; a crossing may come several times and is added up.
    pub records: Vec<Record>,
    /// Depth in each dimension of the crossings that are published; all when none.
    pub published: Option<BTreeSet<Vec<u8>>>,
    /// The same people may be in several crossings: a margin is then of as many as the greatest of its parts.
    pub overlap: bool,
}

/// A cell of the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Numbers of (level, code) pairs that are not totals, in order.
    pub key: Vec<(u32, u32)>,
    /// True value.
    pub value: i64,
    /// People.
    pub contributors: u64,
    /// Greatest contribution.
    pub first: i64,
    /// Second greatest.
    pub second: i64,
    /// Meant to be published.
    pub published: bool,
}

/// Linked tables as one system of cells.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The measure counts people.
    pub counts: bool,
    /// All cells.
    pub cells: Vec<Cell>,
    /// All additions, each once.
    pub relations: Vec<Relation>,
    /// The tables.
    pub tables: Vec<Table>,
    names: Vec<(String, Vec<String>)>,
}

/// Between a code and the one above it, in the name of a code that comes under several (two communes of one name).
pub const UNDER: char = '\u{1f}';
/// After a code, once for each level above its own: codes of two levels may be the same.
pub const LEVEL: char = '\u{1e}';

/// One table: where its crossings are in the system.
#[derive(Debug, Clone)]
pub struct Table {
    /// Dimensions.
    pub dimensions: Vec<Dimension>,
    /// What one step in each dimension adds to a key.
    pub strides: Vec<u64>,
    /// Cells of the table, in the order of their keys.
    pub cells: Vec<CellId>,
    /// Their keys, in order.
    pub keys: Vec<u64>,
    dense: Vec<u32>,
    sparse: HashMap<u64, u32, FixedState>,
}

impl Table {
    /// Cell of a key.
    #[inline]
    pub fn cell(&self, key: u64) -> Option<CellId> {
        let found = match self.dense.get(key as usize) {
            Some(c) => *c,
            None => self.sparse.get(&key).copied().unwrap_or(NONE),
        };
        (found != NONE).then_some(found)
    }

    /// Key of a crossing.
    pub fn key(&self, nodes: &[Node]) -> u64 {
        nodes.iter().zip(&self.strides).map(|(n, s)| u64::from(*n) * s).sum()
    }

    /// Crossing of a key.
    pub fn nodes(&self, key: u64) -> Vec<Node> {
        let mut rest = key;
        self.strides
            .iter()
            .map(|s| {
                let node = rest / s;
                rest %= s;
                node as Node
            })
            .collect()
    }
}

/// Ancestors of a node, itself first, the total last.
pub(super) fn ancestors(dimension: &Dimension, node: Node) -> impl Iterator<Item = Node> + '_ {
    std::iter::successors(Some(node), |n| dimension.parent(*n))
}

impl Tables {
    /// Builds the system; `counts` when the measure counts people.
    ///
    /// # Errors
    /// [`Error::Usage`] for a record outside its table, a negative value, or too many crossings.
    pub fn build(specs: Vec<Spec>, counts: bool) -> Result<Self> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for d in specs.iter().flat_map(|s| &s.dimensions) {
            for (node, code) in (1..).zip(d.codes.iter().skip(1)) {
                names.entry(d.level(node).to_owned()).or_default().insert(code.clone());
            }
        }
        let names: Vec<(String, Vec<String>)> =
            names.into_iter().map(|(n, c)| (n, c.into_iter().collect())).collect();
        let built: Vec<(Spec, Crossings)> = specs
            .into_iter()
            .map(|spec| {
                let found = crossings(&spec, &names)?;
                Ok((spec, found))
            })
            .collect::<Result<_>>()?;
        let mut all: BTreeMap<&[(u32, u32)], Cell> = BTreeMap::new();
        for (_, cell) in built.iter().flat_map(|(_, (_, c))| c) {
            match all.get_mut(cell.key.as_slice()) {
                None => drop(all.insert(&cell.key, cell.clone())),
                Some(same) => {
                    if (same.value, same.contributors) != (cell.value, cell.contributors) {
                        return Err(Error::Usage("deux tableaux liés donnent deux valeurs à la même cellule : ils ne portent pas sur la même population".into()));
                    }
                    same.published |= cell.published;
                }
            }
        }
        let numbers: BTreeMap<&[(u32, u32)], CellId> = all.keys().copied().zip(0..).collect();
        let mut tables = Vec::with_capacity(built.len());
        let mut relations: BTreeSet<(CellId, Vec<CellId>)> = BTreeSet::new();
        for (spec, (strides, cells)) in &built {
            let size = spec.dimensions.iter().fold(1_u64, |n, d| n.saturating_mul(d.len() as u64));
            let mut table = Table {
                dimensions: spec.dimensions.clone(),
                strides: strides.clone(),
                cells: Vec::with_capacity(cells.len()),
                keys: Vec::with_capacity(cells.len()),
                dense: if size <= DENSE { vec![NONE; size as usize] } else { Vec::new() },
                sparse: HashMap::default(),
            };
            for (key, cell) in cells {
                let number = numbers.get(cell.key.as_slice()).copied().unwrap_or(NONE);
                table.cells.push(number);
                table.keys.push(*key);
                if size <= DENSE {
                    table.dense.put(*key as usize, number);
                } else {
                    table.sparse.insert(*key, number);
                }
            }
            for (k, dimension) in table.dimensions.iter().enumerate() {
                let stride = table.strides.at(k);
                let mut sums: BTreeMap<CellId, Vec<CellId>> = BTreeMap::new();
                for (key, cell) in table.keys.iter().zip(&table.cells) {
                    let node = (key / stride % dimension.len() as u64) as Node;
                    let Some(parent) = dimension.parent(node) else { continue };
                    // Parents are numbered before their children.
                    let above = key - u64::from(node - parent) * stride;
                    if let Some(parent) = table.cell(above) {
                        sums.entry(parent).or_default().push(*cell);
                    }
                }
                for (parent, mut children) in sums {
                    children.sort_unstable();
                    relations.insert((parent, children));
                }
            }
            tables.push(table);
        }
        let relations =
            relations.into_iter().map(|(parent, children)| Relation { parent, children }).collect();
        drop(numbers);
        let cells = all.into_values().collect();
        Ok(Tables { counts, cells, relations, tables, names })
    }

    /// What readers see when `masked` cells are masked.
    pub fn published(&self, masked: &[bool], floor: i64) -> Published {
        let cells = self
            .cells
            .iter()
            .enumerate()
            .map(|(i, c)| match (c.published, masked.at(i)) {
                (false, _) => Known::Absent { floor: 0 },
                (true, true) => Known::Masked { floor },
                (true, false) => Known::Value(c.value),
            })
            .collect();
        Published { cells, relations: self.relations.clone() }
    }

    /// Cells whose group falls whole into one code of dimension `name`: the group's own cell there, and
    /// every explicit zero beside it.
    pub fn whole_groups(&self, name: &str) -> Vec<CellId> {
        let mut found = BTreeSet::new();
        for table in &self.tables {
            let Some((k, dimension)) = table.dimensions.iter().enumerate().find(|(_, d)| d.name == name)
            else {
                continue;
            };
            let stride = table.strides.at(k);
            for key in &table.keys {
                let node = (key / stride % dimension.len() as u64) as Node;
                let children = dimension.children(node);
                if children.len() < 2 {
                    continue;
                }
                let value = |key: u64| {
                    let c = table.cell(key)?;
                    self.cells.get(c as usize).map(|x| (c, x.value))
                };
                let Some((_, total)) = value(*key).filter(|(_, v)| *v > 0) else { continue };
                let base = key - u64::from(node) * stride;
                let beside: Vec<(CellId, i64)> =
                    children.iter().filter_map(|n| value(base + u64::from(*n) * stride)).collect();
                if beside.iter().any(|(_, v)| *v == total) {
                    found.extend(beside.iter().filter(|(_, v)| *v == 0).map(|(c, _)| *c));
                }
            }
        }
        found.into_iter().collect()
    }

    /// The same without the cells of a level (a coarser zoning): readers no longer see them, and nobody
    /// promises to protect them.
    #[must_use]
    pub fn without(&self, level: &str) -> Self {
        let mut coarser = self.clone();
        if let Some(at) = self.names.iter().position(|(n, _)| n == level) {
            for cell in coarser.cells.iter_mut().filter(|c| c.key.iter().any(|(n, _)| *n as usize == at)) {
                cell.published = false;
            }
        }
        coarser
    }

    /// Levels and dimensions under which cells are published, in order.
    pub fn levels(&self) -> Vec<&str> {
        let seen: BTreeSet<u32> =
            self.cells.iter().filter(|c| c.published).flat_map(|c| c.key.iter().map(|(n, _)| *n)).collect();
        seen.iter().filter_map(|n| self.names.get(*n as usize)).map(|(n, _)| n.as_str()).collect()
    }

    /// (level, code) of a cell, totals left out, in the order of levels.
    pub fn key(&self, cell: CellId) -> Vec<(String, String)> {
        let key = self.cells.get(cell as usize).map_or(&[][..], |c| c.key.as_slice());
        key.iter()
            .filter_map(|(d, c)| {
                let (name, codes) = self.names.get(*d as usize)?;
                let code = codes.get(*c as usize)?;
                Some((name.clone(), code.chars().filter(|c| *c != LEVEL).collect()))
            })
            .collect()
    }

    /// Name of a cell for people: `uai=0350122T, sexe=F`; `total` when nothing is crossed.
    pub fn label(&self, cell: CellId) -> String {
        super::release::label(&self.key(cell))
    }
}

/// Strides of the dimensions, and cells by key, in order.
type Crossings = (Vec<u64>, Vec<(u64, Cell)>);

/// All crossings of a table with what falls in them, by key.
fn crossings(spec: &Spec, names: &[(String, Vec<String>)]) -> Result<Crossings> {
    let refuse = |text: &str| Err(Error::Usage(text.into()));
    let mut strides = vec![1_u64; spec.dimensions.len()];
    let mut size = 1_u64;
    for (stride, dimension) in strides.iter_mut().zip(&spec.dimensions).rev() {
        *stride = size;
        let Some(next) = size.checked_mul(dimension.len() as u64) else {
            return refuse("trop de croisements : réduisez le nombre de dimensions");
        };
        size = next;
    }
    let mut cells: HashMap<u64, Cell, FixedState> = HashMap::default();
    for record in &spec.records {
        if record.value < 0 || record.leaves.len() != spec.dimensions.len() {
            return refuse(
                "un enregistrement n'a pas une modalité par dimension et une valeur positive ou nulle",
            );
        }
        let mut keys = vec![0_u64];
        for ((leaf, dimension), stride) in record.leaves.iter().zip(&spec.dimensions).zip(&strides) {
            if *leaf == 0 || *leaf as usize >= dimension.len() || !dimension.children(*leaf).is_empty() {
                return refuse("un enregistrement ne tombe pas dans une modalité la plus fine");
            }
            keys = keys
                .iter()
                .flat_map(|k| ancestors(dimension, *leaf).map(move |n| k + u64::from(n) * stride))
                .collect();
        }
        for key in keys {
            let cell = cells.entry(key).or_default();
            cell.value = cell.value.saturating_add(record.value);
            cell.contributors = match spec.overlap {
                true => cell.contributors.max(record.contributors),
                false => cell.contributors.saturating_add(record.contributors),
            };
            let second = cell.second.max(record.second).max(cell.first.min(record.first));
            cell.first = cell.first.max(record.first);
            cell.second = second;
        }
    }
    let place = |d: &Dimension, node: Node| {
        let at = names.binary_search_by(|(n, _)| n.as_str().cmp(d.level(node))).unwrap_or(0);
        let codes = names.get(at).map_or(&[][..], |(_, c)| c.as_slice());
        (at as u32, codes.binary_search_by(|c| c.as_str().cmp(d.code(node))).unwrap_or(0) as u32)
    };
    let global: Vec<Vec<(u32, u32)>> =
        spec.dimensions.iter().map(|d| (0..d.len() as Node).map(|n| place(d, n)).collect()).collect();
    let mut out: Vec<(u64, Cell)> = cells.into_iter().collect();
    out.sort_unstable_by_key(|(k, _)| *k);
    for (key, cell) in &mut out {
        let mut rest = *key;
        let mut depths = Vec::with_capacity(strides.len());
        for ((stride, dimension), codes) in strides.iter().zip(&spec.dimensions).zip(&global) {
            let node = (rest / stride) as Node;
            rest %= stride;
            depths.push(dimension.depth(node));
            if node != 0 {
                cell.key.push(codes.at(node as usize));
            }
        }
        cell.key.sort_unstable();
        cell.published = spec.published.as_ref().is_none_or(|p| p.contains(&depths));
    }
    Ok((strides, out))
}

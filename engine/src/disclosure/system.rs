//! Cells and the additions between them: all that an attacker has, and all that a proof needs.

use super::slots::Slots;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Number of a cell in its system.
pub type CellId = u32;

/// `parent` is the sum of `children`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// The margin.
    pub parent: CellId,
    /// What adds up to it.
    pub children: Vec<CellId>,
}

/// What a reader knows of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Its figure.
    Value(i64),
    /// Only that it is masked and at least `floor`.
    Masked {
        /// Least value that a reader must allow.
        floor: i64,
    },
    /// The cell is in no publication: nobody promised to protect it, everything may vary.
    Absent {
        /// Least value that a reader must allow.
        floor: i64,
    },
}

impl Known {
    /// The figure, when published.
    pub fn value(self) -> Option<i64> {
        match self {
            Known::Value(v) => Some(v),
            Known::Masked { .. } | Known::Absent { .. } => None,
        }
    }

    /// Least value of a cell that is not published.
    pub fn floor(self) -> Option<i64> {
        match self {
            Known::Value(_) => None,
            Known::Masked { floor } | Known::Absent { floor } => Some(floor),
        }
    }
}

impl Default for Known {
    fn default() -> Self {
        Known::Value(0)
    }
}

/// Everything published, as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// One entry per cell.
    pub cells: Vec<Known>,
    /// Every addition a reader can write.
    pub relations: Vec<Relation>,
}

impl Published {
    /// Refuses relations on cells that do not exist.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn validate(&self) -> Result<()> {
        let n = self.cells.len();
        let inside = |c: &CellId| (*c as usize) < n;
        if self.relations.iter().all(|r| inside(&r.parent) && r.children.iter().all(inside)) {
            return Ok(());
        }
        Err(Error::Corrupt("une addition nomme une cellule inconnue".into()))
    }

    /// Cells that are masked, in order.
    pub fn masked(&self) -> impl Iterator<Item = CellId> + '_ {
        (0_u32..).zip(&self.cells).filter(|(_, k)| matches!(k, Known::Masked { .. })).map(|(i, _)| i)
    }

    /// For each cell, the relations it is in, with its sign: +1 as a child, -1 as the parent.
    pub fn incidence(&self) -> Incidence {
        Incidence::of(self.cells.len(), &self.relations)
    }
}

/// Relations by cell, in two flat arrays.
#[derive(Debug, Clone)]
pub struct Incidence {
    starts: Vec<u32>,
    entries: Vec<(u32, i8)>,
}

impl Incidence {
    /// Of additions between `cells` cells.
    pub fn of(cells: usize, relations: &[Relation]) -> Self {
        let terms = |r: &Relation| {
            let children: Vec<(CellId, i8)> = r.children.iter().map(|c| (*c, 1)).collect();
            children.into_iter().chain([(r.parent, -1)])
        };
        let mut starts = vec![0_u32; cells + 1];
        for (cell, _) in relations.iter().flat_map(terms) {
            let next = cell as usize + 1;
            starts.change(next, |n| n + 1);
        }
        let mut sum = 0;
        for s in &mut starts {
            sum += *s;
            *s = sum;
        }
        let mut cursor = starts.clone();
        let mut entries = vec![(0, 0); sum as usize];
        for (i, relation) in (0_u32..).zip(relations) {
            for (cell, sign) in terms(relation) {
                let place = cursor.at(cell as usize);
                entries.put(place as usize, (i, sign));
                cursor.put(cell as usize, place + 1);
            }
        }
        Incidence { starts, entries }
    }

    /// Relations of a cell and its sign in each.
    pub fn of_cell(&self, cell: CellId) -> &[(u32, i8)] {
        let (a, b) = (self.starts.at(cell as usize), self.starts.at(cell as usize + 1));
        self.entries.get(a as usize..b as usize).unwrap_or_default()
    }
}

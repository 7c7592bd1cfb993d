//! The proof that what is published is safe, checked with additions only.
//!
//! A base table that agrees with everything published (and is not the true one) and, for each masked
//! cell, two more: one where it is low, one where it is high. They are written as changes of the base.
//! Reading the certificate takes no solver, and no trust in what made it: every cell, every addition and
//! every bound is looked at again, in time linear in its size.

use super::policy::{Requirement, Uniform};
use super::slots::Slots;
use super::system::{CellId, Known, Published};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Two tables for one masked cell; `[cell, low, high]` in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(CellId, u32, u32)", into = "(CellId, u32, u32)")]
pub struct Witness {
    /// The cell.
    pub cell: CellId,
    /// Table where it is low: 0 is the base, n the n-th of [`Certificate::tables`].
    pub low: u32,
    /// Table where it is high.
    pub high: u32,
}

impl From<(CellId, u32, u32)> for Witness {
    fn from((cell, low, high): (CellId, u32, u32)) -> Self {
        Witness { cell, low, high }
    }
}

impl From<Witness> for (CellId, u32, u32) {
    fn from(w: Witness) -> Self {
        (w.cell, w.low, w.high)
    }
}

/// A proof.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Values of the cells that are not published, by cell number.
    pub base: Vec<(CellId, i64)>,
    /// Other tables: changes of the base, by cell number, each cell once.
    pub tables: Vec<Vec<(CellId, i64)>>,
    /// One per masked cell, by cell number.
    pub witnesses: Vec<Witness>,
}

/// What a checked certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Masked cells, all proven.
    pub cells: usize,
    /// Tables looked at, the base included.
    pub tables: usize,
    /// Figures and additions read.
    pub steps: usize,
}

fn refused(message: String) -> Error {
    Error::Refused { code: "CERTIFICATE_REFUSED", message }
}

impl Certificate {
    /// Checks that every masked cell of `published` is in doubt as `uniform` asks, and as each of `required`
    /// asks (empty for a reader, who does not know which cells were small).
    ///
    /// # Errors
    /// [`Error::Refused`] `CERTIFICATE_REFUSED` with the first reason; [`Error::Corrupt`] when the
    /// published tables contradict themselves.
    pub fn check(
        &self,
        published: &Published,
        uniform: Option<Uniform>,
        required: &[Requirement],
    ) -> Result<Checked> {
        published.validate()?;
        let base = self.filled(published)?;
        let mut steps = base.len();
        for (i, relation) in published.relations.iter().enumerate() {
            let sum = relation.children.iter().try_fold(0_i64, |s, c| s.checked_add(base.at(*c as usize)));
            if sum != Some(base.at(relation.parent as usize)) {
                return Err(refused(format!("table de base : l'addition {i} n'est pas juste")));
            }
            steps += relation.children.len() + 1;
        }
        let incidence = published.incidence();
        let mut balance = vec![0_i64; published.relations.len()];
        for (number, changes) in (1..).zip(&self.tables) {
            let wrong = |why: &str| Err(refused(format!("table {number} : {why}")));
            let mut last = None;
            for (cell, change) in changes {
                if last.is_some_and(|l| l >= *cell) {
                    return wrong("cellules en désordre");
                }
                last = Some(*cell);
                let Some(floor) = published.cells.get(*cell as usize).and_then(|k| k.floor()) else {
                    return wrong("elle change un chiffre publié");
                };
                if base.at(*cell as usize).checked_add(*change).is_none_or(|v| v < floor) {
                    return wrong("une valeur est plus petite que possible");
                }
                for (relation, sign) in incidence.of_cell(*cell) {
                    let i = *relation as usize;
                    let Some(sum) =
                        change.checked_mul(i64::from(*sign)).and_then(|d| balance.at(i).checked_add(d))
                    else {
                        return wrong("une addition déborde");
                    };
                    balance.put(i, sum);
                    steps += 1;
                }
            }
            for (relation, _) in changes.iter().flat_map(|(c, _)| incidence.of_cell(*c)) {
                if balance.at(*relation as usize) != 0 {
                    return wrong("une addition n'est pas juste");
                }
            }
        }
        let mut witnesses = self.witnesses.iter();
        let mut needs = required.iter().peekable();
        let mut cells = 0;
        for cell in published.masked() {
            let name = || format!("cellule {cell}");
            let Some(witness) = witnesses.next().filter(|w| w.cell == cell) else {
                return Err(refused(format!("{} : aucun témoin", name())));
            };
            let value = |table: u32| -> Option<i64> {
                let at = base.get(cell as usize).copied()?;
                let Some(index) = table.checked_sub(1) else { return Some(at) };
                let changes = self.tables.get(index as usize)?;
                match changes.binary_search_by_key(&cell, |(c, _)| *c) {
                    Ok(i) => changes.get(i).map(|(_, d)| at + d),
                    Err(_) => Some(at),
                }
            };
            let (Some(low), Some(high)) = (value(witness.low), value(witness.high)) else {
                return Err(refused(format!("{} : table témoin inconnue", name())));
            };
            if let Some(rule) = uniform
                && !rule.allows(low, Some(high))
            {
                return Err(refused(format!("{} : entre {low} et {high}, ce doute ne suffit pas", name())));
            }
            if high <= low {
                return Err(refused(format!("{} : {low} dans les deux tables témoins", name())));
            }
            while needs.next_if(|r| r.cell < cell).is_some() {}
            if let Some(need) = needs.next_if(|r| r.cell == cell)
                && (high < need.at_least || low > need.at_most)
            {
                return Err(refused(format!("{} : entre {low} et {high}, ce doute ne suffit pas", name())));
            }
            cells += 1;
        }
        if witnesses.next().is_some() {
            return Err(refused("un témoin porte sur une cellule qui n'est pas masquée".into()));
        }
        if let Some(missing) = required
            .iter()
            .find(|r| !matches!(published.cells.get(r.cell as usize), Some(Known::Masked { .. })))
        {
            return Err(refused(format!(
                "cellule {} : elle doit être masquée et ne l'est pas",
                missing.cell
            )));
        }
        Ok(Checked { cells, tables: self.tables.len() + 1, steps })
    }

    /// The same proof in other numbers: `numbers` gives each cell its own, or none when readers do not
    /// see it (what adds up to it is then no addition of theirs).
    #[must_use]
    pub fn renumbered(&self, numbers: &[Option<CellId>]) -> Self {
        let values = |list: &[(CellId, i64)]| {
            let mut out: Vec<(CellId, i64)> =
                list.iter().filter_map(|(c, v)| Some((numbers.at(*c as usize)?, *v))).collect();
            out.sort_unstable();
            out
        };
        let witness = |w: &Witness| Some(Witness { cell: numbers.at(w.cell as usize)?, ..*w });
        let mut witnesses: Vec<Witness> = self.witnesses.iter().filter_map(witness).collect();
        witnesses.sort_by_key(|w| w.cell);
        Certificate {
            base: values(&self.base),
            tables: self.tables.iter().map(|t| values(t)).collect(),
            witnesses,
        }
    }

    /// The base with the published figures.
    fn filled(&self, published: &Published) -> Result<Vec<i64>> {
        let mut given = self.base.iter();
        let mut base = Vec::with_capacity(published.cells.len());
        for (cell, known) in (0_u32..).zip(&published.cells) {
            base.push(match known {
                Known::Value(v) => *v,
                Known::Masked { floor } | Known::Absent { floor } => match given.next() {
                    Some((c, v)) if *c == cell && v >= floor => *v,
                    Some((c, _)) if *c == cell => {
                        return Err(refused(format!(
                            "table de base : la cellule {cell} est plus petite que possible"
                        )));
                    }
                    _ => return Err(refused(format!("table de base : la cellule {cell} manque"))),
                },
            });
        }
        if given.next().is_some() {
            return Err(refused("table de base : une cellule publiée y figure".into()));
        }
        Ok(base)
    }
}

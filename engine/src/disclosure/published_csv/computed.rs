//! Figures that are printed: those of a few persons, and those that must follow from others.

use super::{ALL, Measure, PublishedTable};
use crate::disclosure::policy::Uniform;
use crate::disclosure::release::{Key, label};
use crate::disclosure::slots::Slots as _;
use crate::disclosure::system::Known;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Margins of a row in which a share is looked for at most, where that of one dimension is not it.
const MARGINS: usize = 4096;

fn value(m: &Measure, c: usize) -> Option<i64> {
    m.published.cells.get(c).copied().and_then(Known::value)
}

/// Whether `shown` is `times` a over b, to the nearest unit of it.
fn near(shown: i64, a: i64, b: i64, times: i128) -> bool {
    let (shown, a, b) = (i128::from(shown), i128::from(a), i128::from(b));
    b != 0 && (a * times - shown * b).abs() <= b.abs()
}

impl PublishedTable {
    /// Cells that print a few persons, and how many. Whole numbers that do not add up count persons too (visitors
    /// of a week).
    pub fn printed_few(&self, rule: Uniform) -> Vec<(&Key, i64)> {
        if self.noise.is_some() {
            return Vec::new();
        }
        let persons = self.measures.iter().filter(|m| m.persons && (m.additive || m.whole));
        let cells = persons.flat_map(|m| self.keys.iter().zip(&m.published.cells));
        let few = |k: &Known| k.value().filter(|v| (1..rule.threshold).contains(v));
        cells.filter_map(|(key, k)| Some((key, few(k)?))).collect()
    }

    /// Checks that every mean and share is what a reader computes of figures printed beside it: it then says
    /// nothing more.
    ///
    /// # Errors
    /// [`Error::Refused`] `FIGURE_UNPROVEN`.
    pub fn check_computed(&self) -> Result<()> {
        let rows: HashMap<&[u32], usize, FixedState> =
            self.codes.iter().map(Vec::as_slice).zip(0..).collect();
        let sums = self.justifying();
        for measure in self.measures.iter().filter(|m| !m.additive && self.noise.is_none()) {
            for (c, key) in self.keys.iter().enumerate() {
                let Some(shown) = value(measure, c) else { continue };
                if !mean(&sums, c, shown) && !self.share(&rows, &sums, c, shown) {
                    return Err(Error::Refused {
                        code: "FIGURE_UNPROVEN",
                        message: format!(
                            "« {} » de {} ne se calcule pas des chiffres publiés à côté : il dirait ce que d'autres cachent",
                            measure.name,
                            label(key)
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// Measures of which means and shares are made: with persons or what they make, no other column stands for
    /// them, whatever its figures. Where nobody is counted, all that add up.
    fn justifying(&self) -> Vec<&Measure> {
        let of_persons = |m: &&Measure| m.additive && (m.persons || m.amount);
        let nobody = !self.measures.iter().any(|m| (m.additive || m.whole) && (m.persons || m.amount));
        self.measures.iter().filter(|m| of_persons(m) || (nobody && m.additive)).collect()
    }

    /// Whether a figure is the share of its cell in a margin that is printed.
    fn share(
        &self,
        rows: &HashMap<&[u32], usize, FixedState>,
        sums: &[&Measure],
        c: usize,
        shown: i64,
    ) -> bool {
        let Some(own) = self.codes.get(c) else { return false };
        let of = |whole: &Vec<u32>| {
            let Some(whole) = rows.get(whole.as_slice()) else { return false };
            let part = |m: &&Measure| value(m, c).zip(value(m, *whole));
            sums.iter().filter_map(part).any(|(a, b)| near(shown, a, b, 10_000))
        };
        // In the total of one dimension, as a rate is; then in any other margin.
        of(own)
            || self.chains.iter().any(|chain| cuts(own, chain).iter().any(of))
            || self.margins(own).iter().any(of)
    }

    /// Every margin that a row is counted in, itself first.
    fn margins(&self, own: &[u32]) -> Vec<Vec<u32>> {
        let mut all = vec![own.to_vec()];
        for chain in &self.chains {
            let more: Vec<Vec<u32>> = all.iter().flat_map(|codes| cuts(codes, chain)).collect();
            all.extend(more.into_iter().take(MARGINS.saturating_sub(all.len())));
        }
        all
    }
}

/// The row at each coarser level of a hierarchy: the finer columns of it are totals.
fn cuts(codes: &[u32], chain: &[usize]) -> Vec<Vec<u32>> {
    let deep = chain.iter().take_while(|d| codes.at(**d) != ALL).count();
    let cut = |kept: usize| {
        let mut margin = codes.to_vec();
        chain.iter().skip(kept).for_each(|d| margin.put(*d, ALL));
        margin
    };
    (0..deep).map(cut).collect()
}

/// Whether a figure is the quotient of two others of its cell.
fn mean(sums: &[&Measure], c: usize, shown: i64) -> bool {
    sums.iter().any(|a| {
        sums.iter().any(|b| {
            let of = value(a, c).zip(value(b, c));
            a.name != b.name && of.is_some_and(|(a, b)| near(shown, a, b, 100))
        })
    })
}

//! Figures that are printed: those of a few persons, and those that must follow from others.

use super::{Measure, PublishedTable};
use crate::disclosure::policy::Uniform;
use crate::disclosure::release::Key;
use crate::disclosure::system::Known;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

impl PublishedTable {
    /// Cells that print a few persons, and how many.
    pub fn printed_few(&self, rule: Uniform) -> Vec<(&Key, i64)> {
        if self.noise.is_some() {
            return Vec::new();
        }
        let persons = self.measures.iter().filter(|m| m.persons && m.additive);
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
        let sums: Vec<&Measure> = self.measures.iter().filter(|m| m.additive).collect();
        let value = |m: &Measure, c: usize| m.published.cells.get(c).copied().and_then(Known::value);
        let number: HashMap<&Key, usize, FixedState> = self.keys.iter().zip(0..).collect();
        let near = |shown: i64, a: i64, b: i64, times: i128| {
            b != 0 && (i128::from(a) * times - i128::from(shown) * i128::from(b)).abs() <= i128::from(b.abs())
        };
        for measure in self.measures.iter().filter(|m| !m.additive && self.noise.is_none()) {
            for (c, key) in self.keys.iter().enumerate() {
                let Some(shown) = value(measure, c) else { continue };
                let mean = || {
                    sums.iter().any(|a| {
                        sums.iter().any(|b| {
                            let of = value(a, c).zip(value(b, c));
                            a.name != b.name && of.is_some_and(|(a, b)| near(shown, a, b, 100))
                        })
                    })
                };
                let wider = || {
                    (0..1_u32 << key.len().min(12)).filter_map(|kept| {
                        let part = |(i, pair): (usize, &(String, String))| {
                            (kept >> i & 1 == 1).then(|| pair.clone())
                        };
                        let wide: Key = key.iter().enumerate().filter_map(part).collect();
                        number.get(&wide).copied()
                    })
                };
                let share = || {
                    let mut pairs = wider().flat_map(|w| sums.iter().map(move |m| (w, m)));
                    pairs.any(|(w, m)| {
                        value(m, c).zip(value(m, w)).is_some_and(|(a, b)| near(shown, a, b, 10_000))
                    })
                };
                if !mean() && !share() {
                    return Err(Error::Refused {
                        code: "FIGURE_UNPROVEN",
                        message: format!(
                            "« {} » de {} ne se calcule pas des chiffres publiés à côté : il dirait ce que d'autres cachent",
                            measure.name,
                            crate::disclosure::release::label(key)
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}

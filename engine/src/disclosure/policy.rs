//! Which cells need protection, and how wide the doubt about them must be.
//!
//! Thresholds are conventions of each source (INSEE, manuel de protection des tableaux): a policy is
//! therefore named and dated configuration, never a constant of the program.

use super::system::CellId;
use super::table::Tables;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// After the name of a policy that was raised to what was promised before.
const RAISED: &str = ", relevée à ce qui a été promis des mêmes personnes";
/// Doubt about the sum of a few contributors, in % of it (τ-ARGUS, safety range of the frequency rule).
const FEW: i64 = 30;

/// What readers may suppose of a combination that shows no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zeros {
    /// Zeros are published (or left out, which says the same): a masked cell is known to be 1 or more.
    Published,
    /// Zeros may be masked like any other cell: a masked cell may be 0.
    Concealed,
}

/// Who, among those counted, attacks with what he knows of himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Insiders {
    /// Nobody.
    None,
    /// Someone alone in a cell: he knows that figure.
    Singletons,
    /// Two people alone in a cell, together: they know it too.
    Pairs,
}

/// A protection policy. Amounts are in the unit of the measure, contributors in people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Name under which it is cited.
    pub name: String,
    /// Date from which it holds, `YYYY-MM-DD`.
    pub since: String,
    /// A cell with at least one contributor and fewer than this is protected.
    pub threshold: u32,
    /// Every masked cell stays unknown by at least this much.
    pub width: u32,
    /// A cell whose greatest contributor holds more than this share (%) is protected.
    pub dominance: Option<u32>,
    /// A cell whose second contributor can know the greatest within this many % is protected.
    pub p_percent: Option<u32>,
    /// Dimensions of which a group that falls whole into one code is protected.
    pub attributes: Vec<String>,
    /// Zeros.
    pub zeros: Zeros,
    /// Insiders.
    pub insiders: Insiders,
}

/// What a reader must be left unable to exclude for one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The cell.
    pub cell: CellId,
    /// Some table that agrees with everything published has this or more.
    pub at_least: i64,
    /// And some has this or less.
    pub at_most: i64,
}

impl Policy {
    /// Above, a figure could leave the range in which the audit looks for tables.
    const LARGEST: u32 = 1_000_000;

    /// Refuses a policy that could not protect.
    ///
    /// # Errors
    /// [`Error::Usage`], in French.
    pub fn validate(&self) -> Result<()> {
        let refuse = |text: &str| Err(Error::Usage(format!("politique « {} » : {text}", self.name)));
        if !(2..=Self::LARGEST).contains(&self.threshold) {
            return refuse("le seuil de contributeurs est entre 2 et 1 000 000");
        }
        if !(1..=Self::LARGEST).contains(&self.width) {
            return refuse("la largeur d'incertitude est entre 1 et 1 000 000");
        }
        if self.dominance.is_some_and(|d| !(1..100).contains(&d)) {
            return refuse("la part dominante est entre 1 et 99 %");
        }
        if self.p_percent.is_some_and(|p| !(1..=100).contains(&p)) {
            return refuse("p est entre 1 et 100 %");
        }
        if !self.attributes.is_empty() && self.zeros == Zeros::Published {
            return refuse(
                "un groupe tout entier dans une modalité ne se protège qu'en masquant aussi des zéros : écrivez zeros = \"concealed\"",
            );
        }
        Ok(())
    }

    /// Least value that a reader supposes of a cell that is not published.
    pub fn floor(&self, tables: &Tables) -> i64 {
        i64::from(self.zeros == Zeros::Published && tables.counts)
    }

    /// The rule that holds for every masked cell, whatever its figure: it can therefore be checked, and
    /// shown, without telling which cells are small. Of a count, readers cannot exclude the threshold, nor
    /// know the cell within `width`; of an amount, they cannot know it within `p_percent`.
    pub fn uniform(&self) -> Uniform {
        Uniform {
            threshold: i64::from(self.threshold),
            width: i64::from(self.width),
            percent: i64::from(self.p_percent.unwrap_or(0)),
        }
    }

    /// The same policy, never weaker than what was promised of these persons before: what a strong policy
    /// masked, a weaker one would give away.
    #[must_use]
    pub fn strengthened(mut self, before: Uniform) -> Self {
        let least = |own: u32, other: i64| own.max(u32::try_from(other).unwrap_or(u32::MAX));
        let own = self.uniform();
        self.threshold = least(self.threshold, before.threshold);
        self.width = least(self.width, before.width);
        if before.percent > 0 {
            self.p_percent = Some(least(self.p_percent.unwrap_or(0), before.percent).min(100));
        }
        if self.uniform() != own && !self.name.ends_with(RAISED) {
            self.name.push_str(RAISED);
        }
        self
    }

    /// Primary cells and what each needs, by cell number. Absent cells need nothing.
    pub fn requirements(&self, tables: &Tables) -> Vec<Requirement> {
        let uniform = self.uniform().of(tables.counts);
        let mut found: Vec<Requirement> = (0_u32..)
            .zip(&tables.cells)
            .filter(|(_, c)| c.published)
            .filter_map(|(cell, c)| {
                let v = c.value;
                let few = c.contributors > 0 && c.contributors < u64::from(self.threshold);
                let rise = if tables.counts {
                    few.then(|| uniform.rise(v))
                } else {
                    let margins = [
                        few.then_some(v.saturating_mul(FEW) / 100),
                        // Nobody has anything: that is known of each.
                        (v == 0 && c.contributors > 0)
                            .then(|| i64::try_from(c.contributors).unwrap_or(i64::MAX / 4)),
                        self.dominance_margin(v, c.first),
                        self.p_margin(v, c.first, c.second),
                    ];
                    margins.into_iter().flatten().max().map(|m| m.max(uniform.rise(v)))
                }?;
                let fall = if tables.counts { 0 } else { rise };
                Some(Requirement {
                    cell,
                    at_least: v.saturating_add(rise),
                    at_most: v.saturating_sub(fall).max(0),
                })
            })
            .collect();
        for name in &self.attributes {
            let published = |c: &CellId| tables.cells.get(*c as usize).is_some_and(|c| c.published);
            for cell in tables.whole_groups(name).into_iter().filter(published) {
                // A zero that might not be one is all the doubt there can be.
                found.push(Requirement { cell, at_least: uniform.rise(0), at_most: 0 });
            }
        }
        found.sort_by_key(|r| (r.cell, -r.at_least));
        found.dedup_by_key(|r| r.cell);
        found
    }

    /// Doubt that hides a dominant contributor: 100 × first / share − value.
    fn dominance_margin(&self, value: i64, first: i64) -> Option<i64> {
        let share = i128::from(self.dominance?);
        let (value, first) = (i128::from(value), i128::from(first));
        let margin = (first * 100).div_ceil_floor(share) - value;
        (first * 100 > share * value).then(|| i64::try_from(margin.max(1)).unwrap_or(i64::MAX / 4))
    }

    /// Doubt that keeps the second contributor from the first: p × first / 100 − what the others add.
    fn p_margin(&self, value: i64, first: i64, second: i64) -> Option<i64> {
        let p = i128::from(self.p_percent?);
        let rest = i128::from(value) - i128::from(first) - i128::from(second);
        let margin = (p * i128::from(first)).div_ceil_floor(100) - rest;
        (first > 0 && margin > 0).then(|| i64::try_from(margin).unwrap_or(i64::MAX / 4))
    }
}

/// Division that rounds up; the divisor is positive.
trait DivCeil {
    fn div_ceil_floor(self, by: i128) -> i128;
}

impl DivCeil for i128 {
    fn div_ceil_floor(self, by: i128) -> i128 {
        -((-self).div_euclid(by))
    }
}

/// The rule for every masked cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// Of a count: some table has this or more.
    pub threshold: i64,
    /// Two tables differ by this or more.
    pub width: i64,
    /// Of an amount: and by this share (%) of the lesser.
    #[serde(default)]
    pub percent: i64,
}

impl Uniform {
    /// As it holds for persons, or for amounts.
    #[must_use]
    pub fn of(self, persons: bool) -> Self {
        match persons {
            true => Uniform { percent: 0, ..self },
            false => Uniform { threshold: 0, ..self },
        }
    }

    /// What both ask.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        Uniform {
            threshold: self.threshold.max(other.threshold),
            width: self.width.max(other.width),
            percent: self.percent.max(other.percent),
        }
    }

    /// What a package says may be anything: numbers that a policy may have.
    #[must_use]
    pub fn bounded(self) -> Self {
        let most = i64::from(Policy::LARGEST);
        Uniform {
            threshold: self.threshold.clamp(2, most),
            width: self.width.clamp(1, most),
            percent: self.percent.clamp(0, 100),
        }
    }

    /// By how much two tables must differ when the lesser has this.
    fn doubt(self, lower: i64) -> i64 {
        let share = i128::from(lower.max(0)) * i128::from(self.percent);
        self.width.max(i64::try_from(share.div_ceil_floor(100)).unwrap_or(i64::MAX / 4))
    }

    /// Whether a masked cell known to lie between these is in doubt enough.
    pub fn allows(self, lower: i64, upper: Option<i64>) -> bool {
        upper.is_none_or(|u| u >= self.threshold && u.saturating_sub(lower) >= self.doubt(lower))
    }

    /// By how much a cell must be able to rise.
    pub fn rise(self, value: i64) -> i64 {
        (self.threshold - value).max(self.doubt(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            name: "essai".into(),
            since: "2026-09-01".into(),
            threshold: 5,
            width: 2,
            dominance: Some(85),
            p_percent: Some(10),
            attributes: vec![],
            zeros: Zeros::Published,
            insiders: Insiders::None,
        }
    }

    #[test]
    fn margins_of_magnitudes_are_those_of_the_handbook() {
        let p = policy();
        for (value, first, second, dominance, p_percent) in [
            (100, 90, 5, Some(6), Some(4)), // 9000/85 = 105.9; 9 − 5
            (100, 85, 10, None, Some(4)),   // 8.5 → 9 − 5
            (100, 40, 30, None, None),      // 4 − 30
            (50, 50, 0, Some(9), Some(5)),  // alone
            (0, 0, 0, None, None),
        ] {
            assert_eq!(p.dominance_margin(value, first), dominance, "{value} {first}");
            assert_eq!(p.p_margin(value, first, second), p_percent, "{value} {first} {second}");
        }
    }

    #[test]
    fn policies_that_cannot_protect_are_refused() {
        let bad: [fn(&mut Policy); 7] = [
            |p| p.threshold = 1,
            |p| p.threshold = 4_000_000_000,
            |p| p.width = 0,
            |p| p.width = u32::MAX,
            |p| p.dominance = Some(100),
            |p| p.p_percent = Some(0),
            |p| p.attributes.push("boursier".into()),
        ];
        for change in bad {
            let mut p = policy();
            change(&mut p);
            assert!(p.validate().is_err());
        }
        assert!(policy().validate().is_ok());
    }
}

//! How far the secrets of some rows are from those of all rows: earth mover's distance (Li et al. 2007),
//! exactly, as a fraction.
//!
//! Ordered values are a rank apart from each other, others all as far. A class has few of the values: its
//! distance is found from these and from sums over all rows, without a look at the values that it has not.

use super::PARTS;
use crate::disclosure::slots::Slots;

/// A secret of all rows.
pub(super) struct Spread {
    /// Rows of each value, in the order of values.
    all: Vec<u64>,
    /// Rows of the values up to each.
    upto: Vec<u64>,
    /// Sums of `upto`, from none on.
    sums: Vec<u128>,
    ordered: bool,
}

impl Spread {
    pub(super) fn new(all: Vec<u64>, ordered: bool) -> Self {
        let upto: Vec<u64> = all
            .iter()
            .scan(0, |sum, n| {
                *sum += n;
                Some(*sum)
            })
            .collect();
        let mut sums = vec![0];
        sums.extend(upto.iter().scan(0_u128, |sum, n| {
            *sum += u128::from(*n);
            Some(*sum)
        }));
        Spread { all, upto, sums, ordered }
    }

    /// Rows.
    fn rows(&self) -> u64 {
        self.upto.last().copied().unwrap_or(0)
    }

    /// Whether `class` is at most `t` away, in [`PARTS`].
    pub(super) fn within(&self, class: &[(usize, u64)], t: u64) -> bool {
        let (far, whole) = self.distance(class);
        far.saturating_mul(u128::from(PARTS)) <= whole.saturating_mul(u128::from(t))
    }

    /// The distance of a class as a fraction; `class` holds the rows of each value that it has, in order.
    pub(super) fn distance(&self, class: &[(usize, u64)]) -> (u128, u128) {
        let size: u64 = class.iter().map(|(_, n)| n).sum();
        let (n, m) = (u128::from(size), u128::from(self.rows()));
        if !self.ordered {
            let apart = |(value, rows): &(usize, u64)| {
                (u128::from(*rows) * m).abs_diff(u128::from(self.all.at(*value)) * n)
            };
            let had: u128 = class.iter().map(|(value, _)| u128::from(self.all.at(*value))).sum();
            return (class.iter().map(apart).sum::<u128>() + m.saturating_sub(had) * n, n * m * 2);
        }
        // Between two of its values, the rows of the class up to there are the same.
        let (mut from, mut held, mut far) = (0, 0_u64, 0_u128);
        for (value, rows) in class {
            far += self.stretch(from, *value, u128::from(held) * m, n);
            (from, held) = (*value, held + rows);
        }
        far += self.stretch(from, self.upto.len(), u128::from(held) * m, n);
        (far, n * m * (self.all.len().saturating_sub(1) as u128).max(1))
    }

    /// Sum of |`level` − `upto` × `n`| over the values from `from` to before `to`: `upto` never falls, so
    /// there is one place where it passes the level.
    fn stretch(&self, from: usize, to: usize, level: u128, n: u128) -> u128 {
        let part = self.upto.get(from..to).unwrap_or_default();
        let pass = from + part.partition_point(|sum| u128::from(*sum) * n <= level);
        let sum = |a: usize, b: usize| (self.sums.at(b) - self.sums.at(a)) * n;
        (level * (pass - from) as u128 - sum(from, pass)) + (sum(pass, to) - level * (to - pass) as u128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances_are_those_of_the_articles() {
        // Li et al. (2007): salaries 3k to 11k; {3,4,5} is at 0.375, {6,8,11} at 0.167.
        let all = Spread::new(vec![1; 9], true);
        for (class, parts) in [([(0, 1), (1, 1), (2, 1)], 375_000), ([(3, 1), (5, 1), (8, 1)], 166_667)] {
            let (far, whole) = all.distance(&class);
            assert_eq!((far * u128::from(PARTS) * 2 + whole) / (2 * whole), parts);
            assert!(all.within(&class, parts as u64 + 1));
            assert!(!all.within(&class, parts as u64 - 1));
        }
        // Unordered: half the sum of differences.
        let (far, whole) = Spread::new(vec![2, 2], false).distance(&[(0, 2)]);
        assert_eq!(far * 2, whole);
        // Nobody, and one value: no distance.
        assert_eq!(Spread::new(vec![], true).distance(&[]), (0, 0));
        assert_eq!(Spread::new(vec![7], true).distance(&[(0, 3)]), (0, 21));
    }

    proptest! {
        #[test]
        fn the_sum_over_all_values_is_the_same(
            values in prop::collection::vec((0_u64..9, 0_u64..4), 1..30), ordered in any::<bool>(),
        ) {
            let all: Vec<u64> = values.iter().map(|(a, b)| a + b).collect();
            let class: Vec<(usize, u64)> =
                values.iter().enumerate().filter(|(_, (a, _))| *a > 0).map(|(i, (a, _))| (i, *a)).collect();
            let (n, m) = (values.iter().map(|(a, _)| a).sum::<u64>(), all.iter().sum::<u64>());
            let apart = values.iter().zip(&all).map(|((a, _), b)| i128::from(*a) * i128::from(m) - i128::from(*b) * i128::from(n));
            let plain: u128 = match ordered {
                false => apart.map(i128::unsigned_abs).sum(),
                true => apart.scan(0, |moved, d| { *moved += d; Some(*moved) }).map(i128::unsigned_abs).sum(),
            };
            let whole = u128::from(n) * u128::from(m) * if ordered { (values.len() as u128 - 1).max(1) } else { 2 };
            prop_assert_eq!(Spread::new(all, ordered).distance(&class), (plain, whole));
        }
    }
}

//! How many are drawn.

use serde::{Deserialize, Serialize};

const SCALE: u32 = 10_000;

/// A number between 0 and 10 with at most four decimals, kept exact: the size of a sample is the
/// same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(u32);

impl Decimal {
    /// `None` outside of the range or with more decimals.
    pub fn new(value: f64) -> Option<Self> {
        let scaled = value * f64::from(SCALE);
        let near = (scaled - scaled.round()).abs() < 1e-6 && (0.0..=f64::from(10 * SCALE)).contains(&scaled);
        // The range was checked: the cast cannot cut.
        near.then_some(Decimal(scaled.round() as u32))
    }

    /// Ten-thousandths.
    fn scaled(self) -> u128 {
        u128::from(self.0)
    }

    /// Strictly between 0 and 1.
    pub fn is_proportion(self) -> bool {
        (1..SCALE).contains(&self.0)
    }

    /// As the French write it.
    pub fn french(self) -> String {
        self.to_string().replace('.', ",")
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimals = format!("{:04}", self.0 % SCALE);
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / SCALE),
            shown => write!(f, "{}.{shown}", self.0 / SCALE),
        }
    }
}

impl From<Decimal> for String {
    fn from(d: Decimal) -> String {
        d.to_string()
    }
}

impl TryFrom<String> for Decimal {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = text.parse().ok().and_then(Decimal::new);
        read.filter(|d| d.to_string() == text).ok_or("a number with at most four decimals")
    }
}

/// Size of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Size {
    /// A number.
    Count(u64),
    /// A share of the population, rounded up.
    Rate(Decimal),
    /// From a margin of error, with the finite population correction.
    Formula {
        /// Populations smaller than this are kept whole.
        keep_all_below: u64,
        /// Margin of error.
        margin: Decimal,
        /// Expected proportion; 0.5 supposes nothing.
        p: Decimal,
        /// Normal quantile of the confidence: 1.96 for 95 %.
        z: Decimal,
    },
}

impl Size {
    /// Units to draw out of `population`: never more than there are, and all of them when the
    /// parameters say nothing.
    ///
    /// n0 = z² p (1 − p) / e²; n = n0 / (1 + (n0 − 1) / N), rounded up.
    pub fn of(&self, population: u64) -> u64 {
        let wide = u128::from(population);
        let n = match self {
            Size::Count(n) => u128::from(*n),
            Size::Rate(rate) => (wide * rate.scaled()).div_ceil(SCALE.into()),
            Size::Formula { keep_all_below, .. } if population < *keep_all_below => wide,
            Size::Formula { margin, p, z, .. } => {
                let scale = u128::from(SCALE);
                let a = z.scaled().pow(2) * p.scaled() * scale.saturating_sub(p.scaled());
                let b = margin.scaled().pow(2) * scale.pow(2);
                match (a, b, wide) {
                    (0, _, _) | (_, 0, _) | (_, _, 0) => wide,
                    (a, b, n) => (a * n).div_ceil(b * (n - 1) + a),
                }
            }
        };
        u64::try_from(n).unwrap_or(population).min(population)
    }

    /// In French.
    pub fn french(&self) -> String {
        match self {
            Size::Count(n) => format!("{} au plus", crate::french::thousands(*n)),
            Size::Rate(rate) => format!("une part de {} arrondie au-dessus", rate.french()),
            Size::Formula { keep_all_below, margin, p, z } => format!(
                "taille pour z = {}, marge {} et proportion {}, corrigée de la taille de la population ; tout est gardé sous {}",
                z.french(),
                margin.french(),
                p.french(),
                crate::french::thousands(*keep_all_below)
            ),
        }
    }
}

/// Shares `n` among strata in proportion to their sizes, by the largest remainder; ties go to the
/// first stratum. Then every stratum has at least `minimum`, or all it holds: the total may pass `n`.
pub fn allocate(n: u64, sizes: &[u64], minimum: u64) -> Vec<u64> {
    let total: u128 = sizes.iter().map(|s| u128::from(*s)).sum();
    let n = u128::from(n).min(total);
    let share = |size: &u64| (n * u128::from(*size)).checked_div(total).unwrap_or(0);
    let rest = |size: &u64| (n * u128::from(*size)).checked_rem(total).unwrap_or(0);
    let mut shares: Vec<u128> = sizes.iter().map(share).collect();
    let missing = n - shares.iter().sum::<u128>();
    let mut order: Vec<(usize, u128)> = sizes.iter().map(rest).enumerate().collect();
    order.sort_by_key(|(i, rest)| (std::cmp::Reverse(*rest), *i));
    for (i, _) in order.iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        if let Some(share) = shares.get_mut(*i) {
            *share += 1;
        }
    }
    let whole = |s: u128| u64::try_from(s).unwrap_or(u64::MAX);
    shares.into_iter().zip(sizes).map(|(s, size)| whole(s).max(minimum).min(*size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn formula(z: f64, margin: f64, p: f64) -> Size {
        let d = |v| Decimal::new(v).unwrap();
        Size::Formula { keep_all_below: 100, margin: d(margin), p: d(p), z: d(z) }
    }

    #[test]
    fn the_formula_gives_the_known_sizes() {
        for (z, margin, p, population, want) in [
            (1.96, 0.05, 0.5, 1_000, 278),
            (1.96, 0.05, 0.5, 10_000, 370),
            (1.96, 0.05, 0.5, 1_000_000_000, 385),
            (1.96, 0.05, 0.5, 100, 80),
            (1.96, 0.05, 0.5, 99, 99),
            (1.96, 0.05, 0.5, 0, 0),
            (2.576, 0.05, 0.5, 1_000, 400),
            (1.96, 0.03, 0.5, 10_000, 965),
            (1.96, 0.05, 0.1, 10_000, 137),
            (1.96, 0.0, 0.5, 10_000, 10_000),
            (1.96, 0.05, 1.0, 10_000, 10_000),
        ] {
            assert_eq!(formula(z, margin, p).of(population), want, "{z} {margin} {p} {population}");
        }
        assert_eq!(formula(1.96, 0.05, 0.5).of(u64::MAX), 385);
    }

    #[test]
    fn counts_and_rates_never_pass_the_population() {
        for (size, population, want) in [
            (Size::Count(50), 10, 10),
            (Size::Count(5), 10, 5),
            (Size::Rate(Decimal::new(0.1).unwrap()), 10, 1),
            (Size::Rate(Decimal::new(0.1).unwrap()), 11, 2),
            (Size::Rate(Decimal::new(0.1).unwrap()), 0, 0),
            (Size::Rate(Decimal::new(0.0001).unwrap()), u64::MAX, u64::MAX / 10_000 + 1),
        ] {
            assert_eq!(size.of(population), want, "{size:?} of {population}");
        }
    }

    #[test]
    fn decimals_are_read_and_written_exactly() {
        for (value, text) in [(0.05, "0.05"), (1.96, "1.96"), (2.5758, "2.5758"), (1.0, "1"), (0.0, "0")] {
            let d = Decimal::new(value).unwrap();
            assert_eq!(d.to_string(), text);
            assert_eq!(Decimal::try_from(text.to_owned()), Ok(d));
        }
        for bad in [-0.1, 10.1, 0.00001, f64::NAN, f64::INFINITY] {
            assert_eq!(Decimal::new(bad), None, "{bad}");
        }
        for bad in ["0.050", "+1", "1e0", "", "0,05", " 1"] {
            assert!(Decimal::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_largest_remainders_are_served_first() {
        for (n, sizes, minimum, want) in [
            (10, &[50, 30, 20][..], 0, &[5, 3, 2][..]),
            (10, &[1, 1, 1], 0, &[1, 1, 1]),
            (1, &[1, 1, 1], 0, &[1, 0, 0]),
            // 10 × 47/100 = 4.7; 1.6; 1.58; 1.2; 0.6; 0.32
            (10, &[470, 160, 158, 120, 60, 32], 0, &[5, 2, 1, 1, 1, 0]),
            (10, &[470, 160, 158, 120, 60, 32], 1, &[5, 2, 1, 1, 1, 1]),
            (2, &[100, 1, 0], 2, &[2, 1, 0]),
            (5, &[], 1, &[]),
            (5, &[0, 0], 1, &[0, 0]),
        ] {
            assert_eq!(allocate(n, sizes, minimum), want, "{n} {sizes:?} {minimum}");
        }
    }

    proptest! {
        #[test]
        fn an_allocation_is_exact_and_within_one_of_the_proportion(
            sizes in prop::collection::vec(0_u64..10_000, 0..30), n in 0_u64..50_000,
        ) {
            let total: u64 = sizes.iter().sum();
            let n = n.min(total);
            let shares = allocate(n, &sizes, 0);
            prop_assert_eq!(shares.iter().sum::<u64>(), n);
            for (share, size) in shares.iter().zip(&sizes) {
                prop_assert!(share <= size);
                prop_assert!((share * total).abs_diff(n * size) < total.max(1));
            }
        }
    }
}

//! Cell-key perturbation of counts.
//!
//! Every record has a key, drawn by HMAC-SHA-256 from a pseudonym; a cell's key is the sum of those of its
//! records, and says which noise of the table is added. The same people give the same noise, in every
//! table and every release; one person more or less gives another. Noise is bounded, nil on average, and
//! a nil stays nil. Tables no longer add up (method of the Australian Bureau of Statistics; Fraser and
//! Wooton, 2005).

use super::audit::{Interval, Limits, attack_within};
use super::system::Relation;
use crate::error::{Error, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

/// Domain of the record keys.
const DOMAIN: &[u8] = b"cartulaire/cell-key/v1";
/// Shares of a noise are counted out of this.
const WHOLE: u64 = 1 << 32;
/// Halvings that find the slope of a spread.
const HALVINGS: usize = 200;

/// Gives record keys; never rotated within a series, or noises would average out.
pub struct RecordKeys {
    started: Hmac<Sha256>,
}

impl RecordKeys {
    /// From a secret of 32 bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros to a block: giving the block leaves nothing to fail.
        let mut block = [0; 64];
        block.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
        let mut started = Hmac::<Sha256>::new(&block.into());
        started.update(DOMAIN);
        RecordKeys { started }
    }

    /// Key of a record, by a pseudonym that is stable over releases.
    pub fn of(&self, pseudonym: &str) -> u64 {
        let mut mac = self.started.clone();
        mac.update(pseudonym.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        bytes.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
    }
}

/// Key of a cell that holds these records: the order is nothing.
pub fn cell_key(records: impl IntoIterator<Item = u64>) -> u64 {
    records.into_iter().fold(0, u64::wrapping_add)
}

/// The table of noises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perturbation {
    bound: i64,
    /// For counts 1, 2, … and, in the last row, all greater ones: noises and their shares of [`WHOLE`].
    rows: Vec<Vec<(i64, u64)>>,
}

/// What the noise of a count is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The count; the last one stands for all greater.
    pub count: u64,
    /// Least noise.
    pub least: i64,
    /// Greatest noise.
    pub most: i64,
    /// Mean: 0, but for what rounding the shares leaves.
    pub mean: f64,
    /// Variance.
    pub variance: f64,
    /// Share of cells shown as they are.
    pub unchanged: f64,
    /// Cells of nearly the same people, each with its own noise, whose mean tells this count (95 %).
    pub looks: u64,
}

impl Perturbation {
    /// Noises of at most `bound`, from 1 to 10: their shares fall evenly on both sides, tilted for small
    /// counts so that none goes under nil and the mean stays nil.
    ///
    /// # Errors
    /// [`Error::Usage`] for another bound.
    pub fn new(bound: u32) -> Result<Self> {
        if !(1..=10).contains(&bound) {
            return Err(Error::Usage("la borne du bruit par clé de cellule est entre 1 et 10".into()));
        }
        let bound = i64::from(bound);
        Ok(Perturbation { bound, rows: (1..=bound).map(|count| row(count, bound)).collect() })
    }

    fn row(&self, count: u64) -> &[(i64, u64)] {
        let index = count.saturating_sub(1).min(self.rows.len() as u64 - 1);
        self.rows.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// What is shown of a count whose cell has this key.
    pub fn shown(&self, count: u64, key: u64) -> u64 {
        if count == 0 {
            return 0;
        }
        let mut draw = key >> 32;
        for (noise, share) in self.row(count) {
            if draw < *share {
                return count.saturating_add_signed(*noise);
            }
            draw -= share;
        }
        count
    }

    /// What noise does to each count.
    pub fn spreads(&self) -> Vec<Spread> {
        let spread = |(count, row): (u64, &Vec<(i64, u64)>)| {
            let mean_of = |f: &dyn Fn(f64) -> f64| -> f64 {
                row.iter().map(|(d, s)| f(*d as f64) * (*s as f64)).sum::<f64>() / WHOLE as f64
            };
            let mean = mean_of(&|d| d);
            let variance = mean_of(&|d| (d - mean) * (d - mean));
            Spread {
                count,
                least: row.first().map_or(0, |(d, _)| *d),
                most: row.last().map_or(0, |(d, _)| *d),
                mean,
                variance,
                unchanged: mean_of(&|d| f64::from(u8::from(d == 0.0))),
                // 1.96 σ / √n below a half.
                looks: (1.96 * 1.96 * variance * 4.0).ceil() as u64,
            }
        };
        (1..).zip(&self.rows).map(spread).collect()
    }

    /// What a reader can compute of the counts from all that is shown: noise is bounded and true counts
    /// add up, so that margins narrow each other. Bounds of every cell; one that is pinned, or too close
    /// for the policy, must not leave.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when no counts agree with what is shown.
    pub fn attack(&self, shown: &[u64], relations: &[Relation], limits: &Limits) -> Result<Vec<Interval>> {
        attack_within(&self.bounds(shown), relations, limits)
    }

    /// The same for who reads a table that leaves out what is shown as nil: its margins may hold more than
    /// what it lists.
    ///
    /// # Errors
    /// As [`Perturbation::attack`].
    pub fn attack_listed(
        &self,
        shown: &[u64],
        relations: &[Relation],
        limits: &Limits,
    ) -> Result<Vec<Interval>> {
        let mut bounds = self.bounds(shown);
        let listed = bounds.len();
        let most = bounds.iter().map(|(_, high)| *high).max().unwrap_or(0);
        let mut open = relations.to_vec();
        for relation in &mut open {
            relation.children.push(u32::try_from(bounds.len()).unwrap_or(u32::MAX));
            bounds.push((0, most));
        }
        let found = attack_within(&bounds, &open, limits)?;
        Ok(found.into_iter().filter(|i| (i.cell as usize) < listed).collect())
    }

    /// Least and greatest count behind each figure: what is shown is not nil, what is nil may be a few.
    fn bounds(&self, shown: &[u64]) -> Vec<(i64, i64)> {
        let bounds = |v: &u64| {
            let v = i64::try_from(*v).unwrap_or(i64::MAX / 16);
            if v == 0 { (0, self.bound) } else { ((v - self.bound).max(1), v + self.bound) }
        };
        shown.iter().map(bounds).collect()
    }
}

/// Shares of the noises of one count: even slopes, times a power that brings the mean to nil.
fn row(count: i64, bound: i64) -> Vec<(i64, u64)> {
    let noises: Vec<i64> = (-count.min(bound)..=bound).collect();
    let weights = |slope: f64| -> Vec<f64> {
        let mut power = 1.0;
        noises
            .iter()
            .map(|d| {
                let weight = (bound + 1 - d.abs()) as f64 * power;
                power *= slope;
                weight
            })
            .collect()
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let slope = (low + high) / 2.0;
        let lean: f64 = weights(slope).iter().zip(&noises).map(|(w, d)| w * *d as f64).sum();
        if lean > 0.0 { high = slope } else { low = slope }
    }
    let weights = weights(high);
    let sum: f64 = weights.iter().sum();
    let mut shares: Vec<(i64, u64)> =
        noises.iter().zip(&weights).map(|(d, w)| (*d, (w / sum * WHOLE as f64) as u64)).collect();
    let given: u64 = shares.iter().map(|(_, s)| s).sum();
    if let Some((_, share)) = shares.iter_mut().find(|(d, _)| *d == 0) {
        *share += WHOLE.saturating_sub(given);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_bounded_nil_on_average_and_leaves_nothing_under_nil() {
        for bound in 1..=10 {
            let p = Perturbation::new(bound).unwrap();
            let spreads = p.spreads();
            assert_eq!(spreads.len(), bound as usize);
            for (s, row) in spreads.iter().zip(&p.rows) {
                assert_eq!(row.iter().map(|(_, s)| s).sum::<u64>(), WHOLE);
                assert!(s.mean.abs() < 1e-7, "{s:?}");
                assert!(s.least >= -(s.count as i64) && s.most == i64::from(bound), "{s:?}");
                assert!(s.variance > 0.3 && s.looks > 4, "{s:?}");
            }
        }
        assert!(Perturbation::new(0).is_err() && Perturbation::new(11).is_err());
    }

    #[test]
    fn what_is_drawn_is_what_the_table_says() {
        let (keys, p) = (RecordKeys::new(&[3; 32]), Perturbation::new(3).unwrap());
        for count in [1_u64, 2, 40] {
            let spread = p.spreads()[(count.min(3) - 1) as usize];
            let noises: Vec<f64> = (0..20_000)
                .map(|cell| {
                    let key = cell_key((0..count).map(|i| keys.of(&format!("{count}/{cell}/{i}"))));
                    p.shown(count, key) as f64 - count as f64
                })
                .collect();
            let mean = noises.iter().sum::<f64>() / 20_000.0;
            let variance = noises.iter().map(|n| n * n).sum::<f64>() / 20_000.0;
            assert!(
                mean.abs() < 0.05 && (variance - spread.variance).abs() < 0.1,
                "{count}: {mean} {variance} {spread:?}"
            );
        }
    }

    #[test]
    fn the_same_people_are_shown_alike_in_any_order_and_nil_stays_nil() {
        let (keys, p) = (RecordKeys::new(&[3; 32]), Perturbation::new(5).unwrap());
        let records: Vec<u64> = (0..9).map(|i| keys.of(&format!("eleve-{i}"))).collect();
        let there = p.shown(9, cell_key(records.iter().copied()));
        assert_eq!(there, p.shown(9, cell_key(records.iter().rev().copied())));
        assert!((0..9).any(|gone| {
            let rest = records.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, k)| *k);
            p.shown(8, cell_key(rest)) + 1 != there
        }));
        assert_eq!(p.shown(0, 0), 0);
    }

    #[test]
    fn a_record_key_is_the_start_of_hmac_sha_256() {
        // Computed apart, with Python's hmac.
        assert_eq!(RecordKeys::new(&[3; 32]).of("eleve-1"), 0x1985_2bc1_0d81_ef37);
    }

    #[test]
    fn noises_that_all_point_one_way_tell_the_counts() {
        let p = Perturbation::new(2).unwrap();
        let sum = Relation { parent: 0, children: vec![1, 2] };
        // 6 shown as 4; 3 and 3 shown as 5 and 5: only 3 + 3 = 6 agrees.
        let found = p.attack(&[4, 5, 5], std::slice::from_ref(&sum), &Limits::default()).unwrap();
        assert!(found.iter().all(Interval::is_pinned));
        let found = p.attack(&[6, 3, 4], &[sum], &Limits::default()).unwrap();
        assert!(found.iter().all(|i| !i.is_pinned()));
    }

    #[test]
    fn a_margin_may_hold_more_than_what_is_listed() {
        let p = Perturbation::new(2).unwrap();
        let sum = Relation { parent: 0, children: vec![1, 2] };
        let found = p.attack_listed(&[9, 2, 3], &[sum], &Limits::default()).unwrap();
        let bounds: Vec<(i64, Option<i64>)> = found.iter().map(|i| (i.lower, i.upper)).collect();
        assert_eq!(bounds, [(7, Some(11)), (1, Some(4)), (1, Some(5))]);
    }
}

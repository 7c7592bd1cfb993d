//! The draw without a generator: a seed that nobody can choose, and a score for everybody.
//!
//! seed = SHA-256(domain, population root, request number, public value);
//! score = HMAC-SHA-256(seed, domain, method, plan, version, stratum, kind of unit, draw key).
//! Every field is preceded by its length in bytes (64 bits, big endian): borders count. The lowest
//! scores are kept. The seed holds nothing that the producer may still change after the public
//! value is known.

use super::plan::Plan;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Name of the algorithm in manifests; it changes with any result.
pub const ALGORITHM: &str = "cartulaire/tri/v1";

/// A score: the lowest are drawn.
pub type Score = [u8; 32];

/// Who is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unit {
    /// All records of a person, by the person's pseudonym.
    Person(Box<str>),
    /// A record of nobody, by its canonical identifier.
    Record(Box<str>),
}

impl Unit {
    fn parts(&self) -> [&str; 2] {
        match self {
            Unit::Person(key) => ["person", key],
            Unit::Record(id) => ["record", id],
        }
    }
}

/// Bytes of fields, each after its length.
pub fn fields<'a>(parts: impl IntoIterator<Item = &'a [u8]>, mut to: impl FnMut(&[u8])) {
    for part in parts {
        to(&(part.len() as u64).to_be_bytes());
        to(part);
    }
}

/// The seed of a request.
pub fn seed(population_root: &[u8; 32], request_number: &str, public_value: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    let domain = format!("{ALGORITHM}/seed");
    fields(
        [domain.as_bytes(), population_root, request_number.as_bytes(), public_value.as_bytes()],
        |bytes| hash.update(bytes),
    );
    hash.finalize().into()
}

/// Gives the scores of one method of a plan.
pub struct Scorer {
    started: Hmac<Sha256>,
}

impl Scorer {
    /// `method` keeps the draws of a plan independent of each other.
    pub fn new(seed: &[u8; 32], plan: &Plan, method: &str) -> Self {
        // HMAC pads a short key with zeros to a block: giving the block leaves nothing to fail.
        let mut block = [0; 64];
        block.iter_mut().zip(seed).for_each(|(to, from)| *to = *from);
        let mut started = Hmac::<Sha256>::new(&block.into());
        let domain = format!("{ALGORITHM}/score");
        fields([&*domain, method, &plan.id, &plan.version].map(str::as_bytes), |bytes| started.update(bytes));
        Scorer { started }
    }

    /// Scores in a stratum (values of the columns, in order; none for a whole).
    pub fn of(&self, stratum: &[String]) -> StratumScorer {
        let mut started = self.started.clone();
        started.update(&(stratum.len() as u64).to_be_bytes());
        fields(stratum.iter().map(String::as_bytes), |bytes| started.update(bytes));
        StratumScorer { started }
    }

    /// A start in `0..bound` for systematic sampling; 0 when the bound is 0.
    pub fn start(&self, bound: u64) -> u64 {
        let mut mac = self.started.clone();
        fields([b"start".as_slice()], |bytes| mac.update(bytes));
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        // 128 bits over at most 64: the bias is below 2^-64.
        let wide = bytes.iter().take(16).fold(0_u128, |n, b| n << 8 | u128::from(*b));
        wide.checked_rem(u128::from(bound)).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }
}

/// Gives the scores of a stratum.
pub struct StratumScorer {
    started: Hmac<Sha256>,
}

impl StratumScorer {
    /// The score of a unit.
    pub fn score(&self, unit: &Unit) -> Score {
        let mut mac = self.started.clone();
        fields(unit.parts().map(str::as_bytes), |bytes| mac.update(bytes));
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hex;
    use std::collections::BTreeSet;

    #[test]
    fn a_border_moved_between_fields_changes_the_seed() {
        let root = [7; 32];
        let all: BTreeSet<[u8; 32]> = [("12", "3"), ("1", "23"), ("123", ""), ("12", "4"), ("13", "3")]
            .iter()
            .map(|(request, value)| seed(&root, request, value))
            .chain([seed(&[8; 32], "12", "3")])
            .collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn the_score_is_hmac_sha_256_of_the_stated_bytes() {
        // Computed apart, with Python's hashlib and hmac.
        let seed = seed(&[7; 32], "2026-001", "abc");
        let plan = Plan { id: "p".into(), version: "1".into(), ..Plan::default() };
        let scorer = Scorer::new(&seed, &plan, "random");
        assert_eq!(hex(&seed), "7b37ebd0908bb748bab6c62f9b2035e23d5db16040bd21d95c35c802836abf8a");
        assert_eq!(
            hex(&scorer.of(&["35".into()]).score(&Unit::Person("k".into()))),
            "170b734ce6512dea0d0beeb2b99a09c9dc86c716757e4fec2f5103f9a4788ec8"
        );
        assert_eq!(scorer.start(1000), 740);
    }

    #[test]
    fn kind_stratum_method_plan_and_version_each_change_the_score() {
        let plan =
            |id: &str, version: &str| Plan { id: id.into(), version: version.into(), ..Plan::default() };
        let person = Unit::Person("k".into());
        let scores: BTreeSet<Score> = [
            Scorer::new(&[1; 32], &plan("p", "1"), "random").of(&[]).score(&person),
            Scorer::new(&[1; 32], &plan("p", "1"), "random").of(&["".into()]).score(&person),
            Scorer::new(&[1; 32], &plan("p", "1"), "random").of(&[]).score(&Unit::Record("k".into())),
            Scorer::new(&[1; 32], &plan("p", "1"), "specimen").of(&[]).score(&person),
            Scorer::new(&[1; 32], &plan("p", "2"), "random").of(&[]).score(&person),
            Scorer::new(&[1; 32], &plan("p1", ""), "random").of(&[]).score(&person),
            Scorer::new(&[2; 32], &plan("p", "1"), "random").of(&[]).score(&person),
        ]
        .into();
        assert_eq!(scores.len(), 7);
    }

    #[test]
    fn a_start_stays_below_its_bound() {
        let scorer = Scorer::new(&[1; 32], &Plan::default(), "systematic");
        for bound in [1, 2, 10, 1000, u64::MAX] {
            assert!(scorer.start(bound) < bound);
        }
        assert_eq!(scorer.start(0), 0);
    }
}

//! Cutting what is to be packaged into numbered packages.

use crate::error::{Error, Result};
use serde::Deserialize;

/// What goes together: a table of a producer, never cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// Identifier of the producer at the archive.
    pub producer: String,
    /// Name, for messages and for the order.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub objects: u64,
}

/// Bounds of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of the objects.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
}

/// One package of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Producer.
    pub producer: String,
    /// From 1, within the set.
    pub number: usize,
    /// Packages of the set.
    pub of: usize,
    /// Indices of the lots, in the order given.
    pub lots: Vec<usize>,
}

impl Part {
    /// Identifier of the message: the base alone when the set has one package.
    pub fn identifier(&self, base: &str) -> String {
        if self.of == 1 { base.to_owned() } else { format!("{base}-{:04}-{:04}", self.number, self.of) }
    }

    /// Identifiers of the packages before this one, for `RelatedTransferReference`: what was sent
    /// cannot name what is not yet.
    pub fn before(&self, parts: &[Part], base: &str) -> Vec<String> {
        parts.iter().filter(|p| p.number < self.number).map(|p| p.identifier(base)).collect()
    }
}

/// Packages by producer, then in the order given, filled one after the other. Pure: same lots and
/// limits, same packages. A lot that is above the bytes alone goes alone, since nothing can cut it.
///
/// # Errors
/// When a limit is zero or a lot has more objects than a package may hold.
pub fn split(lots: &[Lot], limits: Limits) -> Result<Vec<Part>> {
    if limits.bytes == 0 || limits.objects == 0 {
        return Err(Error::Usage("limites d'un paquet : au moins un octet et un objet".into()));
    }
    if let Some(lot) = lots.iter().find(|l| l.objects > limits.objects) {
        return Err(Error::Usage(format!(
            "« {} » compte {} fichiers et un paquet en admet {} : élevez la limite avec l'accord du service d'archives",
            lot.name, lot.objects, limits.objects
        )));
    }
    let mut order: Vec<(usize, &Lot)> = lots.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.producer.cmp(&b.producer));
    let mut parts: Vec<Part> = Vec::new();
    let (mut bytes, mut objects) = (0_u64, 0_u64);
    for (i, lot) in order {
        let fits = bytes.saturating_add(lot.bytes) <= limits.bytes
            && objects.saturating_add(lot.objects) <= limits.objects;
        match parts.last_mut().filter(|p| fits && p.producer == lot.producer) {
            Some(part) => {
                part.lots.push(i);
                bytes += lot.bytes;
                objects += lot.objects;
            }
            None => {
                let number = parts.len() + 1;
                parts.push(Part { producer: lot.producer.clone(), number, of: 0, lots: vec![i] });
                (bytes, objects) = (lot.bytes, lot.objects);
            }
        }
    }
    let of = parts.len();
    parts.iter_mut().for_each(|p| p.of = of);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lots() -> impl Strategy<Value = Vec<Lot>> {
        let lot = ("[ab]", 0..200_u64, 0..5_u64).prop_map(|(producer, bytes, objects)| Lot {
            producer,
            name: "t".into(),
            bytes,
            objects,
        });
        prop::collection::vec(lot, 0..20)
    }

    proptest! {
        #[test]
        fn every_lot_is_in_one_package_of_its_producer_within_limits(lots in lots(), bytes in 1..300_u64) {
            let limits = Limits { bytes, objects: 5 };
            let parts = split(&lots, limits).unwrap();
            let mut seen: Vec<usize> = parts.iter().flat_map(|p| p.lots.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lots.len()).collect::<Vec<_>>());
            for (n, p) in parts.iter().enumerate() {
                prop_assert_eq!((p.number, p.of), (n + 1, parts.len()));
                prop_assert!(p.lots.iter().all(|i| lots[*i].producer == p.producer));
                let total: u64 = p.lots.iter().map(|i| lots[*i].bytes).sum();
                prop_assert!(total <= bytes || p.lots.len() == 1);
                prop_assert!(p.lots.iter().map(|i| lots[*i].objects).sum::<u64>() <= 5);
                prop_assert_eq!(p.before(&parts, "S").len(), n);
            }
        }
    }

    #[test]
    fn a_lot_with_too_many_files_and_empty_limits_are_refused() {
        let lot = Lot { producer: "p".into(), name: "t".into(), bytes: 1, objects: 9 };
        assert!(split(&[lot], Limits { bytes: 1, objects: 8 }).is_err());
        assert!(split(&[], Limits { bytes: 0, objects: 8 }).is_err());
    }

    #[test]
    fn one_package_has_the_name_of_the_set() {
        let lot = Lot { producer: "p".into(), name: "t".into(), bytes: 9, objects: 1 };
        let limits = Limits { bytes: 10, objects: 8 };
        assert_eq!(split(std::slice::from_ref(&lot), limits).unwrap()[0].identifier("S"), "S");
        let two = split(&[lot.clone(), lot], limits).unwrap();
        assert_eq!(
            (two[1].identifier("S").as_str(), two[1].before(&two, "S")),
            ("S-0002-0002", vec!["S-0001-0002".to_owned()])
        );
    }
}

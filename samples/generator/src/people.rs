//! People who obviously do not exist. A name, a date or an amount depends on the person's number only,
//! so that the same person is the same in every delivery.

use crate::rng::{Purpose, Rng};
use crate::world::Kind;

const FAMILIES: &[&str] = &[
    "Bleuet",
    "Garance",
    "Noël",
    "D'Ambre",
    "L'Étang",
    "Fougère",
    "Genêt",
    "Pâquerette",
    "Érable",
    "Bruyère",
    "Châtaigne",
    "Coquelicot",
    "D'Orge",
    "Épicéa",
    "Giroflée",
    "Hêtraie",
    "Jonquille",
    "L'Aubépine",
    "Mûrier",
    "Nénuphar",
    "Orchidée",
    "Pissenlit",
    "Réséda",
    "Sureau",
    "Tournesol",
    "Vétiver",
    "Ancolie",
    "Bégonia",
    "Cyprès",
    "Œillet",
];
const MARKS: &[&str] = &["Fictif", "Fictive", "Exemple", "Imaginaire", "Inventé", "Démo"];
const GIVEN: &[&str] = &[
    "Abélia",
    "Acanthe",
    "Bambou",
    "Bouleau",
    "Cèdre",
    "Charme",
    "Drosera",
    "Edelweiss",
    "Fusain",
    "Gui",
    "Hêtre",
    "If",
    "Jonc",
    "Kerria",
    "Lin",
    "Mélèze",
    "Nèfle",
    "Orme",
    "Pêcher",
    "Roseau",
    "Saule",
    "Thuya",
    "Verveine",
    "Yucca",
    "Zinnia",
];

/// How a pupil lives at school.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    Externe,
    DemiPension,
    Ticket,
    Interne,
}

impl Regime {
    pub fn label(self) -> &'static str {
        match self {
            Regime::Externe => "EXTERNE LIBRE",
            Regime::DemiPension => "DEMI-PENSIONNAIRE DANS L'ETABLISSEMENT",
            Regime::Ticket => "DEMI-PENSIONNAIRE AU TICKET",
            Regime::Interne => "INTERNE DANS L'ETABLISSEMENT",
        }
    }
}

pub struct Person {
    pub girl: bool,
    pub given: String,
    pub other: String,
    /// Day of the year of birth.
    pub birth: (u64, u64),
    pub regime: Regime,
    pub boursier: bool,
    pub transport: bool,
    /// One pupil in forty has none yet.
    pub has_ine: bool,
    pub local_mef: bool,
}

pub fn person(seed: u64, number: u64, kind: Kind) -> Person {
    let rng = &mut Rng::of(seed, Purpose::Person, number);
    let draw = rng.below(100);
    let regime = match kind {
        Kind::Lycee if draw < 12 => Regime::Interne,
        _ if draw < 58 => Regime::DemiPension,
        _ if draw < 62 => Regime::Ticket,
        _ => Regime::Externe,
    };
    Person {
        girl: rng.percent(50),
        given: given(rng),
        other: given(rng),
        birth: (rng.between(1, 28), rng.between(1, 12)),
        regime,
        boursier: rng.percent(22),
        transport: rng.percent(35),
        has_ine: !rng.percent(3),
        local_mef: rng.percent(6),
    }
}

pub fn given(rng: &mut Rng) -> String {
    format!("Prénom-{}", rng.pick(GIVEN))
}

pub fn surname(rng: &mut Rng) -> String {
    let root = rng.pick(FAMILIES);
    format!("{root}-{}", rng.pick(MARKS))
}

/// What the members of a household share.
pub struct Family {
    pub name: String,
    /// AAF lines, separated by `$`.
    pub address: String,
    pub guardians: u64,
}

pub fn family(seed: u64, number: u64) -> Family {
    let rng = &mut Rng::of(seed, Purpose::Family, number);
    let name = surname(rng);
    let address = address(rng);
    Family { name, address, guardians: 1 + u64::from(rng.percent(70)) }
}

pub fn address(rng: &mut Rng) -> String {
    format!("{} rue de l'Exemple$$$", rng.between(1, 199))
}

pub fn phone(rng: &mut Rng) -> String {
    format!("01 99 00 {:02} {:02}", rng.below(100), rng.below(100))
}

/// ENTPersonJointure: the ranges of pupils, staff and guardians do not meet.
pub fn pupil_id(number: u64) -> u64 {
    10_000_000 + number
}

pub fn staff_id(school: u64, rank: u64) -> u64 {
    40_000_000 + school * 1000 + rank
}

pub fn guardian_id(family: u64, rank: u64) -> u64 {
    70_000_000 + family * 2 + rank
}

pub fn pupil_mail(number: u64) -> String {
    format!("e{number}@exemple.invalid")
}

pub fn staff_mail(id: u64) -> String {
    format!("p{id}@exemple.invalid")
}

pub fn guardian_mail(id: u64) -> String {
    format!("r{id}@exemple.invalid")
}

/// INE-RNIE: nine digits, then 97 - (number mod 97) in letters that stand for digits.
pub fn ine(number: u64) -> String {
    let digits = number + 1;
    let key = 97 - digits % 97;
    let letter = |d: u64| b"ABCDEFGHJK".get((d % 10) as usize).copied().map_or('A', char::from);
    format!("{digits:09}{}{}", letter(key / 10), letter(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ine_keys_match_known_vectors() {
        for (number, want) in [(0, "000000001KG"), (123_456_788, "123456789FJ"), (95, "000000096AB")] {
            assert_eq!(ine(number), want);
        }
    }
}

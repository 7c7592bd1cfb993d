//! Check figures of the identifiers of the field.

use crate::contract::Checksum;
use crate::domain::CHECK_LETTERS;

/// Digits of the check of INE-RNIE, written as letters: no I.
const RNIE: &[u8; 10] = b"ABCDEFGHJK";

/// Whether an identifier's check figure is right. An INE form that has no public check passes.
pub fn passes(checksum: Checksum, value: &str) -> bool {
    let digits = |n: usize| value.len() == n && value.bytes().all(|b| b.is_ascii_digit());
    match checksum {
        Checksum::Ine => ine(value),
        Checksum::Siren => digits(9) && luhn(value),
        Checksum::Siret => digits(14) && siret(value),
        Checksum::SirenOrSiret => (digits(9) && luhn(value)) || (digits(14) && siret(value)),
    }
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let n = u32::from(b - b'0') * if i % 2 == 1 { 2 } else { 1 };
            if n > 9 { n - 9 } else { n }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// La Poste numbers its sites outside Luhn: their digits add up to a multiple of five.
fn siret(digits: &str) -> bool {
    luhn(digits)
        || (digits.starts_with("356000000")
            && digits.bytes().map(|b| u32::from(b - b'0')).sum::<u32>().is_multiple_of(5))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |n, d| d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0')))
}

/// RNIE: nine digits, then the two digits of 97 − (n mod 97) as letters. BEA: ten digits and the
/// letter at n mod 23. Apprentices: four digits, A, five digits, a letter, without a known check.
fn ine(value: &str) -> bool {
    let bytes = value.as_bytes();
    let rank = |b: &u8, table: &[u8]| table.iter().position(|l| l == b).and_then(|p| u64::try_from(p).ok());
    match bytes {
        [d @ .., a, b] if d.len() == 9 && a.is_ascii_uppercase() && number(d).is_some() => {
            let (Some(n), Some(tens), Some(units)) = (number(d), rank(a, RNIE), rank(b, RNIE)) else {
                return false;
            };
            tens * 10 + units == 97 - n % 97
        }
        [d @ .., letter] if d.len() == 10 && number(d).is_some() => number(d)
            .and_then(|n| CHECK_LETTERS.get(usize::try_from(n % 23).ok()?))
            .is_some_and(|l| l == letter),
        [.., last] if bytes.len() == 11 => {
            let apprentice = bytes.get(4) == Some(&b'A')
                && bytes.get(..4).is_some_and(|d| number(d).is_some())
                && bytes.get(5..10).is_some_and(|d| number(d).is_some())
                && last.is_ascii_uppercase();
            // Students' form: ten characters in base 36 and a digit; its check is not public.
            let student =
                bytes.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) && last.is_ascii_digit();
            apprentice || student
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_pass_and_their_neighbours_do_not() {
        for (kind, good) in [
            (Checksum::Ine, "000000001KG"),
            (Checksum::Ine, "123456789FJ"),
            (Checksum::Ine, "000000096AB"),
            (Checksum::Ine, "999999999GE"),
            (Checksum::Ine, "0000000001B"),
            (Checksum::Ine, "0123456789M"),
            (Checksum::Ine, "0113014881M"),
            (Checksum::Siren, "732829320"),
            (Checksum::Siret, "73282932000074"),
            (Checksum::Siret, "35600000049837"),
            (Checksum::SirenOrSiret, "732829320"),
        ] {
            assert!(passes(kind, good), "{good}");
        }
        for (kind, bad) in [
            (Checksum::Ine, "123456789FF"),
            (Checksum::Ine, "100000000AA"),
            (Checksum::Ine, "0123456789A"),
            (Checksum::Ine, "short"),
            (Checksum::Ine, "éééééé"),
            (Checksum::Siren, "732829321"),
            (Checksum::Siren, "73282932000074"),
            (Checksum::Siret, "73282932000075"),
        ] {
            assert!(!passes(kind, bad), "{bad}");
        }
    }
}

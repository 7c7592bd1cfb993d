//! UAI: the identifier of a school (unité administrative immatriculée).

/// Letters that check a number by its remainder by 23, for a UAI as for an INE-BEA: no I, O, Q.
pub const CHECK_LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPRSTUVWXYZ";

/// A UAI with the right check letter: seven digits and the letter at (number mod 23).
/// The first three digits name the département of creation, not always the present one,
/// so they are not compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uai([u8; 8]);

/// Why a text is not a UAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UaiFault {
    /// Not seven digits and a letter.
    Format,
    /// Well formed, wrong letter.
    Letter {
        /// The letter that the digits call for.
        expected: char,
    },
}

impl Uai {
    /// # Errors
    /// [`UaiFault::Format`] or [`UaiFault::Letter`].
    pub fn parse(text: &str) -> Result<Self, UaiFault> {
        let bytes: [u8; 8] = text.as_bytes().try_into().map_err(|_| UaiFault::Format)?;
        let [digits @ .., letter] = &bytes;
        if !digits.iter().all(u8::is_ascii_digit) || !letter.is_ascii_uppercase() {
            return Err(UaiFault::Format);
        }
        let number = digits.iter().fold(0_usize, |n, d| n * 10 + usize::from(d - b'0'));
        let expected = CHECK_LETTERS.get(number % 23).copied().unwrap_or(b'A');
        if *letter != expected {
            return Err(UaiFault::Letter { expected: char::from(expected) });
        }
        Ok(Uai(bytes))
    }

    /// The eight characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_and_computed_letters() {
        for ok in
            ["0350122T", "0940176F", "0080042C", "0010024W", "6200733C", "9830266X", "0750000T", "0123456S"]
        {
            assert_eq!(Uai::parse(ok).map(|u| u.as_str().to_owned()), Ok(ok.to_owned()));
        }
        assert_eq!(Uai::parse("1004001V"), Err(UaiFault::Letter { expected: 'F' }));
        for wrong in ["0750000A", "0123456A"] {
            assert!(matches!(Uai::parse(wrong), Err(UaiFault::Letter { .. })));
        }
        for malformed in ["", "0350122", "0350122t", "035012TT", "0350122TT", "é350122", "        "] {
            assert_eq!(Uai::parse(malformed), Err(UaiFault::Format), "{malformed}");
        }
    }
}

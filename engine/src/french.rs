//! Numbers and counts as the French write them.

/// Digits in groups of three, narrow no-break spaces between.
pub fn thousands(n: impl Into<i128>) -> String {
    let n: i128 = n.into();
    let digits = n.unsigned_abs().to_string();
    let (head, tail) = digits.split_at(digits.len() % 3);
    let groups = (0..tail.len() / 3).filter_map(|i| tail.get(i * 3..i * 3 + 3));
    let groups: Vec<&str> = std::iter::once(head).filter(|h| !h.is_empty()).chain(groups).collect();
    format!("{}{}", if n < 0 { "-" } else { "" }, groups.join("\u{202F}"))
}

/// A count with its noun: in French zero and one are singular.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n < 2 { one } else { many })
}

/// A share, in per cent with one decimal; never rounded to nothing nor to everything.
pub fn percent(part: i64, all: i64) -> String {
    if all == 0 {
        return "sans objet".into();
    }
    let (part, all) = (i128::from(part), i128::from(all));
    let tenths = (part * 2000 + all).div_euclid(2 * all);
    let tenths = match tenths {
        0 if part > 0 => return "moins de 0,1 %".into(),
        1000 if part < all => 999,
        t => t,
    };
    format!("{},{} %", thousands(tenths / 10), tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counts_agree() {
        for (n, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1\u{202F}000"),
            (1_234_567, "1\u{202F}234\u{202F}567"),
            (-1000, "-1\u{202F}000"),
        ] {
            assert_eq!(thousands(n), want);
        }
        for (part, all, want) in [
            (1, 3, "33,3 %"),
            (2, 3, "66,7 %"),
            (0, 7, "0,0 %"),
            (7, 7, "100,0 %"),
            (9999, 10_000, "99,9 %"),
            (1, 10_000, "moins de 0,1 %"),
            (0, 0, "sans objet"),
        ] {
            assert_eq!(percent(part, all), want);
        }
        assert_eq!(count(0, "fichier", "fichiers"), "0 fichier");
        assert_eq!(count(2, "fichier", "fichiers"), "2 fichiers");
    }
}

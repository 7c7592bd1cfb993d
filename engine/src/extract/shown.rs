//! What each column of figures shows of each cell.

use super::measure::{Figure, Unit};
use super::table::{Cell, Cube, TOTAL};
use std::collections::BTreeMap;

/// A figure as it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A whole number.
    Whole(u64),
    /// A number, in hundredths.
    Hundredths(u128),
    /// Not published, whatever the reason.
    Masked,
    /// A mean, or a share, of nobody.
    Missing,
}

impl Shown {
    /// As files write it: with a point, empty where there is none.
    pub fn text(self) -> String {
        match self {
            Shown::Whole(v) => v.to_string(),
            Shown::Hundredths(v) => format!("{}.{:02}", v / 100, v % 100),
            Shown::Masked | Shown::Missing => String::new(),
        }
    }

    /// Code of its status (SDMX).
    pub fn status(self) -> &'static str {
        match self {
            Shown::Whole(_) | Shown::Hundredths(_) => "F",
            Shown::Masked => "C",
            Shown::Missing => "M",
        }
    }
}

/// A column, cell by cell. Means and shares are made of published figures alone.
pub fn column(cube: &Cube, figure: Figure<'_>) -> Vec<Shown> {
    let cells = cube.cells.iter();
    let open = |c: &Cell, shown: Shown| if c.masked { Shown::Masked } else { shown };
    let both = |c: &Cell, shown: Shown| if c.amount_masked { Shown::Masked } else { open(c, shown) };
    match figure.unit {
        Unit::Count | Unit::Noisy => cells.map(|c| open(c, Shown::Whole(c.figures.value))).collect(),
        Unit::Amount => cells.map(|c| both(c, Shown::Whole(c.figures.sum))).collect(),
        Unit::Mean => cells.map(|c| both(c, quotient(c.figures.sum, c.figures.value, 100))).collect(),
        Unit::Share(dimension) => {
            let by: BTreeMap<&[String], &Cell> = cells.clone().map(|c| (c.codes.as_slice(), c)).collect();
            let chain = cube.chains.iter().find(|c| c.contains(&dimension));
            let finer: Vec<usize> =
                chain.into_iter().flatten().copied().skip_while(|c| *c != dimension).collect();
            let share = |c: &Cell| {
                let mut codes = c.codes.clone();
                for column in &finer {
                    if let Some(code) = codes.get_mut(*column) {
                        TOTAL.clone_into(code);
                    }
                }
                match by.get(codes.as_slice()) {
                    Some(whole) => {
                        open(whole, open(c, quotient(c.figures.value, whole.figures.value, 10_000)))
                    }
                    None => Shown::Masked,
                }
            };
            cells.map(share).collect()
        }
    }
}

/// `times` a over b, to the nearest hundredth.
fn quotient(a: u64, b: u64, times: u128) -> Shown {
    let (a, b) = (u128::from(a) * times, u128::from(b));
    (a + b / 2).checked_div(b).map_or(Shown::Missing, Shown::Hundredths)
}

#[cfg(test)]
mod tests {
    use super::super::table::Figures;
    use super::*;

    fn cube(masked: &[&[&str]]) -> Cube {
        let inner =
            [(["a", "oui"], 1, 10), (["a", "non"], 2, 50), (["b", "oui"], 0, 0), (["b", "non"], 0, 0)];
        let inner = inner.map(|(codes, value, sum)| {
            (codes.map(str::to_owned).to_vec(), Figures { value, sum, ..Figures::default() })
        });
        let mut cube = Cube::with_totals(vec![vec![0], vec![1]], &inner.into_iter().collect());
        for cell in &mut cube.cells {
            cell.masked = masked.iter().any(|m| cell.codes == *m);
        }
        cube
    }

    fn texts(cube: &Cube, unit: Unit) -> Vec<String> {
        let figure = Figure { name: "x", title: "x", unit };
        let shown = cube.cells.iter().zip(column(cube, figure));
        shown.map(|(c, s)| format!("{} {}{}", c.codes.join(" "), s.text(), s.status())).collect()
    }

    #[test]
    fn means_and_shares_are_those_of_published_figures() {
        assert_eq!(
            texts(&cube(&[]), Unit::Share(1)),
            [
                "_T _T 100.00F",
                "_T non 66.67F",
                "_T oui 33.33F",
                "a _T 100.00F",
                "a non 66.67F",
                "a oui 33.33F",
                "b _T M",
                "b non M",
                "b oui M"
            ]
        );
        assert_eq!(
            texts(&cube(&[&["a", "oui"]]), Unit::Mean)[3..7],
            ["a _T 20.00F", "a non 25.00F", "a oui C", "b _T M"]
        );
    }

    #[test]
    fn a_share_is_masked_where_its_cell_or_its_whole_is() {
        let found = texts(&cube(&[&["a", "oui"], &["_T", "_T"]]), Unit::Share(1));
        assert_eq!(
            found[..6],
            ["_T _T C", "_T non C", "_T oui C", "a _T 100.00F", "a non 66.67F", "a oui C"]
        );
    }
}

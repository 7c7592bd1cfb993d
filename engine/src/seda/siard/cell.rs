//! One cell of a row.

use super::model::{Column, Kind, MAX_LIST};
use super::text;
use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use std::borrow::Cow;
use std::io::Write as _;

/// A value, of the type of its column or null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// No value: its element is left out. An empty text is a value.
    Null,
    /// Of [`Kind::Integer`].
    Integer(i64),
    /// Of [`Kind::Decimal`], in units of its last digit: 12.50 is 1250 at scale 2.
    Decimal(i128),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Date`], years 1 to 9999.
    Date(NaiveDate),
    /// Of [`Kind::Time`], without a fraction of a second.
    Time(NaiveTime),
    /// Of [`Kind::Seconds`], at most ten digits.
    Seconds(i64),
    /// Of [`Kind::Text`].
    Text(Cow<'a, str>),
    /// Of [`Kind::List`], at most [`MAX_LIST`] texts. An empty list is a value.
    List(Vec<Cow<'a, str>>),
}

/// What was met in a column: the sizes of its SQL type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Characters of the longest text.
    pub chars: usize,
    /// Texts of the longest list.
    pub items: usize,
}

/// Widest interval: `INTERVAL SECOND(10, 0)`.
const MAX_SECONDS: u64 = 9_999_999_999;

/// Adds the element of a cell, named after its place in the row, from 1.
///
/// # Errors
/// Why the column cannot hold the cell, in French, without its value.
pub fn push(
    out: &mut Vec<u8>,
    place: usize,
    column: &Column,
    cell: &Cell<'_>,
    seen: &mut Seen,
) -> Result<(), &'static str> {
    if *cell == Cell::Null {
        return if column.nullable { Ok(()) } else { Err("cellule vide dans une colonne obligatoire") };
    }
    let _ = write!(out, "<c{place}>");
    match (column.kind, cell) {
        (Kind::Integer, Cell::Integer(n)) => put(out, format_args!("{n}")),
        (Kind::Decimal { precision, scale }, Cell::Decimal(n)) => decimal(out, *n, precision, scale)?,
        (Kind::Boolean, Cell::Boolean(b)) => put(out, format_args!("{b}")),
        (Kind::Date, Cell::Date(d)) => date(out, *d)?,
        (Kind::Time, Cell::Time(t)) if t.nanosecond() == 0 => time(out, *t),
        (Kind::Time, Cell::Time(_)) => return Err("heure avec une fraction de seconde"),
        (Kind::Seconds, Cell::Seconds(s)) => {
            if s.unsigned_abs() > MAX_SECONDS {
                return Err("durée de plus de dix chiffres");
            }
            put(out, format_args!("{}PT{}S", if *s < 0 { "-" } else { "" }, s.unsigned_abs()));
        }
        (Kind::Text, Cell::Text(t)) => {
            seen.chars = seen.chars.max(t.chars().count());
            text::push(out, t);
        }
        (Kind::List, Cell::List(items)) => {
            if items.len() > MAX_LIST {
                return Err("liste de plus de 10 000 valeurs : faites-en une table");
            }
            seen.items = seen.items.max(items.len());
            for (i, item) in items.iter().enumerate() {
                seen.chars = seen.chars.max(item.chars().count());
                let _ = write!(out, "<a{}>", i + 1);
                text::push(out, item);
                let _ = write!(out, "</a{}>", i + 1);
            }
        }
        _ => return Err("valeur d'un autre type que la colonne"),
    }
    let _ = write!(out, "</c{place}>");
    Ok(())
}

fn put(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(args);
}

/// All digits of the scale are written: 12.50 stays 12.50.
fn decimal(out: &mut Vec<u8>, n: i128, precision: u8, scale: u8) -> Result<(), &'static str> {
    const TOO_WIDE: &str = "décimal plus large que sa colonne";
    let power = |digits: u8| 10_u128.checked_pow(u32::from(digits)).ok_or(TOO_WIDE);
    let (digits, unit) = (n.unsigned_abs(), power(scale)?);
    if digits >= power(precision)? {
        return Err(TOO_WIDE);
    }
    put(out, format_args!("{}{}", if n < 0 { "-" } else { "" }, digits / unit));
    if scale > 0 {
        put(out, format_args!(".{:0width$}", digits % unit, width = usize::from(scale)));
    }
    Ok(())
}

fn date(out: &mut Vec<u8>, d: NaiveDate) -> Result<(), &'static str> {
    if !(1..=9999).contains(&d.year()) {
        return Err("date hors des années 1 à 9999");
    }
    put(out, format_args!("{:04}-{:02}-{:02}", d.year(), d.month(), d.day()));
    Ok(())
}

fn time(out: &mut Vec<u8>, t: NaiveTime) {
    put(out, format_args!("{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDateTime;

    fn column(kind: Kind, nullable: bool) -> Column {
        Column { name: "c".into(), description: String::new(), kind, nullable }
    }

    fn written(kind: Kind, cell: &Cell<'_>) -> Result<String, &'static str> {
        let mut out = Vec::new();
        push(&mut out, 3, &column(kind, true), cell, &mut Seen::default())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn day(y: i32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, 2, 28).unwrap()
    }

    fn at(nanos: u32) -> NaiveDateTime {
        day(2026).and_hms_nano_opt(8, 5, 59, nanos).unwrap()
    }

    #[test]
    fn each_type_has_its_form() {
        let decimal = |precision, scale| Kind::Decimal { precision, scale };
        for (kind, cell, expected) in [
            (Kind::Integer, Cell::Integer(i64::MIN), "<c3>-9223372036854775808</c3>"),
            (decimal(5, 2), Cell::Decimal(1250), "<c3>12.50</c3>"),
            (decimal(5, 2), Cell::Decimal(-5), "<c3>-0.05</c3>"),
            (decimal(3, 3), Cell::Decimal(999), "<c3>0.999</c3>"),
            (
                decimal(38, 0),
                Cell::Decimal(10_i128.pow(38) - 1),
                "<c3>99999999999999999999999999999999999999</c3>",
            ),
            (Kind::Boolean, Cell::Boolean(true), "<c3>true</c3>"),
            (Kind::Date, Cell::Date(day(987)), "<c3>0987-02-28</c3>"),
            (Kind::Time, Cell::Time(at(0).time()), "<c3>08:05:59</c3>"),
            (Kind::Seconds, Cell::Seconds(-90), "<c3>-PT90S</c3>"),
            (Kind::Text, Cell::Text("a\\b".into()), r"<c3>a\u005Cb</c3>"),
            (Kind::Text, Cell::Text("".into()), "<c3></c3>"),
            (Kind::List, Cell::List(vec!["x".into(), "".into()]), "<c3><a1>x</a1><a2></a2></c3>"),
            (Kind::List, Cell::List(vec![]), "<c3></c3>"),
            (Kind::Text, Cell::Null, ""),
        ] {
            assert_eq!(written(kind, &cell).as_deref(), Ok(expected), "{cell:?}");
        }
    }

    #[test]
    fn what_a_column_cannot_hold_is_refused() {
        let narrow = Kind::Decimal { precision: 3, scale: 1 };
        for (kind, cell) in [
            (Kind::Integer, Cell::Text("1".into())),
            (Kind::Text, Cell::List(vec![])),
            (narrow, Cell::Decimal(1000)),
            (narrow, Cell::Decimal(i128::MIN)),
            (Kind::Date, Cell::Date(day(0))),
            (Kind::Date, Cell::Date(day(10_000))),
            (Kind::Time, Cell::Time(at(1).time())),
            (Kind::Seconds, Cell::Seconds(i64::MIN)),
            (Kind::List, Cell::List(vec!["".into(); MAX_LIST + 1])),
        ] {
            assert!(written(kind, &cell).is_err(), "{kind:?}");
        }
        let required = column(Kind::Text, false);
        assert!(push(&mut Vec::new(), 1, &required, &Cell::Null, &mut Seen::default()).is_err());
    }

    #[test]
    fn sizes_are_of_the_longest_value_in_characters() {
        let mut seen = Seen::default();
        for list in [vec!["ééé", "a"], vec!["b", "c", "d"], vec![]] {
            let cell = Cell::List(list.into_iter().map(Cow::from).collect());
            push(&mut Vec::new(), 1, &column(Kind::List, true), &cell, &mut seen).unwrap();
        }
        assert_eq!(seen, Seen { chars: 3, items: 3 });
    }
}

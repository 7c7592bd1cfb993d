//! The rows of `data.csv`, and what is wrong in each.

use super::layout::{Field, Layout};
use super::{ALL, TOLD, TOTAL, lexer};
use crate::contract::fault_at;
use crate::disclosure::slots::Slots;
use crate::disclosure::system::{CellId, Known};
use crate::error::{ConfigFault, Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A whole figure at most: sums of any number of them can be added.
const GREATEST: i64 = 1_000_000_000_000;

/// The rows, codes numbered by column.
pub(super) struct Rows<'a> {
    pub(super) data: &'a str,
    /// First byte of each row.
    pub(super) starts: Vec<usize>,
    pub(super) codes: Vec<Vec<String>>,
    /// One code per dimension.
    pub(super) rows: Vec<Vec<u32>>,
    pub(super) numbers: HashMap<Vec<u32>, CellId, FixedState>,
    /// Figures by measure.
    pub(super) cells: Vec<Vec<Known>>,
}

impl<'a> Rows<'a> {
    /// Reads `data.csv`.
    ///
    /// # Errors
    /// As [`super::parse`].
    pub(super) fn read(layout: &Layout, bytes: &'a [u8]) -> Result<Self> {
        let whole = |message: &str| {
            Error::config(ConfigFault {
                file: "data.csv".into(),
                line: 1,
                column: 1,
                message: message.into(),
            })
        };
        let Ok(data) = std::str::from_utf8(bytes) else {
            return Err(whole("le fichier n'est pas en UTF-8"));
        };
        let Some(text) = data.strip_prefix('\u{feff}') else {
            return Err(whole("la marque d'ordre (BOM) UTF-8 manque"));
        };
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut rows = Rows {
            data: text,
            starts: Vec::new(),
            codes: vec![vec![TOTAL.to_owned()]; layout.dimensions.len()],
            rows: Vec::new(),
            numbers: HashMap::default(),
            cells: vec![Vec::new(); layout.measures.len()],
        };
        let mut numbers: Vec<HashMap<String, u32, FixedState>> =
            vec![std::iter::once((TOTAL.to_owned(), ALL)).collect(); layout.dimensions.len()];
        for (n, record) in lexer::Records::new(text).enumerate() {
            if faults.len() >= TOLD {
                break;
            }
            let mut fault = |at: usize, message: String| faults.push(fault_at("data.csv", text, at, message));
            let record = match record {
                Ok(record) => record,
                Err((at, message)) => {
                    fault(at, message.into());
                    break;
                }
            };
            let start = record.first().map_or(0, |(at, _)| *at);
            if n == 0 {
                if !record.iter().map(|(_, f)| f.as_ref()).eq(layout.names.iter().map(String::as_str)) {
                    fault(0, format!("l'en-tête doit être : {}", layout.names.join(";")));
                    break;
                }
                continue;
            }
            if record.len() != layout.names.len() {
                fault(start, format!("{} colonnes, {} attendues", record.len(), layout.names.len()));
                continue;
            }
            let mut row = Vec::with_capacity(layout.dimensions.len());
            for (d, column) in layout.dimensions.iter().enumerate() {
                let Some((at, code)) = record.get(*column) else { continue };
                if code.is_empty() {
                    fault(*at, "modalité vide : le total s'écrit _T".into());
                }
                let (Some(known), Some(list)) = (numbers.get_mut(d), rows.codes.get_mut(d)) else { continue };
                row.push(match known.get(code.as_ref()) {
                    Some(number) => *number,
                    None => {
                        let number = list.len() as u32;
                        list.push(code.to_string());
                        known.insert(code.to_string(), number);
                        number
                    }
                });
            }
            for chain in &layout.chains {
                for pair in chain.windows(2) {
                    let [above, below] = pair else { continue };
                    let code = |c: usize| layout.dimension.at(c).map_or(ALL, |d| row.at(d));
                    if code(*above) == ALL && code(*below) != ALL {
                        let at = record.get(*below).map_or(start, |(at, _)| *at);
                        fault(at, "une modalité fine sous un total : la colonne plus large vaut _T".into());
                    }
                }
            }
            for ((value, status, field), cells) in layout.measures.iter().zip(&mut rows.cells) {
                let (Some((at, figure)), Some((status_at, status))) =
                    (record.get(*value), record.get(*status))
                else {
                    continue;
                };
                cells.push(match (status.as_ref(), figure.as_ref()) {
                    ("C", "") => Known::Masked { floor: 0 },
                    ("C", _) => {
                        fault(*at, "un chiffre masqué (statut C) est écrit".into());
                        Known::Masked { floor: 0 }
                    }
                    // A mean of nobody.
                    ("M", "") if !field.additive => Known::Absent { floor: 0 },
                    ("F", figure) => Known::Value(figure_of(figure, field).unwrap_or_else(|| {
                        fault(
                            *at,
                            "un entier de 0 à 10^12 est attendu (un décimal pour une mesure number)".into(),
                        );
                        0
                    })),
                    _ => {
                        fault(*status_at, "statut inconnu ; admis : F (publié), C (masqué)".into());
                        Known::Masked { floor: 0 }
                    }
                });
            }
            if rows.numbers.insert(row.clone(), rows.rows.len() as CellId).is_some() {
                fault(start, "cette combinaison figure déjà plus haut".into());
            }
            rows.starts.push(start);
            rows.rows.push(row);
        }
        if faults.is_empty() { Ok(rows) } else { Err(Error::Config(faults)) }
    }
}

/// A whole figure; a decimal in hundredths.
fn figure_of(text: &str, field: &Field) -> Option<i64> {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if field.additive || field.kind == "integer" {
        let whole: i64 = digits(text).then(|| text.parse().ok())??;
        return (whole <= GREATEST).then_some(whole);
    }
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |t| (-1, t));
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(part) {
        return None;
    }
    let hundredths: i64 = part.chars().chain(['0', '0']).take(2).collect::<String>().parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths).map(|v| sign * v)
}

//! A published table read back from `data.csv` and `datapackage.json` alone, as any reader has it.
//!
//! SDMX conventions: `_T` is the total of a dimension, a measure `m` is empty where `m_statut` is `C`.
//! Additions are rebuilt from the hierarchies of the descriptor: a margin is the sum of the rows of the
//! nearest finer level that the table publishes.

pub(super) mod lexer;

use super::policy::Uniform;
use super::release::{Key, Release};
use super::slots::Slots;
use super::system::{CellId, Known, Published, Relation};
use super::table::UNDER;
use crate::contract::fault_at;
use crate::domain::Digest;
use crate::error::{ConfigFault, Error, IoContext as _, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The total of a dimension.
pub const TOTAL: &str = "_T";
/// Code number of [`TOTAL`].
const ALL: u32 = 0;
/// Bytes of a published file at most.
const LARGEST: u64 = 4 << 30;
/// Faults told at once.
const TOLD: usize = 20;

/// A table as published: cell `i` is the `i`-th row under the header.
#[derive(Debug, Clone)]
pub struct PublishedTable {
    /// Data set.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of `data.csv`.
    pub digest: Digest,
    /// The descriptor names another digest: the file changed since it was written.
    pub altered: bool,
    /// The descriptor names no digest: nothing says that these are the figures it describes.
    pub unpinned: bool,
    /// Doubt that its own policy promises.
    pub promised: Option<Uniform>,
    /// Figures are rounded to multiples of this.
    pub base: Option<i64>,
    /// Figures are this far from the truth at most. The truth adds up, and a row that is not there may be
    /// as much.
    pub noise: Option<u32>,
    /// Names of the cells.
    pub keys: Vec<Key>,
    /// Measures, in the order of columns.
    pub measures: Vec<Measure>,
}

/// One measure of a table.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Column.
    pub name: String,
    /// Its figures add up over dimensions. One that does not (a mean, a rate) has no additions.
    pub additive: bool,
    /// They count persons.
    pub persons: bool,
    /// Persons make them together.
    pub amount: bool,
    /// Figures and additions.
    pub published: Published,
}

impl PublishedTable {
    /// Checks figures said to be rounded, by additions only: a reader who knows of each that it is within the
    /// base of the truth cannot exclude any number as near, since adding the same to a finest cell and to all
    /// it is counted in gives another table that agrees.
    ///
    /// # Errors
    /// [`Error::Refused`] when the base leaves less doubt than `rule`, a figure is no multiple, or an
    /// addition is wrong.
    pub fn check_rounding(&self, rule: Uniform) -> Result<()> {
        let Some(base) = self.base else { return Ok(()) };
        let refuse =
            |message: &str| Err(Error::Refused { code: "ROUNDING_REFUSED", message: message.into() });
        if base <= rule.threshold || base < rule.width.saturating_add(2) {
            return refuse("la base de l'arrondi laisse moins de doute que la règle n'en demande");
        }
        for measure in &self.measures {
            let value = |c: CellId| measure.published.cells.get(c as usize).copied().and_then(Known::value);
            let rounded = |k: &Known| k.value().is_some_and(|v| v.checked_rem(base) == Some(0));
            if !measure.additive || !measure.published.cells.iter().all(rounded) {
                return refuse("un chiffre n'est pas un multiple de la base");
            }
            for r in &measure.published.relations {
                let sum = r.children.iter().try_fold(0_i64, |s, c| s.checked_add(value(*c)?));
                if sum != value(r.parent) {
                    return refuse("un total arrondi n'est pas la somme de ses parties");
                }
            }
        }
        Ok(())
    }

    /// Cells that print a few persons, and how many.
    pub fn printed_few(&self, rule: Uniform) -> Vec<(&Key, i64)> {
        if self.noise.is_some() {
            return Vec::new();
        }
        let persons = self.measures.iter().filter(|m| m.persons && m.additive);
        let cells = persons.flat_map(|m| self.keys.iter().zip(&m.published.cells));
        let few = |k: &Known| k.value().filter(|v| (1..rule.threshold).contains(v));
        cells.filter_map(|(key, k)| Some((key, few(k)?))).collect()
    }

    /// Checks that every mean and share is what a reader computes of figures printed beside it: it then says
    /// nothing more.
    ///
    /// # Errors
    /// [`Error::Refused`] `FIGURE_UNPROVEN`.
    pub fn check_computed(&self) -> Result<()> {
        let sums: Vec<&Measure> = self.measures.iter().filter(|m| m.additive).collect();
        let value = |m: &Measure, c: usize| m.published.cells.get(c).copied().and_then(Known::value);
        let number: HashMap<&Key, usize, FixedState> = self.keys.iter().zip(0..).collect();
        let near = |shown: i64, a: i64, b: i64, times: i128| {
            b != 0 && (i128::from(a) * times - i128::from(shown) * i128::from(b)).abs() <= i128::from(b.abs())
        };
        for measure in self.measures.iter().filter(|m| !m.additive && self.noise.is_none()) {
            for (c, key) in self.keys.iter().enumerate() {
                let Some(shown) = value(measure, c) else { continue };
                let mean = || {
                    sums.iter().any(|a| {
                        sums.iter().any(|b| {
                            let of = value(a, c).zip(value(b, c));
                            a.name != b.name && of.is_some_and(|(a, b)| near(shown, a, b, 100))
                        })
                    })
                };
                let wider = || {
                    (0..1_u32 << key.len().min(12)).filter_map(|kept| {
                        let part = |(i, pair): (usize, &(String, String))| {
                            (kept >> i & 1 == 1).then(|| pair.clone())
                        };
                        let wide: Key = key.iter().enumerate().filter_map(part).collect();
                        number.get(&wide).copied()
                    })
                };
                let share = || {
                    let mut pairs = wider().flat_map(|w| sums.iter().map(move |m| (w, m)));
                    pairs.any(|(w, m)| {
                        value(m, c).zip(value(m, w)).is_some_and(|(a, b)| near(shown, a, b, 10_000))
                    })
                };
                if !mean() && !share() {
                    return Err(Error::Refused {
                        code: "FIGURE_UNPROVEN",
                        message: format!(
                            "« {} » de {} ne se calcule pas des chiffres publiés à côté : il dirait ce que d'autres cachent",
                            measure.name,
                            super::release::label(key)
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// One measure as a release to join with others.
    pub fn release(&self, measure: &str, population: &str, state: &str) -> Option<Release> {
        let found = self.measures.iter().find(|m| m.name == measure)?;
        Some(Release {
            name: format!("{} {}", self.name, self.version).trim_end().to_owned(),
            population: population.to_owned(),
            state: state.to_owned(),
            persons: found.persons,
            implied: Arc::default(),
            chosen: Arc::default(),
            keys: self.keys.clone(),
            published: found.published.clone(),
        })
    }
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(rename = "cartulaire:base")]
    base: Option<u32>,
    #[serde(rename = "cartulaire:noise")]
    noise: Option<u32>,
    #[serde(rename = "cartulaire:policy")]
    policy: Option<Promised>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Promised {
    threshold: i64,
    width: i64,
    #[serde(default)]
    percent: i64,
}

#[derive(Deserialize)]
struct Resource {
    path: String,
    hash: Option<String>,
    schema: Option<Schema>,
}

#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "cartulaire:role")]
    role: Role,
    #[serde(rename = "cartulaire:hierarchy")]
    coarser: Option<String>,
    #[serde(rename = "cartulaire:additive", default)]
    additive: bool,
    /// What persons make together: their number is another measure.
    #[serde(rename = "cartulaire:amount", default)]
    amount: bool,
    /// Counts persons: every measure that does not say otherwise.
    #[serde(rename = "cartulaire:persons")]
    persons: Option<bool>,
    /// `concealed`: masked cells may be nil.
    #[serde(rename = "cartulaire:zeros")]
    zeros: Option<super::policy::Zeros>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    Dimension,
    Measure,
    Status,
}

/// What the columns are.
struct Layout {
    names: Vec<String>,
    /// Columns of each hierarchy, coarse before fine.
    chains: Vec<Vec<usize>>,
    /// Column, column of its status, and what the descriptor says of it.
    measures: Vec<(usize, usize, Field)>,
    /// Dimension number of each column.
    dimension: Vec<Option<usize>>,
    dimensions: Vec<usize>,
}

/// Reads a publication from its folder.
///
/// # Errors
/// As [`parse`], and when a file cannot be read.
pub fn read(folder: &Path) -> Result<PublishedTable> {
    let load = |name: &str| {
        let path = folder.join(name);
        // What is no plain file may have no end.
        let size = std::fs::metadata(&path).at(&path)?;
        if !size.is_file() || size.len() > LARGEST {
            return Err(Error::Usage(format!(
                "« {} » n'est pas un fichier ordinaire de moins de 4 Gio",
                path.display()
            )));
        }
        std::fs::read(&path).at(&path)
    };
    parse(&load("datapackage.json")?, &load("data.csv")?)
}

/// Reads a publication from the bytes of its two files.
///
/// # Errors
/// [`Error::Config`] with file, line and column of what does not follow the conventions, at most
/// twenty at once.
pub fn parse(descriptor: &[u8], data: &[u8]) -> Result<PublishedTable> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "cartulaire:microdata", default)]
        microdata: bool,
    }
    if serde_json::from_slice::<Kind>(descriptor).is_ok_and(|k| k.microdata) {
        return Err(Error::Usage(
            "ce paquet contient des lignes de personnes : l'audit porte sur des tableaux ; ses mesures sont dans METHODOLOGIE-anonymisation.md".into(),
        ));
    }
    let package: Package = serde_json::from_slice(descriptor).map_err(|e| {
        Error::config(ConfigFault {
            file: "datapackage.json".into(),
            line: e.line(),
            column: e.column(),
            message: "descripteur illisible : il faut name, resources, et pour chaque champ name, type et cartulaire:role (dimension, measure, status)".into(),
        })
    })?;
    let text = String::from_utf8_lossy(descriptor);
    let refuse = |near: &str, message: String| {
        let at = text.find(&format!("\"{near}\"")).unwrap_or(0);
        Error::config(fault_at("datapackage.json", &text, at, message))
    };
    let Some(resource) = package.resources.into_iter().find(|r| r.path == "data.csv") else {
        return Err(refuse("resources", "aucune ressource « data.csv »".into()));
    };
    let digest = Digest::of(data);
    let unpinned = resource.hash.is_none();
    let altered = resource.hash.is_some_and(|h| h != format!("sha256:{digest}"));
    let Some(schema) = resource.schema else {
        return Err(refuse("data.csv", "la ressource n'a pas de schéma".into()));
    };
    let layout = layout(schema.fields).map_err(|(near, message)| refuse(&near, message))?;
    let rows = Rows::read(&layout, data)?;
    // A margin whose noise made it nil is not there.
    let (keys, relations) = (rows.keys(&layout), rows.relations(&layout, package.noise.is_none())?);
    let measures: Vec<Measure> = layout
        .measures
        .into_iter()
        .zip(rows.cells)
        .map(|((_, _, field), mut cells)| {
            // Where nils are left out, a row that is there is at least one.
            let concealed = field.zeros.map_or_else(
                || cells.iter().any(|k| k.value() == Some(0)),
                |z| z == super::policy::Zeros::Concealed,
            );
            // Where persons are, their amount may be nil.
            if !concealed && !field.amount {
                for cell in &mut cells {
                    if let Known::Masked { floor } = cell {
                        *floor = 1;
                    }
                }
            }
            let whole = field.kind == "integer" && package.noise.is_none();
            let additive = field.additive || (whole && adds_up(&cells, &relations));
            let added = additive || package.noise.is_some();
            let relations = if added { relations.clone() } else { Vec::new() };
            let persons = !field.amount && field.persons.unwrap_or(true);
            let published = Published { cells, relations };
            Measure { name: field.name, additive, persons, amount: field.amount, published }
        })
        .collect();
    let mut measures = measures;
    nil_amounts(&mut measures);
    let base = package.base.map(i64::from);
    let (name, version, noise) = (package.name, package.version, package.noise);
    let promised =
        package.policy.map(|p| Uniform { threshold: p.threshold, width: p.width, percent: p.percent });
    Ok(PublishedTable { name, version, digest, altered, unpinned, promised, base, noise, keys, measures })
}

/// Where nobody is, nothing is made: a masked amount beside a count of 0 is 0.
fn nil_amounts(measures: &mut [Measure]) {
    let nil =
        |m: &Measure, c: usize| m.persons && m.additive && m.published.cells.get(c) == Some(&Known::Value(0));
    let cells = measures.iter().map(|m| m.published.cells.len()).max().unwrap_or(0);
    let nobody: Vec<bool> = (0..cells).map(|c| measures.iter().any(|m| nil(m, c))).collect();
    for measure in measures.iter_mut().filter(|m| m.amount) {
        for (known, nobody) in measure.published.cells.iter_mut().zip(&nobody) {
            if *nobody && known.value().is_none() {
                *known = Known::Value(0);
            }
        }
    }
}

fn layout(fields: Vec<Field>) -> Result<Layout, (String, String)> {
    let names: Vec<String> = fields.iter().map(|f| f.name.clone()).collect();
    let refuse = |near: &str, message: &str| Err((near.to_owned(), format!("champ « {near} » : {message}")));
    let mut seen = BTreeSet::new();
    let mut layout = Layout {
        names: names.clone(),
        chains: Vec::new(),
        measures: Vec::new(),
        dimension: vec![None; names.len()],
        dimensions: Vec::new(),
    };
    for (i, field) in fields.iter().enumerate() {
        if !seen.insert(field.name.clone()) {
            return refuse(&field.name, "deux champs de ce nom");
        }
        if field.role != Role::Dimension {
            continue;
        }
        layout.dimension.put(i, Some(layout.dimensions.len()));
        layout.dimensions.push(i);
        match &field.coarser {
            None => layout.chains.push(vec![i]),
            Some(coarser) => {
                let above = names.iter().position(|n| n == coarser);
                match layout.chains.iter_mut().find(|c| above.is_some() && c.last().copied() == above) {
                    Some(chain) => chain.push(i),
                    None => {
                        return refuse(
                            &field.name,
                            "cartulaire:hierarchy nomme la dimension plus large qui la précède, et n'en porte qu'une plus fine",
                        );
                    }
                }
            }
        }
    }
    for (i, field) in fields.into_iter().enumerate() {
        match field.role {
            Role::Dimension => {}
            Role::Measure => {
                let status = format!("{}_statut", field.name);
                let Some(at) = names.iter().position(|n| *n == status) else {
                    return refuse(&field.name, "la mesure n'a pas de colonne de statut");
                };
                if field.additive && field.kind != "integer" {
                    return refuse(&field.name, "une mesure additive est de type integer");
                }
                layout.measures.push((i, at, field));
            }
            Role::Status => {
                if !field.name.strip_suffix("_statut").is_some_and(|m| names.iter().any(|n| n == m)) {
                    return refuse(&field.name, "un statut se nomme comme sa mesure, suivi de _statut");
                }
            }
        }
    }
    if layout.measures.is_empty() {
        return Err(("fields".into(), "aucune mesure".into()));
    }
    Ok(layout)
}

/// The rows, codes numbered by column.
struct Rows<'a> {
    data: &'a str,
    /// First byte of each row.
    starts: Vec<usize>,
    codes: Vec<Vec<String>>,
    /// One code per dimension.
    rows: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, CellId, FixedState>,
    /// Figures by measure.
    cells: Vec<Vec<Known>>,
}

impl<'a> Rows<'a> {
    fn read(layout: &Layout, bytes: &'a [u8]) -> Result<Self> {
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
                            "un entier positif ou nul est attendu (un décimal pour une mesure number)".into(),
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

    /// Levels of each hierarchy that a row details.
    fn depths(&self, layout: &Layout, row: &[u32]) -> Vec<usize> {
        let fine = |c: &&usize| layout.dimension.at(**c).is_some_and(|d| row.at(d) != ALL);
        layout.chains.iter().map(|chain| chain.iter().filter(fine).count()).collect()
    }

    /// Names of the cells: the finest code of each hierarchy, after those above it where it comes under
    /// several (two communes of one name).
    fn keys(&self, layout: &Layout) -> Vec<Key> {
        let dimension = |c: usize| layout.dimension.at(c).unwrap_or(usize::MAX);
        // Codes that come under several paths.
        let mut paths: HashMap<(usize, u32), Vec<u32>, FixedState> = HashMap::default();
        let mut several: BTreeSet<(usize, u32)> = BTreeSet::new();
        for row in &self.rows {
            for chain in &layout.chains {
                let codes: Vec<u32> = chain.iter().map(|c| row.at(dimension(*c))).collect();
                for (depth, (column, code)) in chain.iter().zip(&codes).enumerate().skip(1) {
                    let above = codes.get(..depth).unwrap_or_default();
                    if *code == ALL {
                        break;
                    }
                    if paths.entry((*column, *code)).or_insert_with(|| above.to_vec()) != above {
                        several.insert((*column, *code));
                    }
                }
            }
        }
        let named = |row: &Vec<u32>| {
            let mut key = Key::new();
            for chain in &layout.chains {
                let filled = chain.iter().take_while(|c| row.at(dimension(**c)) != ALL);
                let mut name: Option<(String, String)> = None;
                for column in filled {
                    let number = row.at(dimension(*column));
                    let code = self.codes.get(dimension(*column)).and_then(|c| c.get(number as usize));
                    let (Some(level), Some(code)) = (layout.names.get(*column), code) else { continue };
                    let above = name.take().filter(|_| several.contains(&(*column, number)));
                    name = Some((level.clone(), under(above.map(|(_, c)| c), code)));
                }
                key.extend(name);
            }
            key.sort_unstable();
            key
        };
        self.rows.iter().map(named).collect()
    }

    /// Additions: a cell of a crossing is the sum of what falls in it in every nearest finer crossing that is
    /// listed. A margin that is not there is a fault when `whole`.
    fn relations(&self, layout: &Layout, whole: bool) -> Result<Vec<Relation>> {
        let depths: Vec<Vec<usize>> = self.rows.iter().map(|r| self.depths(layout, r)).collect();
        let mut listed: BTreeMap<&Vec<usize>, Vec<CellId>> = BTreeMap::new();
        for (cell, depths) in (0_u32..).zip(&depths) {
            listed.entry(depths).or_default().push(cell);
        }
        let below = |fine: &Vec<usize>, coarse: &Vec<usize>| {
            fine != coarse && fine.iter().zip(coarse).all(|(f, c)| f >= c)
        };
        let mut sums: BTreeMap<(CellId, &Vec<usize>), Vec<CellId>> = BTreeMap::new();
        let mut faults = Vec::new();
        for coarse in listed.keys().copied() {
            let finer: Vec<&Vec<usize>> = listed.keys().copied().filter(|f| below(f, coarse)).collect();
            let nearest = finer.iter().filter(|f| !finer.iter().any(|other| below(f, other)));
            for fine in nearest.copied() {
                // Columns that are totals in the coarser crossing.
                let mut cut: Vec<usize> = Vec::new();
                let mut name = "";
                for (chain, (c, f)) in layout.chains.iter().zip(coarse.iter().zip(fine)) {
                    cut.extend(chain.iter().skip(*c).filter_map(|column| layout.dimension.at(*column)));
                    if let Some(column) = chain.get(*c).filter(|_| c < f) {
                        name = layout.names.get(*column).map_or(name, String::as_str);
                    }
                }
                for cell in listed.get(fine).into_iter().flatten() {
                    let Some(row) = self.rows.get(*cell as usize) else { continue };
                    let mut codes = row.clone();
                    cut.iter().for_each(|d| codes.put(*d, ALL));
                    match self.numbers.get(&codes) {
                        Some(parent) => sums.entry((*parent, fine)).or_default().push(*cell),
                        None if whole && faults.len() < TOLD => {
                            let message = format!("la marge de cette ligne, « {name} » à _T, manque");
                            let start = self.starts.get(*cell as usize).copied().unwrap_or(0);
                            faults.push(fault_at("data.csv", self.data, start, message));
                        }
                        None => {}
                    }
                }
            }
        }
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let mut relations: Vec<Relation> =
            sums.into_iter().map(|((parent, _), children)| Relation { parent, children }).collect();
        relations.sort_by(|a, b| (a.parent, &a.children).cmp(&(b.parent, &b.children)));
        Ok(relations)
    }
}

/// A code, after the one above it where it comes under several.
pub fn under(above: Option<String>, code: &str) -> String {
    above.map_or_else(|| code.to_owned(), |above| format!("{above}{UNDER}{code}"))
}

/// A whole figure; a decimal in hundredths.
fn figure_of(text: &str, field: &Field) -> Option<i64> {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if field.additive || field.kind == "integer" {
        return digits(text).then(|| text.parse().ok())?;
    }
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |t| (-1, t));
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(part) {
        return None;
    }
    let hundredths: i64 = part.chars().chain(['0', '0']).take(2).collect::<String>().parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths).map(|v| sign * v)
}

/// Whether every sum whose terms are all printed is right, and there is one: such figures add up, whatever their
/// descriptor says.
fn adds_up(cells: &[Known], relations: &[Relation]) -> bool {
    let value = |c: &CellId| cells.get(*c as usize).copied().and_then(Known::value);
    let mut seen = false;
    for r in relations.iter().filter(|r| r.children.len() > 1) {
        let parts: Option<Vec<i64>> = r.children.iter().map(value).collect();
        let (Some(parent), Some(parts)) = (value(&r.parent), parts) else { continue };
        seen |= parent > 0;
        if parts.iter().try_fold(0_i64, |s, v| s.checked_add(*v)) != Some(parent) {
            return false;
        }
    }
    seen
}

#[cfg(test)]
mod tests;

//! Rows of persons, made alike and verified on the file that would leave.

use super::aggregate::Aggregated;
use super::dataset::{Dataset, Dimension};
use super::publish::{self, Edition};
use super::table::Figures;
use super::terms::Terms;
use super::{Extracted, earlier, methodology};
use crate::disclosure::microdata::criteria::{CROSSED, individualisation, inference};
use crate::disclosure::microdata::{self, MISSING, Measured, Quasi, Secret, Solution, group, search, verify};
use crate::domain::Digest;
use crate::error::{Error, IoContext as _, Result};
use crate::store::{Store, files};
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What hides a value.
const HIDDEN: &str = "*";

/// A column and its values.
struct Coded<'a> {
    dimension: &'a Dimension,
    values: Vec<String>,
    codes: Vec<u32>,
}

/// Makes the rows of `counted` alike and writes them into `folder`.
///
/// # Errors
/// [`Error::Refused`] when no generalisation is safe, or when something else was published of the same
/// persons.
pub fn build(
    store: &Store,
    dataset: &Dataset,
    terms: &Terms,
    counted: Aggregated,
    edition: &Edition<'_>,
    folder: &Path,
) -> Result<Extracted> {
    let request = terms.request();
    // Quasi-identifiers first.
    let mut columns: Vec<Coded<'_>> =
        dataset.dimensions.iter().enumerate().map(|(place, d)| coded(d, place, &counted.inner)).collect();
    columns.sort_by_key(|c| c.dimension.secret);
    let known = columns.iter().filter(|c| !c.dimension.secret).count();
    let (quasi, secret) = columns.split_at(known);
    let hierarchies: Vec<Quasi> = quasi.iter().map(hierarchy).collect();
    let codes: Vec<&[u32]> = quasi.iter().map(|c| c.codes.as_slice()).collect();
    let secrets: Vec<Secret<'_>> = secret
        .iter()
        .map(|c| Secret {
            codes: &c.codes,
            values: c.values.len() as u32,
            ordered: c.dimension.ordered,
            missing: c.missing(),
        })
        .collect();
    let classes = group(&hierarchies, &codes, &secrets)?;
    let Some(found) = search(&classes, &hierarchies, &request)? else {
        return Err(Error::Refused {
            code: "MICRODATA_UNSAFE",
            message: "aucune généralisation ne rend ces lignes anonymes : déclarez des niveaux plus larges, retirez une colonne, ou publiez un tableau".into(),
        });
    };
    let mut rows: Vec<Vec<String>> = (0..classes.of.len())
        .filter(|row| classes.of.get(*row).is_none_or(|c| found.suppressed.get(*c as usize) != Some(&true)))
        .map(|row| {
            columns.iter().enumerate().map(|(i, c)| c.shown(row, found.levels.get(i).copied())).collect()
        })
        .collect();
    // The order of rows says nothing of where they come from.
    rows.sort_unstable();
    let csv = csv(&columns, &rows)?;
    let digest = Digest::of(&csv).to_string();
    earlier::alone(store, dataset, &edition.who.population, &digest)?;
    files::write_atomic(&folder.join("data.csv"), &csv)?;
    let ordered: Vec<bool> = secret.iter().map(|c| c.dimension.ordered).collect();
    let back = read_back(&folder.join("data.csv"))?;
    let measured = verify(&back, known, &ordered, &request)?;
    let parquet = parquet(&columns, &rows, &folder.join("data.parquet"))?;
    let mut text = serde_json::to_string_pretty(&descriptor(dataset, edition, &columns, &csv, &parquet))
        .map_err(|e| Error::Write(e.to_string()))?;
    text.push('\n');
    files::write_atomic(&folder.join("datapackage.json"), text.as_bytes())?;
    let page = page(dataset, terms, edition, &columns, &back, &measured, &found)?;
    let readme = format!(
        "# {}\n\n{}\n\nVersion {}. Licence Ouverte 2.0 (etalab-2.0).\n\nUne ligne par personne, rendue semblable à d'autres : \
         voir `METHODOLOGIE-anonymisation.md`. « {HIDDEN} » cache une valeur, `_Z` est une valeur absente dans la source.\n",
        methodology::plain(&dataset.title),
        methodology::plain(&dataset.description),
        edition.version
    );
    let pages =
        vec![("METHODOLOGIE-anonymisation.md", page.into_bytes()), ("README.md", readme.into_bytes())];
    publish::write_companions(dataset, edition, pages, folder)?;
    let proof = json!({
        "format": "cartulaire-microdata/1", "dataset": dataset.name, "version": edition.version, "data_sha256": digest,
        "reason": terms.reason(), "k": request.k, "l": request.l, "t_millionths": request.t, "measured": measured,
        "suppressed_rows": found.suppressed_rows,
    });
    let taken = usize::try_from(found.suppressed_rows).unwrap_or(usize::MAX);
    let facts = publish::recorded(
        dataset,
        edition,
        (classes.of.len(), taken.min(classes.of.len())),
        &digest,
        folder,
    )?;
    Ok(Extracted {
        facts,
        package: folder.to_path_buf(),
        data_digest: digest,
        certificate: serde_json::to_vec(&proof).map_err(|e| Error::Write(e.to_string()))?,
        counts: counted.counts,
        cells: (classes.of.len(), taken),
        sources: counted.sources,
    })
}

/// One column of the rows.
fn coded<'a>(dimension: &'a Dimension, place: usize, inner: &BTreeMap<Vec<String>, Figures>) -> Coded<'a> {
    let of = |codes: &'_ Vec<String>| codes.get(place).cloned().unwrap_or_default();
    let mut values: Vec<String> = inner.keys().map(of).collect();
    values.sort_by(|a, b| microdata::order(a).cmp(&microdata::order(b)));
    values.dedup();
    let numbers: BTreeMap<&String, u32> = values.iter().zip(0..).collect();
    let number = |codes: &Vec<String>| codes.get(place).and_then(|v| numbers.get(v)).copied().unwrap_or(0);
    let rows = inner.iter().flat_map(|(codes, n)| {
        std::iter::repeat_n(number(codes), usize::try_from(n.value).unwrap_or(usize::MAX))
    });
    Coded { dimension, codes: rows.collect(), values: values.clone() }
}

/// First characters of a value; what is absent stays so.
fn label(value: &str, characters: usize) -> String {
    if value == MISSING { value.to_owned() } else { value.chars().take(characters).collect() }
}

fn hierarchy(column: &Coded<'_>) -> Quasi {
    let level = |n: &usize| column.values.iter().map(|v| label(v, *n)).collect();
    let levels: Vec<Vec<String>> = column.dimension.levels.iter().map(level).collect();
    Quasi::new(column.values.len(), &levels)
}

impl Coded<'_> {
    fn missing(&self) -> Option<u32> {
        self.values.iter().zip(0..).find(|(v, _)| *v == MISSING).map(|(_, code)| code)
    }

    /// What a row shows at a level; itself for a secret.
    fn shown(&self, row: usize, level: Option<usize>) -> String {
        let value = self.codes.get(row).and_then(|c| self.values.get(*c as usize)).map_or("", String::as_str);
        match level {
            None | Some(0) => value.to_owned(),
            Some(level) => match self.dimension.levels.get(level - 1) {
                Some(characters) => label(value, *characters),
                None => HIDDEN.to_owned(),
            },
        }
    }
}

fn csv(columns: &[Coded<'_>], rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(b"\xEF\xBB\xBF".to_vec());
    let fault = |e: csv::Error| Error::Write(e.to_string());
    writer.write_record(columns.iter().map(|c| c.dimension.name.as_str())).map_err(fault)?;
    rows.iter().try_for_each(|row| writer.write_record(row)).map_err(fault)?;
    writer.into_inner().map_err(|e| Error::Write(e.to_string()))
}

fn read_back(path: &Path) -> Result<Vec<Vec<String>>> {
    let bytes = std::fs::read(path).at(path)?;
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text);
    let rows = reader.records().map(|r| r.map(|r| r.iter().map(str::to_owned).collect()));
    rows.collect::<Result<_, csv::Error>>().map_err(|e| Error::Corrupt(e.to_string()))
}

fn parquet(columns: &[Coded<'_>], rows: &[Vec<String>], path: &Path) -> Result<Digest> {
    let fields: Vec<Field> =
        columns.iter().map(|c| Field::new(&c.dimension.name, DataType::Utf8, false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = (0..columns.len()).map(|i| {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.get(i).map_or("", String::as_str))))
            as ArrayRef
    });
    let mut writer = crate::store::PartWriter::create(path, schema.clone())?;
    writer.write(&RecordBatch::try_new(schema, arrays.collect())?)?;
    Ok(writer.finish()?.1)
}

fn descriptor(
    dataset: &Dataset,
    edition: &Edition<'_>,
    columns: &[Coded<'_>],
    csv: &[u8],
    parquet: &Digest,
) -> Value {
    let field = |c: &Coded<'_>| {
        let role = if c.dimension.secret { "secret" } else { "quasi-identifier" };
        json!({"name": c.dimension.name, "type": "string", "title": c.dimension.title,
               "constraints": {"required": true}, "cartulaire:role": role})
    };
    let fields: Vec<Value> = columns.iter().map(field).collect();
    let mut made = publish::package(dataset, edition, csv, parquet, &json!({"fields": fields}));
    if let Some(map) = made.as_object_mut() {
        map.insert("cartulaire:microdata".into(), true.into());
    }
    made
}

/// `METHODOLOGIE-anonymisation.md`.
fn page(
    dataset: &Dataset,
    terms: &Terms,
    edition: &Edition<'_>,
    columns: &[Coded<'_>],
    rows: &[Vec<String>],
    measured: &Measured,
    found: &Solution,
) -> Result<String> {
    let coded: Vec<Vec<u32>> = (0..columns.len())
        .map(|i| {
            let mut numbers = BTreeMap::new();
            let number = |r: &Vec<String>| {
                let next = numbers.len() as u32;
                *numbers.entry(r.get(i).cloned().unwrap_or_default()).or_insert(next)
            };
            rows.iter().map(number).collect()
        })
        .collect();
    let all: Vec<&[u32]> = coded.iter().map(Vec::as_slice).collect();
    let (known, secret) = all.split_at(columns.iter().filter(|c| !c.dimension.secret).count());
    let told = methodology::Rows {
        names: columns.iter().map(|c| c.dimension.name.as_str()).collect(),
        reason: terms.reason(),
        request: terms.request(),
        measured: *measured,
        levels: found.levels.iter().zip(columns).map(|(l, c)| (*l, c.dimension.levels.len() + 1)).collect(),
        suppressed: found.suppressed_rows,
        loss: found.loss,
        singled: individualisation(known, CROSSED)?,
        exact: individualisation(&all, CROSSED)?,
        inferred: secret.iter().map(|s| inference(known, s)).collect::<Result<_>>()?,
    };
    Ok(methodology::rows(dataset, edition.version, &told))
}

//! The open-data package: CSV, Parquet, descriptor, catalogues, pages, checksums. Conventions of SDMX for
//! totals and statuses; a masked cell has one public code, whatever the reason for masking it.

use super::catalogue::{self, Distribution, Format};
use super::dataset::Dataset;
use super::earlier::Who;
use super::levels::Rows;
use super::measure::Unit;
use super::methodology::plain;
use super::protection::Protection;
use super::shown::{Shown, column};
use super::table::Cube;
use super::{methodology, preview};
use crate::disclosure::criteria::Criteria;
use crate::disclosure::published_csv::{self, PublishedTable};
use crate::domain::Digest;
use crate::error::{Error, IoContext as _, Result};
use crate::store::{PartWriter, PublicationFacts, files};
use arrow::array::{Array as _, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// What a package says of itself besides its dataset.
pub struct Edition<'a> {
    /// Version.
    pub version: &'a str,
    /// Who is counted.
    pub who: &'a Who,
    /// State of the population, `yyyy-mm-dd`.
    pub state: &'a str,
    /// Which rows are counted.
    pub rows: &'a Rows,
    /// Logical date of the extraction, `yyyy-mm-dd`.
    pub modified: &'a str,
}

/// Writes the table and its descriptor into `folder`; the table as a reader of the files sees it.
///
/// # Errors
/// When the disk refuses.
pub fn write_data(
    dataset: &Dataset,
    cube: &Cube,
    edition: &Edition<'_>,
    folder: &Path,
) -> Result<PublishedTable> {
    let csv = csv(dataset, cube)?;
    files::write_atomic(&folder.join("data.csv"), &csv)?;
    let parquet_digest = parquet(dataset, cube, &folder.join("data.parquet"))?;
    let descriptor = descriptor(dataset, edition, &csv, &parquet_digest);
    let mut text = serde_json::to_string_pretty(&descriptor).map_err(|e| Error::Write(e.to_string()))?;
    text.push('\n');
    files::write_atomic(&folder.join("datapackage.json"), text.as_bytes())?;
    published_csv::parse(text.as_bytes(), &csv)
}

/// The pages of a table.
pub fn pages(
    dataset: &Dataset,
    cube: &Cube,
    edition: &Edition<'_>,
    criteria: &Criteria,
) -> Vec<(&'static str, Vec<u8>)> {
    let policy = dataset.protection.as_ref().map(Protection::policy);
    // Changed figures are not measured as if they were true.
    let true_figures = dataset.protection.as_ref().is_some_and(|p| p.base().is_none() && p.noise().is_none());
    let counted = (true_figures && dataset.measure.counts_persons()).then_some(criteria);
    let counts = preview::counts(dataset, cube);
    let page = methodology::page(dataset, edition, policy.as_ref(), criteria, counts);
    vec![
        ("METHODOLOGIE-anonymisation.md", page.into_bytes()),
        ("README.md", readme(dataset, cube, edition).into_bytes()),
        ("apercu.html", preview::page(dataset, edition.version, cube, counted).into_bytes()),
    ]
}

/// Writes what goes with the data: `pages`, catalogues, and the digests of everything, last.
///
/// # Errors
/// When the disk refuses.
pub fn write_companions(
    dataset: &Dataset,
    edition: &Edition<'_>,
    pages: Vec<(&'static str, Vec<u8>)>,
    folder: &Path,
) -> Result<()> {
    let data =
        [("data.csv", "Données (CSV)", Format::Csv), ("data.parquet", "Données (Parquet)", Format::Parquet)];
    let mut sums: Vec<(String, &str)> = Vec::new();
    for name in ["data.csv", "data.parquet", "datapackage.json"] {
        sums.push((files::digest(&folder.join(name))?.to_string(), name));
    }
    let digests = sums.clone();
    let mut distributions = Vec::with_capacity(data.len());
    for ((path, title, format), (sha256, _)) in data.into_iter().zip(&digests) {
        let bytes = std::fs::metadata(folder.join(path)).at(folder.join(path))?.len();
        distributions.push(Distribution { path, title, format, sha256, bytes });
    }
    let catalogues = [
        ("datagouv.json", catalogue::datagouv(dataset, &distributions)?),
        ("dcat.jsonld", catalogue::dcat(dataset, edition, &distributions)?),
        ("ods.json", catalogue::ods(dataset, edition)?),
    ];
    for (name, bytes) in pages.iter().chain(&catalogues) {
        files::write_atomic(&folder.join(name), bytes)?;
        sums.push((Digest::of(bytes).to_string(), name));
    }
    sums.sort_by_key(|(_, name)| *name);
    let text: String = sums.iter().map(|(digest, name)| format!("{digest}  {name}\n")).collect();
    files::write_atomic(&folder.join("SHA256SUMS"), text.as_bytes())
}

fn csv(dataset: &Dataset, cube: &Cube) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(b"\xEF\xBB\xBF".to_vec());
    let fault = |e: csv::Error| Error::Write(e.to_string());
    let mut header: Vec<String> = dataset.dimension_names().into_iter().map(str::to_owned).collect();
    header.extend(dataset.figures().iter().flat_map(|f| [f.name.to_owned(), f.status()]));
    writer.write_record(&header).map_err(fault)?;
    let columns: Vec<Vec<Shown>> = dataset.figures().into_iter().map(|f| column(cube, f)).collect();
    for (row, cell) in cube.cells.iter().enumerate() {
        let mut record = cell.codes.clone();
        for shown in columns.iter().filter_map(|c| c.get(row)) {
            record.extend([shown.text(), shown.status().to_owned()]);
        }
        writer.write_record(&record).map_err(fault)?;
    }
    writer.into_inner().map_err(|e| Error::Write(e.to_string()))
}

fn parquet(dataset: &Dataset, cube: &Cube, path: &Path) -> Result<Digest> {
    let mut fields: Vec<Field> =
        dataset.dimension_names().into_iter().map(|n| Field::new(n, DataType::Utf8, false)).collect();
    let mut columns: Vec<ArrayRef> = (0..dataset.dimensions.len())
        .map(|d| {
            Arc::new(StringArray::from_iter_values(
                cube.cells.iter().map(|c| c.codes.get(d).map_or("", String::as_str)),
            )) as ArrayRef
        })
        .collect();
    for figure in dataset.figures() {
        let shown = column(cube, figure);
        let values: ArrayRef = if figure.unit.whole() {
            Arc::new(Int64Array::from_iter(shown.iter().map(|s| match s {
                Shown::Whole(v) => i64::try_from(*v).ok(),
                _ => None,
            })))
        } else {
            Arc::new(Float64Array::from_iter(shown.iter().map(|s| match s {
                Shown::Hundredths(v) => Some(*v as f64 / 100.0),
                _ => None,
            })))
        };
        fields.push(Field::new(figure.name, values.data_type().clone(), true));
        fields.push(Field::new(figure.status(), DataType::Utf8, false));
        columns.push(values);
        columns.push(Arc::new(StringArray::from_iter_values(shown.iter().map(|s| s.status()))));
    }
    let schema = Arc::new(Schema::new(fields));
    let mut writer = PartWriter::create(path, schema.clone())?;
    writer.write(&RecordBatch::try_new(schema, columns)?)?;
    Ok(writer.finish()?.1)
}

fn descriptor(dataset: &Dataset, edition: &Edition<'_>, csv: &[u8], parquet_digest: &Digest) -> Value {
    let mut fields: Vec<Value> = dataset
        .dimensions
        .iter()
        .zip(dataset.origins())
        .map(|(d, origin)| {
            let mut field = json!({"name": d.name, "type": "string", "title": d.title, "constraints": {"required": true},
                   "cartulaire:role": "dimension", "cartulaire:hierarchy": d.coarser, "cartulaire:source": origin.source});
            if let (Some(prefix), Some(map)) = (origin.prefix, field.as_object_mut()) {
                map.insert("cartulaire:prefix".into(), prefix.into());
            }
            field
        })
        .collect();
    let zeros = dataset.protection.as_ref().map(|p| p.policy().zeros);
    let persons = dataset.protection.is_some();
    for figure in dataset.figures() {
        let additive = figure.unit.additive();
        let mut field = json!({"name": figure.name, "type": if figure.unit.whole() { "integer" } else { "number" }, "title": figure.title,
                               "cartulaire:role": "measure", "cartulaire:additive": additive, "cartulaire:zeros": zeros,
                               "cartulaire:persons": persons && matches!(figure.unit, Unit::Count | Unit::Noisy)});
        if let Some(map) = field.as_object_mut() {
            if figure.unit == Unit::Amount {
                map.insert("cartulaire:amount".into(), true.into());
            }
            if let Some(column) = dataset.summed().filter(|_| figure.unit == Unit::Amount || !persons) {
                map.insert("cartulaire:column".into(), column.into());
            }
        }
        fields.push(field);
        let (title, codes) = match figure.unit.whole() {
            true => ("Statut : F publié, C masqué (secret statistique)", vec!["F", "C"]),
            false => ("Statut : F publié, C masqué (secret statistique), M sans objet", vec!["F", "C", "M"]),
        };
        fields.push(json!({"name": figure.status(), "type": "string", "title": title,
                           "constraints": {"required": true, "enum": codes}, "cartulaire:role": "status"}));
    }
    let schema = json!({"fields": fields, "missingValues": [""], "primaryKey": dataset.dimension_names()});
    let mut package = package(dataset, edition, csv, parquet_digest, &schema);
    let told = dataset.protection.as_ref().map(|p| (p.base(), p.noise()));
    if let (Some((base, noise)), Some(map)) = (told, package.as_object_mut()) {
        if let Some(base) = base {
            map.extend([
                ("cartulaire:method".into(), "rounding".into()),
                ("cartulaire:base".into(), base.into()),
            ]);
        }
        if let Some(noise) = noise {
            map.extend([
                ("cartulaire:method".into(), "cell_key".into()),
                ("cartulaire:noise".into(), noise.into()),
                ("cartulaire:series".into(), super::perturb::series(dataset).into()),
            ]);
        }
    }
    package
}

/// The policy, as readers and auditors are told it.
fn promised(dataset: &Dataset) -> Option<Value> {
    let policy = dataset.protection.as_ref()?.policy();
    let rule = policy.uniform();
    Some(json!({"name": policy.name, "since": policy.since, "threshold": rule.threshold, "width": rule.width,
                "percent": if dataset.measure.amounts() { rule.percent } else { 0 }}))
}

/// What the register of publications keeps of a package that is written.
///
/// # Errors
/// When a file cannot be read.
pub fn facts(
    dataset: &Dataset,
    edition: &Edition<'_>,
    written: &PublishedTable,
    folder: &Path,
) -> Result<PublicationFacts> {
    let mut mask = String::new();
    for measure in &written.measures {
        let masked = |k: &crate::disclosure::system::Known| if k.value().is_some() { 'F' } else { 'C' };
        mask.push_str(&measure.name);
        mask.push('\n');
        let cells = written.keys.iter().zip(&measure.published.cells);
        cells.for_each(|(key, k)| {
            mask.push_str(&format!("{} {}\n", crate::disclosure::release::label(key), masked(k)))
        });
    }
    let (figures, masked) = written.measures.iter().fold((0, 0), |(all, masked), m| {
        let hidden = m.published.masked().count();
        (all + m.published.cells.len(), masked + hidden)
    });
    recorded(dataset, edition, (figures, masked), &mask, folder)
}

/// The same, of any package: its figures, those masked, and a text that says which.
///
/// # Errors
/// As [`facts`].
pub fn recorded(
    dataset: &Dataset,
    edition: &Edition<'_>,
    (figures, masked): (usize, usize),
    mask: &str,
    folder: &Path,
) -> Result<PublicationFacts> {
    let level = |(d, origin): (&super::dataset::Dimension, super::levels::Origin)| json!({"name": d.name, "source": origin.source, "prefix": origin.prefix, "coarser": d.coarser});
    let zoning: Vec<Value> = dataset.dimensions.iter().zip(dataset.origins()).map(level).collect();
    let method = dataset.protection.as_ref().map(|p| p.method);
    let policy = json!({"method": method, "promised": promised(dataset)});
    Ok(PublicationFacts {
        dataset: dataset.name.clone(),
        version: edition.version.to_owned(),
        sums_sha256: files::digest(&folder.join("SHA256SUMS"))?.to_string(),
        source_table: dataset.table.clone(),
        school_year: edition.who.year.clone().unwrap_or_default(),
        population: edition.who.population.clone(),
        state: edition.state.to_owned(),
        row_filter: edition.rows.text(&dataset.table),
        zoning: Value::Array(zoning).to_string(),
        mask_sha256: Digest::of(mask.as_bytes()).to_string(),
        figures: i64::try_from(figures).unwrap_or(i64::MAX),
        masked: i64::try_from(masked).unwrap_or(i64::MAX),
        policy: policy.to_string(),
    })
}

/// `datapackage.json` around the schema of a table.
pub fn package(
    dataset: &Dataset,
    edition: &Edition<'_>,
    csv: &[u8],
    parquet_digest: &Digest,
    schema: &Value,
) -> Value {
    json!({
        "name": dataset.name, "title": dataset.title, "description": dataset.description, "version": edition.version,
        "cartulaire:table": dataset.table, "cartulaire:school_year": edition.who.year, "cartulaire:filter": edition.rows.text(&dataset.table),
        "cartulaire:rows": edition.rows,
        "cartulaire:population": edition.who.population, "cartulaire:state": edition.state, "cartulaire:policy": promised(dataset),
        "licenses": [{"name": "etalab-2.0", "title": "Licence Ouverte 2.0", "path": "https://www.etalab.gouv.fr/licence-ouverte-open-licence"}],
        "resources": [
            {"name": "data", "path": "data.csv", "profile": "tabular-data-resource", "format": "csv", "mediatype": "text/csv",
             "encoding": "utf-8-sig", "dialect": {"delimiter": ";", "lineTerminator": "\n"},
             "bytes": csv.len(), "hash": format!("sha256:{}", Digest::of(csv)), "schema": schema},
            {"name": "data-parquet", "path": "data.parquet", "type": "file", "format": "parquet", "mediatype": "application/vnd.apache.parquet",
             "hash": format!("sha256:{parquet_digest}")},
        ],
    })
}

fn readme(dataset: &Dataset, cube: &Cube, edition: &Edition<'_>) -> String {
    let version = edition.version;
    let (figures, masked) = preview::counts(dataset, cube);
    let protection = dataset.protection.as_ref().map_or_else(
        || "Ce jeu ne compte pas de personnes : aucune cellule n'est masquée.".to_owned(),
        |protection| {
            let policy = protection.policy();
            if let Some(base) = protection.base() {
                return format!(
                    "Politique « {} » : chaque chiffre est arrondi à un multiple de {base} ; rien n'est masqué, et une ligne absente vaut de 0 à {}.",
                    plain(&policy.name),
                    base - 1
                );
            }
            if let Some(noise) = protection.noise() {
                return format!(
                    "Politique « {} » : chaque chiffre porte un bruit d'au plus {noise}, le même pour les mêmes personnes ; les \
                     totaux ne sont pas les sommes des lignes, et une ligne absente vaut de 0 à {noise}.",
                    plain(&policy.name)
                );
            }
            if !dataset.measure.counts_persons() {
                return format!(
                    "Politique « {} » : une cellule que font de 1 à {} personnes est masquée, ainsi que celles qui permettraient de la \
                     recalculer à partir des totaux. {masked} chiffres sur {figures} sont masqués ; d'aucun on ne connaît la valeur à \
                     moins de {} % près, ce que deux tableaux vérifiés avant la publication prouvent.",
                    plain(&policy.name),
                    policy.threshold - 1,
                    policy.p_percent.unwrap_or(0)
                );
            }
            format!(
                "Politique « {} » : une cellule de 1 à {} personnes est masquée, ainsi que celles qui permettraient de la \
                 recalculer à partir des totaux. {masked} chiffres sur {figures} sont masqués. Avant la publication, pour chaque \
                 cellule masquée, deux tableaux qui s'accordent avec tout ce qui est publié ont été vérifiés : l'un y met {} ou \
                 plus, et ils diffèrent d'au moins {}. Les autres publications de la même population (« {} ») ont été examinées \
                 avec celle-ci.",
                plain(&policy.name),
                policy.threshold - 1,
                policy.threshold,
                policy.width,
                plain(&edition.who.population)
            )
        },
    );
    let noisy = dataset.protection.as_ref().is_some_and(|p| p.noise().is_some());
    let absent = if noisy { "" } else { "Une combinaison absente vaut zéro. " };
    let names: Vec<String> = dataset.figures().iter().map(|f| format!("`{}`", f.status())).collect();
    let missing = match dataset.figures().iter().all(|f| f.unit.whole()) {
        true => "",
        false => ", ou `M` (sans objet : moyenne ou part de personne)",
    };
    let status = match names.as_slice() {
        [one] => format!("La colonne {one} vaut `F` (publié) ou `C` (masqué){missing}."),
        all => format!("Les colonnes {} valent `F` (publié) ou `C` (masqué){missing}.", all.join(", ")),
    };
    format!(
        "# {}\n\n{}\n\nVersion {version}. Licence Ouverte 2.0 (etalab-2.0).\n\n## Fichiers\n\n\
         - `data.csv` : séparateur « ; », UTF-8 avec BOM, point décimal.\n\
         - `data.parquet` : les mêmes lignes, typées.\n\
         - `datapackage.json` : description des colonnes (Table Schema).\n\
         - `apercu.html` : aperçu pour les personnes.\n\
         - `METHODOLOGIE-anonymisation.md` : règles, pertes, et les trois critères mesurés.\n\
         - `dcat.jsonld`, `ods.json`, `datagouv.json` : descriptions pour les catalogues.\n\
         - `SHA256SUMS` : empreintes.\n\n## Lecture\n\n\
         `_T` est le total d'une dimension. {absent}{status}\n\n\
         ## Protection\n\n{protection}\n",
        plain(&dataset.title),
        plain(&dataset.description)
    )
}

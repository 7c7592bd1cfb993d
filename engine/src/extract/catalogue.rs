//! What catalogues read: DCAT-AP in JSON-LD, and the payloads of the two portals.

use super::dataset::Dataset;
use super::publish::Edition;
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// A file of the package, as catalogues name it.
#[derive(Debug, Clone, Copy)]
pub struct Distribution<'a> {
    /// Name in the package.
    pub path: &'a str,
    /// Title.
    pub title: &'a str,
    /// Format.
    pub format: Format,
    /// SHA-256, hexadecimal.
    pub sha256: &'a str,
    /// Bytes.
    pub bytes: u64,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CSV.
    Csv,
    /// Parquet.
    Parquet,
}

impl Format {
    fn mime(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }
}

const LICENCE: &str = "https://www.etalab.gouv.fr/licence-ouverte-open-licence";
/// Authority list of themes: education, culture, sport.
const THEME: &str = "http://publications.europa.eu/resource/authority/data-theme/EDUC";
const FREQUENCIES: &str = "http://publications.europa.eu/resource/authority/frequency";
const FILE_TYPES: &str = "http://publications.europa.eu/resource/authority/file-type";

fn french(text: &str) -> Value {
    json!({"@value": text, "@language": "fr"})
}

fn text(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::Write(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// `dcat.jsonld`: the dataset and its distributions (DCAT-AP 3), addresses relative to the package.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn dcat(dataset: &Dataset, edition: &Edition<'_>, files: &[Distribution<'_>]) -> Result<Vec<u8>> {
    let distribution = |f: &Distribution<'_>| {
        json!({
            "@type": "dcat:Distribution",
            "dct:title": french(f.title),
            "dcat:accessURL": {"@id": "./"},
            "dcat:downloadURL": {"@id": f.path},
            "dct:format": {"@id": format!("{FILE_TYPES}/{}", f.format.name().to_uppercase())},
            "dcat:mediaType": {"@id": format!("https://www.iana.org/assignments/media-types/{}", f.format.mime())},
            "dct:license": {"@id": LICENCE},
            "dcat:byteSize": {"@value": f.bytes.to_string(), "@type": "xsd:nonNegativeInteger"},
            "spdx:checksum": {
                "@type": "spdx:Checksum",
                "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
                "spdx:checksumValue": {"@value": f.sha256, "@type": "xsd:hexBinary"},
            },
        })
    };
    let metadata = &dataset.metadata;
    let mut node = json!({
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "foaf": "http://xmlns.com/foaf/0.1/",
            "owl": "http://www.w3.org/2002/07/owl#",
            "spdx": "http://spdx.org/rdf/terms#",
            "vcard": "http://www.w3.org/2006/vcard/ns#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@id": format!("urn:cartulaire:{}:{}", dataset.name, edition.version),
        "@type": "dcat:Dataset",
        "dct:identifier": dataset.name,
        "dct:title": french(&dataset.title),
        "dct:description": french(&dataset.description),
        "dct:language": {"@id": "http://publications.europa.eu/resource/authority/language/FRA"},
        "dct:license": {"@id": LICENCE},
        "dct:accrualPeriodicity": {"@id": format!("{FREQUENCIES}/{}", metadata.periodicity.authority())},
        "dct:modified": {"@value": edition.modified, "@type": "xsd:date"},
        "dcat:theme": {"@id": THEME},
        "dcat:keyword": metadata.keywords.iter().map(|k| french(k)).collect::<Vec<_>>(),
        "owl:versionInfo": edition.version,
        "dcat:distribution": files.iter().map(distribution).collect::<Vec<_>>(),
    });
    let mut add = |key: &str, value: Value| {
        if let Some(map) = node.as_object_mut() {
            map.insert(key.to_owned(), value);
        }
    };
    if let Some(publisher) = &metadata.publisher {
        add("dct:publisher", json!({"@type": "foaf:Agent", "foaf:name": french(publisher)}));
    }
    if let Some(contact) = &metadata.contact {
        let (key, at) = match contact.contains('@') {
            true => ("vcard:hasEmail", format!("mailto:{contact}")),
            false => ("vcard:hasURL", contact.clone()),
        };
        add("dcat:contactPoint", json!({"@type": "vcard:Kind", key: {"@id": at}}));
    }
    if !edition.state.is_empty() {
        let day = json!({"@value": edition.state, "@type": "xsd:date"});
        let mut period = json!({"@type": "dct:PeriodOfTime", "dcat:endDate": day});
        // Persons are counted on a day; what is summed over time began before.
        if let Some(map) = period.as_object_mut().filter(|_| dataset.latest_year_only) {
            map.insert("dcat:startDate".into(), day);
        }
        add("dct:temporal", period);
    }
    text(&node)
}

/// `ods.json`: what the automation API of Opendatasoft portals (data.education.gouv.fr) is told.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn ods(dataset: &Dataset, edition: &Edition<'_>) -> Result<Vec<u8>> {
    let metadata = &dataset.metadata;
    text(&json!({
        "dataset_id": format!("fr-en-{}", dataset.name),
        "is_restricted": false,
        "metadata": {
            "default": {
                "title": dataset.title,
                "description": dataset.description,
                "theme": metadata.themes,
                "keyword": metadata.keywords,
                "license": "Licence Ouverte v2.0 (Etalab)",
                "publisher": metadata.publisher,
                "modified": edition.modified,
                "language": "fr",
            },
            "dcat": {
                "contact_name": metadata.contact,
                "accrualperiodicity": format!("{FREQUENCIES}/{}", metadata.periodicity.authority()),
            },
        },
        "resource": {
            "type": "csvfile",
            "title": dataset.title,
            "path": "data.csv",
            "params": {"separator": ";", "encoding": "utf-8", "headers_first_row": true, "first_row_no": 1, "doublequote": true},
        },
    }))
}

/// `datagouv.json`: what the API of data.gouv.fr is told.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn datagouv(dataset: &Dataset, files: &[Distribution<'_>]) -> Result<Vec<u8>> {
    let resource = |f: &Distribution<'_>| {
        json!({
            "path": f.path, "title": f.title, "format": f.format.name(), "mime": f.format.mime(), "type": "main",
            "filesize": f.bytes, "checksum": {"type": "sha256", "value": f.sha256},
        })
    };
    let metadata = &dataset.metadata;
    text(&json!({
        "title": dataset.title,
        "slug": dataset.name,
        "description": dataset.description,
        "license": "lov2",
        "frequency": metadata.periodicity.datagouv(),
        "tags": metadata.keywords.iter().map(|k| tag(k)).collect::<Vec<_>>(),
        "resources": files.iter().map(resource).collect::<Vec<_>>(),
    }))
}

/// A keyword as data.gouv.fr accepts tags: small letters without accent, and hyphens.
fn tag(keyword: &str) -> String {
    let mut out = String::new();
    for c in keyword.to_lowercase().chars() {
        match c {
            'à' | 'â' | 'ä' => out.push('a'),
            'é' | 'è' | 'ê' | 'ë' => out.push('e'),
            'î' | 'ï' => out.push('i'),
            'ô' | 'ö' => out.push('o'),
            'ù' | 'û' | 'ü' => out.push('u'),
            'ç' => out.push('c'),
            'œ' => out.push_str("oe"),
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if out.ends_with('-') || out.is_empty() => {}
            _ => out.push('-'),
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_plain() {
        for (keyword, want) in [
            ("Élèves", "eleves"),
            ("vie de l'élève", "vie-de-l-eleve"),
            (" second  degré ! ", "second-degre"),
            ("!", ""),
        ] {
            assert_eq!(tag(keyword), want);
        }
    }
}

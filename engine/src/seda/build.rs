//! Packages of one set: the records of a class, a school year and a start of retention. Everything
//! is written aside, cut by producer and size, then sealed; the caller publishes the set whole.

use super::content::{Object, SIARD, Share, write_explanations, write_rows};
use super::context::{Origin, origin, publications, quality, write_lineage, write_nomenclatures};
use super::model::*;
use super::profile::split::{Lot, Part, split};
use super::profile::{ClassProfile, Kind, Placeholder, Template};
use super::siard::{self, Described};
use super::write;
use super::zipper::Packager;
use crate::contract::Contract;
use crate::error::{Error, IoContext, Result};
use crate::french::{count, thousands};
use crate::run::Run;
use crate::store::{Gel, Snapshot};
use chrono::NaiveDate;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the packages of a set have in common.
pub struct Set<'a> {
    /// Name of the package, and first part of the names when there are several.
    pub id: String,
    /// Description of the class.
    pub class: &'a ClassProfile,
    /// School year.
    pub year: &'a str,
    /// First and last day of the records.
    pub dates: (NaiveDate, NaiveDate),
    /// Day that started the duration.
    pub start: NaiveDate,
    /// Rules that decided.
    pub rules: Vec<String>,
    /// Holds in force on the records.
    pub gels: Vec<Gel>,
    /// Where the records are.
    pub snapshots: Vec<&'a Snapshot>,
}

/// A finished package.
pub struct Built {
    /// Identifier.
    pub id: String,
    /// Folder to publish.
    pub folder: PathBuf,
    /// Lower-case SHA-512 of the zip.
    pub sha512: String,
    /// (path of a snapshot, records).
    pub items: Vec<(String, u64)>,
}

/// One table of the set.
struct TablePart<'a> {
    contract: &'a Contract,
    origins: Vec<&'a Origin>,
    share: Share,
    explanations: Vec<Object>,
}

/// Writes the packages of a set below `work`.
///
/// # Errors
/// When the store or the disk fail, or a snapshot does not hold the records that the ledger counts.
pub fn build(run: &Run<'_>, set: &Set<'_>, work: &Path) -> Result<Vec<Built>> {
    let aside = work.join("content");
    std::fs::create_dir_all(&aside).at(&aside)?;
    let origins: Vec<Origin> = set.snapshots.iter().map(|s| origin(run, s)).collect::<Result<_>>()?;
    let mut by_table: BTreeMap<&str, Vec<&Origin>> = BTreeMap::new();
    for o in &origins {
        by_table.entry(o.snapshot.table_name.as_str()).or_default().push(o);
    }
    let mut tables = Vec::new();
    for (name, origins) in by_table {
        let contract = run.rulebook.contracts.iter().find(|c| c.name == name);
        let contract = contract.ok_or_else(|| {
            Error::Usage(format!("le contrat de la table « {name} » a disparu : remettez-le"))
        })?;
        let snapshots: Vec<&Snapshot> = origins.iter().map(|o| &o.snapshot).collect();
        let shares = write_rows(run.store, contract, set.class, &snapshots, &aside)?;
        let explanations = write_explanations(contract, &quality(&origins)?, &aside)?;
        for share in shares {
            tables.push(TablePart {
                contract,
                origins: origins.clone(),
                share,
                explanations: explanations.clone(),
            });
        }
    }
    let lots: Vec<Lot> = tables.iter().map(TablePart::lot).collect();
    let parts = split(&lots, run.rulebook.profile.limits)?;
    parts
        .iter()
        .map(|part| {
            let tables: Vec<&TablePart<'_>> = part.lots.iter().filter_map(|i| tables.get(*i)).collect();
            one(run, set, part, &parts, &tables, work)
        })
        .collect()
}

impl TablePart<'_> {
    fn objects(&self) -> impl Iterator<Item = &Object> {
        std::iter::once(&self.share.data).chain(&self.explanations)
    }

    fn lot(&self) -> Lot {
        Lot {
            producer: self.share.producer.clone(),
            name: self.contract.title.clone(),
            bytes: self.objects().map(|o| o.size).sum(),
            objects: 1 + self.explanations.len() as u64,
        }
    }

    fn records(&self) -> u64 {
        self.share.rows.iter().map(|(_, n)| n).sum()
    }
}

/// Seals one package of the set.
fn one(
    run: &Run<'_>,
    set: &Set<'_>,
    part: &Part,
    parts: &[Part],
    tables: &[&TablePart<'_>],
    work: &Path,
) -> Result<Built> {
    let id = part.identifier(&set.id);
    let aside = work.join(format!("context-{id}"));
    let folder = work.join(format!("sip-{id}"));
    for path in [&aside, &folder] {
        std::fs::create_dir_all(path).at(path)?;
    }
    let origins: Vec<&Origin> = tables.iter().flat_map(|t| t.origins.iter().copied()).collect();
    let contracts: Vec<&Contract> = tables.iter().map(|t| t.contract).collect();
    let decision = json!({
        "record_class": set.class.record_class, "date": run.date.to_string(), "start": set.start.to_string(),
        "sort_final": "conservation", "rules": set.rules, "referential": run.rulebook.referential.version,
        "holds": set.gels.iter().map(|g| &g.id).collect::<Vec<_>>(),
    });
    let mut context = write_nomenclatures(run, &contracts, &origins, &aside)?;
    context.push(write_lineage(&origins, &decision, &aside)?);
    if set.class.siard {
        context.push(siard(run, set, part, tables, &aside)?);
    }
    let objects: Vec<&Object> = tables.iter().flat_map(|t| t.objects()).chain(&context).collect();

    let mut packager = Packager::begin(&folder.join(format!("{id}.zip")), run.threads)?;
    for (n, object) in objects.iter().enumerate() {
        let mut file = File::open(&object.path).at(&object.path)?;
        packager.add(&uri(n, object), object.format.method, Some(object.size), &mut file)?;
    }
    let message = message(run, set, part, parts);
    let units = Units {
        set,
        part,
        tables,
        objects: &objects,
        publications: publications(run, &origins)?,
        run_date: run.date,
    };
    let units = units.all();
    let sealed = packager.seal(|written, out| {
        let groups = objects.iter().enumerate().zip(written).map(|((n, object), w)| {
            Ok(ObjectGroup {
                id: format!("DOG-{:04}", n + 1),
                objects: vec![binary(n, object, &w.uri, &w.sha512, w.size)],
            })
        });
        write::write(out, run.rulebook.profile.version, &message, groups, units.into_iter().map(Ok))
    })?;
    let mut items: BTreeMap<String, u64> = BTreeMap::new();
    for (path, n) in tables.iter().flat_map(|t| &t.share.rows) {
        *items.entry(path.clone()).or_default() += n;
    }
    Ok(Built { id, folder, sha512: sealed.sha512, items: items.into_iter().collect() })
}

/// All tables of the package in one archive of their own.
fn siard(
    run: &Run<'_>,
    set: &Set<'_>,
    part: &Part,
    tables: &[&TablePart<'_>],
    aside: &Path,
) -> Result<Object> {
    let path = aside.join("tables.siard");
    let name = part.identifier(&set.id);
    let described = Described {
        name: &name,
        description: &set.class.description,
        owner: &part.producer,
        timespan: set.year,
        date: run.date,
    };
    let rows: Vec<(&Contract, Vec<&Snapshot>)> =
        tables.iter().map(|t| (t.contract, t.origins.iter().map(|o| &o.snapshot).collect())).collect();
    let written = siard::write(run.store, &path, &described, &rows)?;
    let expected: u64 = tables.iter().map(|t| t.records()).sum();
    if written != expected {
        return Err(Error::Corrupt(format!(
            "{name} : {written} enregistrements dans SIARD, {expected} attendus"
        )));
    }
    let size = std::fs::metadata(&path).at(&path)?.len();
    Ok(Object {
        kind: Kind::Siard,
        table: None,
        path,
        size,
        filename: "tables.siard".into(),
        title: "Tables en SIARD 2.2".into(),
        description: "Les tables du paquet, leurs types, leurs clés et leurs liens (eCH-0165).".into(),
        format: SIARD,
    })
}

fn uri(n: usize, object: &Object) -> String {
    format!("content/BDO-{:04}.{}", n + 1, object.format.extension)
}

fn binary(n: usize, object: &Object, uri: &str, sha512: &str, size: u64) -> BinaryObject {
    BinaryObject {
        id: format!("BDO-{:04}", n + 1),
        usage: "BinaryMaster_1".into(),
        uri: uri.to_owned(),
        sha512: sha512.to_owned(),
        size,
        format_name: Some(object.format.name.into()),
        mime: Some(object.format.mime.into()),
        puid: Some(object.format.puid.into()),
        filename: object.filename.clone(),
        last_modified: None,
    }
}

fn message(run: &Run<'_>, set: &Set<'_>, part: &Part, parts: &[Part]) -> Message {
    let parties = &set.class.parties;
    let number = match part.of {
        1 => String::new(),
        of => format!(", paquet {} sur {of}", part.number),
    };
    Message {
        comments: vec![format!("{}, année scolaire {}{number}", set.class.title, set.year)],
        date: run.date,
        identifier: part.identifier(&set.id),
        archival_agreement: Some(parties.archival_agreement.clone()),
        related_transfers: part.before(parts, &set.id),
        archival_agency: parties.agencies.archival.clone(),
        transferring_agency: parties.agencies.transferring.clone(),
        management: ManagementMetadata {
            archival_profile: parties.archival_profile.clone(),
            acquisition: parties.acquisition.clone(),
            legal_status: parties.legal_status,
            originating_agency: Some(part.producer.clone()),
            submission_agency: Some(parties.agencies.submission.clone()),
            ..ManagementMetadata::default()
        },
        ..Message::default()
    }
}

/// The units of a package, from the plan de classement of its class.
struct Units<'a> {
    set: &'a Set<'a>,
    part: &'a Part,
    tables: &'a [&'a TablePart<'a>],
    objects: &'a [&'a Object],
    publications: Vec<Event>,
    run_date: NaiveDate,
}

impl<'a> Units<'a> {
    /// In preorder, each with its depth.
    fn all(&self) -> Vec<(usize, Unit)> {
        let mut out = Vec::new();
        self.node(0, 0, None, &mut out);
        out
    }

    fn node(
        &self,
        index: usize,
        depth: usize,
        table: Option<&'a TablePart<'a>>,
        out: &mut Vec<(usize, Unit)>,
    ) {
        let tree = &self.set.class.tree.0;
        let Some(node) = tree.get(index) else { return };
        if node.each_table && table.is_none() {
            return self.tables.iter().for_each(|t| self.node(index, depth, Some(t), out));
        }
        let (tables, records) = self.scope();
        let fill = |t: &Template| self.fill(t, table, &tables, &records);
        let mut content = Content {
            level: Some(node.level),
            title: fill(&node.title),
            description: node.description.as_ref().map(fill).into_iter().collect(),
            start: Some(self.set.dates.0),
            end: Some(self.set.dates.1),
            ..Content::default()
        };
        if index == 0 {
            content.languages = vec!["fra".into()];
            content.description_language = Some("fra".into());
            content.keywords = self.set.class.keywords.clone();
            content.events = self.publications.clone();
            content.events.push(self.decision());
        }
        if node.each_table {
            content.events = table.iter().flat_map(|t| &t.origins).flat_map(|o| o.events()).collect();
        }
        let rules = if index == 0 { self.rules() } else { Vec::new() };
        self.push(depth, rules, content, Vec::new(), out);
        for kind in &node.holds {
            for (n, object) in self.objects.iter().enumerate() {
                let here = object.table.as_deref() == table.map(|t| t.contract.name.as_str());
                if object.kind == *kind && here {
                    self.item(depth + 1, n, object, out);
                }
            }
        }
        for (child, _) in tree.iter().enumerate().filter(|(_, n)| n.parent == Some(index)) {
            self.node(child, depth + 1, table, out);
        }
    }

    fn push(
        &self,
        depth: usize,
        rules: Vec<Rules>,
        content: Content,
        groups: Vec<String>,
        out: &mut Vec<(usize, Unit)>,
    ) {
        let id = format!("AU-{:04}", out.len());
        let unit = ArchiveUnit { id, rules, content, groups, ..ArchiveUnit::default() };
        out.push((depth, Unit::Own(Box::new(unit))));
    }

    fn item(&self, depth: usize, n: usize, object: &Object, out: &mut Vec<(usize, Unit)>) {
        let content = Content {
            level: Some(Level::Item),
            title: object.title.clone(),
            description: vec![object.description.clone()],
            start: Some(self.set.dates.0),
            end: Some(self.set.dates.1),
            ..Content::default()
        };
        self.push(depth, Vec::new(), content, vec![format!("DOG-{:04}", n + 1)], out);
    }

    /// Tables and number of records, in words.
    fn scope(&self) -> (String, String) {
        let titles: Vec<&str> = self.tables.iter().map(|t| t.contract.title.as_str()).collect();
        let records = self.tables.iter().map(|t| t.records()).sum();
        (titles.join(", "), count(records, "enregistrement", "enregistrements"))
    }

    fn fill(
        &self,
        template: &Template,
        table: Option<&TablePart<'_>>,
        tables: &str,
        records: &str,
    ) -> String {
        let class = self.set.class;
        let day = |d: NaiveDate| d.format("%d/%m/%Y").to_string();
        let (first, last) = (day(self.set.dates.0), day(self.set.dates.1));
        let of_table = |f: fn(&Contract) -> &str| table.map(|t| f(t.contract).to_owned()).unwrap_or_default();
        let (name, title, about) =
            (of_table(|c| &c.name), of_table(|c| &c.title), of_table(|c| &c.description));
        template.fill(|p| match p {
            Placeholder::Title => &class.title,
            Placeholder::Description => &class.description,
            Placeholder::Year => self.set.year,
            Placeholder::First => &first,
            Placeholder::Last => &last,
            Placeholder::Producer => &self.part.producer,
            Placeholder::Tables => tables,
            Placeholder::Records => records,
            Placeholder::Table => &name,
            Placeholder::TableTitle => &title,
            Placeholder::TableDescription => &about,
        })
    }

    fn decision(&self) -> Event {
        let records: u64 = self.tables.iter().map(|t| t.records()).sum();
        Event {
            kind: Some("Sort final".into()),
            date: self.run_date,
            detail: Some(format!("Conservation : {}", self.set.rules.join(", "))),
            outcome: Some("OK".into()),
            outcome_message: Some(format!("Enregistrements à conserver : {}", thousands(records))),
            ..Event::default()
        }
    }

    fn rules(&self) -> Vec<Rules> {
        let class = self.set.class;
        let rules = |category, rules: Vec<Rule>, final_action| Rules {
            category,
            rules,
            inheritance: Inheritance::Kept,
            final_action,
            classification: None,
        };
        let rule = |code: &str, start| Rule { code: code.to_owned(), start: Some(start), hold: None };
        // Only records to be kept come this far.
        let appraisal = rule(&class.appraisal_rule, self.set.start);
        let mut all = vec![rules(Category::Appraisal, vec![appraisal], Some(FinalAction::Keep))];
        if let Some(code) = &class.access_rule {
            all.push(rules(Category::Access, vec![rule(code, self.set.dates.1)], None));
        }
        if let Some(code) = class.hold_rule.as_ref().filter(|_| !self.set.gels.is_empty()) {
            // The text of a hold may name a person: its identifier is what leaves.
            let held = self.set.gels.iter().map(|g| Rule {
                hold: Some(Hold {
                    end: g.until,
                    reassess: g.reassess_on,
                    reason: Some(g.id.clone()),
                    ..Hold::default()
                }),
                ..rule(code, g.from)
            });
            all.push(rules(Category::Hold, held.collect(), None));
        }
        all
    }
}

//! `cartulaire.toml`: where things are. Everything not named has an embedded default.

use cartulaire_engine::contract::{Contract, check_names, toml_file};
use cartulaire_engine::domain::{Calendar, Digest};
use cartulaire_engine::elimination::papers::Service;
use cartulaire_engine::elimination::registry::Registry;
use cartulaire_engine::elimination::state::CoolingOff;
use cartulaire_engine::elimination::{self};
use cartulaire_engine::error::{ConfigFault, Error, IoContext as _, Result};
use cartulaire_engine::extract::{Dataset, Policies};
use cartulaire_engine::nomenclature::{Nomenclatures, table_of};
use cartulaire_engine::retention::tri::{Plan, load_plans};
use cartulaire_engine::retention::{Referential, RuleTexts, SHIPPED, SHIPPED_PLANS};
use cartulaire_engine::run::Rulebook;
use cartulaire_engine::seda::profile::{Profile, SHIPPED as SHIPPED_PROFILES};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::deposit::{Section, Settings, private};
use crate::job::Job;
use crate::portal;

const CALENDAR: &str = include_str!("../../retention-rules/calendars/annees-scolaires.toml");
const DATASETS: &[(&str, &str)] = &[
    (
        "demi-pension-departement-bourse.toml",
        include_str!("../datasets/demi-pension-departement-bourse.toml"),
    ),
    (
        "demi-pension-droit-net-departement-bourse.toml",
        include_str!("../datasets/demi-pension-droit-net-departement-bourse.toml"),
    ),
    (
        "dnma-visites-academie-mois-appareil.toml",
        include_str!("../datasets/dnma-visites-academie-mois-appareil.toml"),
    ),
    (
        "dnma-visites-academie-semaine-profil.toml",
        include_str!("../datasets/dnma-visites-academie-semaine-profil.toml"),
    ),
    ("dnma-visites-uai-mois-profil.toml", include_str!("../datasets/dnma-visites-uai-mois-profil.toml")),
    (
        "eleves-departement-mef-sexe-boursier.toml",
        include_str!("../datasets/eleves-departement-mef-sexe-boursier.toml"),
    ),
    ("eleves-uai-niveau-sexe.toml", include_str!("../datasets/eleves-uai-niveau-sexe.toml")),
    ("eleves-uai-niveau.toml", include_str!("../datasets/eleves-uai-niveau.toml")),
];
const POLICIES: &[(&str, &str)] = &[("education.toml", include_str!("../policies/education.toml"))];
const JOBS: &[(&str, &str)] = &[("nightly.toml", include_str!("../definitions/nightly.toml"))];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    store: StoreSection,
    #[serde(default)]
    inbox: PathSection,
    #[serde(default)]
    nomenclatures: PathSection,
    #[serde(default)]
    contracts: PathSection,
    #[serde(default)]
    datasets: DatasetsSection,
    #[serde(default)]
    jobs: PathSection,
    #[serde(default)]
    seda: SedaSection,
    #[serde(default)]
    publish: PublishSection,
    #[serde(default)]
    retention: RetentionSection,
    #[serde(default)]
    elimination: EliminationSection,
    #[serde(default)]
    engine: EngineSection,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct StoreSection {
    path: Option<String>,
    #[serde(default)]
    create: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PathSection {
    path: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DatasetsSection {
    path: Option<String>,
    policies: Option<String>,
    only: Option<Vec<String>>,
    publisher: Option<String>,
    contact: Option<String>,
    key_file: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PublishSection {
    ods: Option<portal::Section>,
    datagouv: Option<portal::Section>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct SedaSection {
    profiles: Option<String>,
    xsd: Option<String>,
    deposit: Option<Section>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RetentionSection {
    rules: Option<String>,
    overlay: Option<String>,
    plans: Option<String>,
    calendar: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EliminationSection {
    #[serde(default)]
    service: String,
    #[serde(default)]
    hierarchy: Vec<String>,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    former_names: Vec<String>,
    #[serde(default)]
    archives: String,
    register: Option<String>,
    cooling_off_days: Option<u16>,
    #[serde(default)]
    cooling_off_on_clock: bool,
    threshold: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EngineSection {
    threads: Option<usize>,
}

/// Where things are, as asked by file and command line.
pub struct Config {
    /// The store.
    pub store: PathBuf,
    /// `run` may create it.
    pub create_store: bool,
    /// Deliveries.
    pub inbox: Option<PathBuf>,
    /// Threads.
    pub threads: usize,
    /// Official schemas of SEDA.
    pub seda_xsd: Option<PathBuf>,
    /// Where packages go.
    pub deposit: Option<Settings>,
    /// Open data portals.
    pub portals: Vec<portal::Settings>,
    bcn: Option<PathBuf>,
    contracts: Option<PathBuf>,
    datasets: Option<PathBuf>,
    policies: Option<PathBuf>,
    /// Datasets that are made; all when none are named.
    published: Option<Vec<String>>,
    /// Who publishes, and where to ask: for datasets that do not say.
    publisher: Option<String>,
    contact: Option<String>,
    perturbation_key: Option<PathBuf>,
    jobs: Option<PathBuf>,
    profiles: Option<PathBuf>,
    rules: Option<PathBuf>,
    overlay: Option<PathBuf>,
    plans: Option<PathBuf>,
    calendar: Option<PathBuf>,
    register: Option<PathBuf>,
    terms: elimination::Terms,
}

/// Records that one execution may eliminate when the configuration does not say.
const THRESHOLD: u64 = 1_000_000;

impl Config {
    /// Reads the configuration: the named file, or `cartulaire.toml` here, or the defaults.
    pub fn load(named: Option<&Path>, store: Option<&Path>, threads: Option<usize>) -> Result<Self> {
        let default = Path::new("cartulaire.toml");
        let file = match named {
            Some(f) => Some(f),
            None => default.exists().then_some(default),
        };
        let raw: ConfigFile = match file {
            Some(f) => toml_file(&f.display().to_string(), &read(f)?)?,
            None => ConfigFile::default(),
        };
        let base = file.and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        let at = |p: Option<String>| p.map(|p| base.join(p));
        let threads = threads.or(raw.engine.threads).unwrap_or(2);
        if !(1..=64).contains(&threads) {
            return Err(Error::Usage("threads : entre 1 et 64".into()));
        }
        Ok(Config {
            store: store.map(Path::to_path_buf).or(at(raw.store.path)).unwrap_or_else(|| "var/store".into()),
            create_store: raw.store.create,
            inbox: at(raw.inbox.path),
            threads,
            bcn: at(raw.nomenclatures.path),
            contracts: at(raw.contracts.path),
            datasets: at(raw.datasets.path),
            policies: at(raw.datasets.policies),
            published: raw.datasets.only,
            publisher: raw.datasets.publisher,
            contact: raw.datasets.contact,
            perturbation_key: at(raw.datasets.key_file),
            jobs: at(raw.jobs.path),
            profiles: at(raw.seda.profiles),
            seda_xsd: at(raw.seda.xsd),
            portals: [(portal::Kind::Ods, raw.publish.ods), (portal::Kind::Datagouv, raw.publish.datagouv)]
                .into_iter()
                .filter_map(|(kind, section)| {
                    let file = file.map(|f| f.display().to_string()).unwrap_or_default();
                    Some(portal::Settings { kind, section: section?, file, base: base.clone() })
                })
                .collect(),
            deposit: raw.seda.deposit.map(|section| Settings {
                section,
                file: file.map(|f| f.display().to_string()).unwrap_or_default(),
                base: base.clone(),
            }),
            rules: at(raw.retention.rules),
            overlay: at(raw.retention.overlay),
            plans: at(raw.retention.plans),
            calendar: at(raw.retention.calendar),
            register: at(raw.elimination.register),
            terms: elimination::Terms {
                service: Service {
                    name: raw.elimination.service,
                    hierarchy: raw.elimination.hierarchy,
                    contact: raw.elimination.contact,
                    former_names: raw.elimination.former_names,
                },
                archives: raw.elimination.archives,
                cooling_off: raw
                    .elimination
                    .cooling_off_days
                    .map_or_else(CoolingOff::default, CoolingOff::configured),
                cooling_off_on_clock: raw.elimination.cooling_off_on_clock,
                threshold: raw.elimination.threshold.unwrap_or(THRESHOLD),
                registry: Registry::default(),
            },
        })
    }

    /// Everything that a run obeys. All faults of all files come together.
    pub fn rulebook(&self) -> Result<Rulebook> {
        let mut faults = Vec::new();
        let contracts = collect(&mut faults, self.contracts());
        let nomenclatures = collect(&mut faults, self.nomenclatures(None));
        let calendar = collect(&mut faults, self.calendar());
        let referential = collect(&mut faults, self.referential());
        let datasets = contracts.as_deref().and_then(|c| collect(&mut faults, self.datasets(c)));
        let profile = collect(&mut faults, self.profile());
        if let (Some(contracts), Some((referential, ..))) = (&contracts, &referential) {
            faults.extend(unknown_events(contracts, referential));
        }
        let elimination = collect(&mut faults, self.elimination());
        collect(&mut faults, self.jobs());
        faults.extend(self.deposit.iter().flat_map(Settings::faults));
        faults.extend(self.portals.iter().flat_map(portal::Settings::faults));
        match (contracts, nomenclatures, calendar, referential, datasets, profile, elimination) {
            (
                Some(contracts),
                Some(nomenclatures),
                Some(calendar),
                Some((referential, rule_texts, plans)),
                Some(datasets),
                Some(profile),
                Some(elimination),
            ) if faults.is_empty() => Ok(Rulebook {
                plans,
                contracts,
                nomenclatures,
                calendar,
                referential,
                rule_texts,
                datasets,
                profile,
                elimination,
            }),
            _ => Err(Error::Config(faults)),
        }
    }

    /// Shipped contracts and the organisation's own, which replace those of the same table.
    pub fn contracts(&self) -> Result<Vec<Contract>> {
        let mut all = Contract::builtin()?;
        if let Some(folder) = &self.contracts {
            let mut faults = Vec::new();
            let mut own = Vec::new();
            for (file, text) in toml_files(folder)? {
                own.extend(collect(&mut faults, Contract::parse(&file, &text)));
            }
            if !faults.is_empty() {
                return Err(Error::Config(faults));
            }
            check_names(&own)?;
            all.retain(|c| !own.iter().any(|o| o.name == c.name));
            // First: the organisation's conventions on names win over the shipped ones.
            own.append(&mut all);
            all = own;
        }
        cartulaire_engine::person::Spaces::new(&all)?;
        Ok(all)
    }

    /// BCN tables of the configured folder: all, or those wanted.
    pub fn nomenclatures(&self, wanted: Option<&BTreeSet<&str>>) -> Result<Nomenclatures> {
        self.bcn.as_deref().map_or_else(|| Ok(Nomenclatures::default()), |f| nomenclatures(f, wanted))
    }

    /// School years.
    pub fn calendar(&self) -> Result<Calendar> {
        one(self.calendar.as_deref(), "annees-scolaires.toml", CALENDAR)
            .and_then(|(f, t)| Calendar::load(&f, &t))
    }

    fn referential(&self) -> Result<(Referential, RuleTexts, Vec<Plan>)> {
        let files = match &self.rules {
            Some(path) => rule_files(path)?,
            None => SHIPPED.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect(),
        };
        let shipped = Referential::load(&files)?;
        let plans = match &self.plans {
            Some(folder) => toml_files(folder)?,
            None => SHIPPED_PLANS.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect(),
        };
        let plans = load_plans(plans.iter().map(|(f, t)| (f.as_str(), t.as_str())))?;
        let faults = shipped.missing_plans(&plans).map(|rule| ConfigFault {
            file: "retention-rules".into(),
            line: 0,
            column: 0,
            message: format!(
                "la règle {} nomme le plan de tri « {} », qu'aucun fichier de plans ne décrit : ajoutez-le",
                rule.id,
                rule.tri.as_deref().unwrap_or_default()
            ),
        });
        let faults: Vec<ConfigFault> = faults.collect();
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        // Where the files are on this machine is nobody's business later.
        let named = |file: &str| file.rsplit(['/', '\\']).next().unwrap_or(file).to_owned();
        let mut texts =
            RuleTexts { files: files.into_iter().map(|(f, t)| (named(&f), t)).collect(), overlay: None };
        let referential = match &self.overlay {
            Some(path) => {
                let (file, text) = (path.display().to_string(), read(path)?);
                let verified = shipped.overlay(&file, &text)?;
                texts.overlay = Some((named(&file), text));
                verified
            }
            None => shipped,
        };
        Ok((referential, texts, plans))
    }

    /// Service, archives, delays and signatories of the eliminations.
    pub fn elimination(&self) -> Result<elimination::Terms> {
        let registry = match &self.register {
            Some(path) => Registry::load(&path.display().to_string(), &read(path)?)?,
            None => Registry::default(),
        };
        Ok(elimination::Terms { registry, ..self.terms.clone() })
    }

    fn datasets(&self, contracts: &[Contract]) -> Result<Vec<Dataset>> {
        let mut faults = Vec::new();
        let mut all: Vec<Dataset> = Vec::new();
        let secret = self.perturbation_key.as_deref().map(perturbation_key).transpose()?;
        let policies = Policies::load(&self.own_or_shipped(self.policies.as_deref(), POLICIES)?)?;
        for (file, text) in self.own_or_shipped(self.datasets.as_deref(), DATASETS)? {
            if let Some(mut dataset) = collect(&mut faults, Dataset::load(&file, &text, contracts, &policies))
            {
                dataset.metadata.signed(self.publisher.as_ref(), self.contact.as_ref());
                dataset.secret = secret;
                all.retain(|d| d.name != dataset.name);
                all.push(dataset);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        if let Some(wanted) = &self.published {
            let known: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
            if let Some(unknown) = wanted.iter().find(|w| !known.contains(&w.as_str())) {
                let known = known.join(", ");
                return Err(Error::Usage(format!(
                    "[datasets] only : jeu inconnu « {unknown} » ; jeux : {known}"
                )));
            }
            all.retain(|d| wanted.contains(&d.name));
        }
        // Told before the night, not in the middle of it.
        if let Some(dataset) = all.iter().find(|d| d.needs_key() && secret.is_none()) {
            return Err(Error::Usage(format!(
                "jeu « {} » : l'arrondi et le bruit se tirent avec une clé secrète : donnez [datasets] key_file",
                dataset.name
            )));
        }
        Ok(all)
    }

    /// Shipped descriptions of packages; a file of the organisation replaces that of the same name.
    pub fn profile(&self) -> Result<Profile> {
        let own = self.profiles.as_deref().map_or_else(|| Ok(Vec::new()), toml_files)?;
        let name = |f: &str| Path::new(f).file_name().map(|n| n.to_string_lossy().into_owned());
        let taken: BTreeSet<_> = own.iter().filter_map(|(f, _)| name(f)).collect();
        let shipped = SHIPPED_PROFILES.into_iter().filter(|(f, _)| !taken.contains(*f));
        let files: Vec<(&str, &str)> =
            own.iter().map(|(f, t)| (f.as_str(), t.as_str())).chain(shipped).collect();
        Profile::load(files)
    }

    /// Job definitions.
    pub fn jobs(&self) -> Result<Vec<Job>> {
        let mut faults = Vec::new();
        let mut all: Vec<Job> = Vec::new();
        for (file, text) in self.own_or_shipped(self.jobs.as_deref(), JOBS)? {
            if let Some(job) = collect(&mut faults, Job::load(&file, &text)) {
                all.retain(|j| j.name != job.name);
                all.push(job);
            }
        }
        if faults.is_empty() { Ok(all) } else { Err(Error::Config(faults)) }
    }

    /// Shipped files, then those of a folder: the last of a name wins.
    fn own_or_shipped(
        &self,
        folder: Option<&Path>,
        shipped: &[(&str, &str)],
    ) -> Result<Vec<(String, String)>> {
        let mut all: Vec<(String, String)> =
            shipped.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
        if let Some(folder) = folder {
            all.extend(toml_files(folder)?);
        }
        Ok(all)
    }
}

/// Bytes of the largest nomenclature: a bigger file in the folder is something else.
const NOMENCLATURE_BYTES_MAX: u64 = 256 << 20;

/// Files of a folder that may be BCN tables, in the order of their names.
pub fn nomenclature_files(folder: &Path, wanted: Option<&BTreeSet<&str>>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(table) = table_of(&name) else { continue };
        if !path.is_file() || wanted.is_some_and(|w| !w.contains(table.as_str())) {
            continue;
        }
        if std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len() > NOMENCLATURE_BYTES_MAX {
            tracing::warn!(file = %name, "too large for a nomenclature");
            continue;
        }
        files.push((name, std::fs::read(&path).map_err(|e| Error::io(&path, e))?));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

/// BCN tables of a folder; what cannot be read as a table is told in the log and left out.
pub fn nomenclatures(folder: &Path, wanted: Option<&BTreeSet<&str>>) -> Result<Nomenclatures> {
    let files = nomenclature_files(folder, wanted)?;
    let (tables, unreadable) = Nomenclatures::from_files(&files);
    for u in unreadable {
        tracing::warn!(file = %u.file, reason = %u.reason, "not a nomenclature");
    }
    Ok(tables)
}

/// Events of contracts that no rule knows: misspelled, they would leave records undated for ever.
fn unknown_events(contracts: &[Contract], referential: &Referential) -> Vec<ConfigFault> {
    let events = contracts.iter().flat_map(|c| c.events.iter().map(move |e| (c, e)));
    let unknown = events.filter(|(_, e)| !referential.events.contains_key(&e.event));
    unknown
        .map(|(contract, event)| ConfigFault {
            file: format!("contrat {}", contract.name),
            line: 0,
            column: 0,
            message: format!(
                "[[event]] « {} » : aucun événement de ce nom dans les règles ; voyez evenements.toml",
                event.event
            ),
        })
        .collect()
}

/// Rules of a folder, or of one file with the shipped events.
pub fn rule_files(path: &Path) -> Result<Vec<(String, String)>> {
    if path.is_dir() {
        return toml_files(path);
    }
    let events = SHIPPED.iter().filter(|(name, _)| name.starts_with("evenements"));
    let own = [Ok((path.display().to_string(), read(path)?))];
    events.map(|(f, t)| Ok(((*f).to_owned(), (*t).to_owned()))).chain(own).collect()
}

/// A configuration file; a missing one is a fault of the configuration.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::config(ConfigFault {
            file: path.display().to_string(),
            line: 0,
            column: 0,
            message: format!("illisible : {e}"),
        })
    })
}

fn one(path: Option<&Path>, name: &str, embedded: &str) -> Result<(String, String)> {
    match path {
        Some(p) => Ok((p.display().to_string(), read(p)?)),
        None => Ok((name.to_owned(), embedded.to_owned())),
    }
}

fn toml_files(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| Error::io(folder, e))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    paths.into_iter().map(|p| Ok((p.display().to_string(), read(&p)?))).collect()
}

/// Keeps the faults of a configuration file and goes on to the next.
fn collect<T>(faults: &mut Vec<ConfigFault>, result: Result<T>) -> Option<T> {
    match result {
        Ok(v) => Some(v),
        Err(Error::Config(mut f)) => {
            faults.append(&mut f);
            None
        }
        Err(other) => {
            faults.push(ConfigFault {
                file: "configuration".into(),
                line: 0,
                column: 0,
                message: other.to_string(),
            });
            None
        }
    }
}

/// Bytes of a key, at least.
const KEY_BYTES: usize = 32;

/// The key from which changed figures are drawn, from a file that its owner alone reads.
fn perturbation_key(path: &Path) -> Result<[u8; 32]> {
    private(path)?;
    let bytes = std::fs::read(path).at(path)?;
    if bytes.len() < KEY_BYTES {
        return Err(Error::Usage(format!(
            "« {} » est trop court pour une clé : {KEY_BYTES} octets au moins (`head -c 32 /dev/urandom > FICHIER`)",
            path.display()
        )));
    }
    Ok(*Digest::of(&bytes).as_bytes())
}

//! Profiles from their files: every fault with its place, in one pass.

use super::tree::{Tree, UnitFile};
use super::{Agencies, ClassProfile, Parties, Producers, Profile};
use crate::contract::{fault_at, toml_file};
use crate::error::{ConfigFault, Error, Result};
use crate::seda::model::{Keyword, LegalStatus, Version};
use crate::seda::profile::split::Limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// File of what all classes share.
const COMMON: &str = "defaut.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommonFile {
    #[serde(default)]
    version: Version,
    archival_agreement: String,
    archival_profile: Option<String>,
    acquisition: Option<String>,
    legal_status: Option<LegalStatus>,
    hold_rule: Option<Spanned<String>>,
    agencies: Agencies,
    limits: Spanned<Limits>,
    unit: Vec<Spanned<UnitFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassFile {
    record_class: Spanned<String>,
    title: Spanned<String>,
    description: String,
    appraisal_rule: Spanned<String>,
    access_rule: Option<Spanned<String>>,
    hold_rule: Option<Spanned<String>>,
    #[serde(default)]
    keywords: Vec<Spanned<Keyword>>,
    producers: Option<Spanned<Producers>>,
    #[serde(default)]
    siard: bool,
    archival_agreement: Option<String>,
    archival_profile: Option<String>,
    agencies: Option<Agencies>,
    unit: Option<Vec<Spanned<UnitFile>>>,
}

/// Faults of one file.
struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    list: Vec<ConfigFault>,
}

impl Faults<'_> {
    fn add(&mut self, at: usize, message: String) {
        self.list.push(fault_at(self.file, self.text, at, message));
    }

    fn code(&mut self, code: Option<Spanned<String>>) -> Option<String> {
        let code = code?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if code.get_ref().is_empty() || !code.get_ref().bytes().all(plain) {
            self.add(
                code.span().start,
                format!(
                    "code de règle « {} » : lettres sans accent, chiffres, « - », « _ » et « . »",
                    code.get_ref()
                ),
            );
        }
        Some(code.into_inner())
    }

    fn parties(&mut self, p: &Parties) {
        let a = &p.agencies;
        for (name, value) in [
            ("archival_agreement", &p.archival_agreement),
            ("archival", &a.archival),
            ("transferring", &a.transferring),
            ("originating", &a.originating),
            ("submission", &a.submission),
        ] {
            if value.trim().is_empty() {
                // An empty text has no better place than its key.
                let at = self.text.find(name).unwrap_or(0);
                self.add(at, format!("« {name} » est vide : le service d'archives refuserait le paquet"));
            }
        }
    }
}

impl Profile {
    /// Reads the profiles of a folder, as (file name, text): `defaut.toml` and one file a class.
    ///
    /// # Errors
    /// Every fault of every file with its place.
    pub fn load<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)> + Clone) -> Result<Self> {
        let Some((file, text)) = files.clone().into_iter().find(|(f, _)| is_common(f)) else {
            return Err(Error::Usage(format!(
                "le dossier des profils SEDA n'a pas de « {COMMON} » : il dit les services, l'accord de versement et le plan de classement"
            )));
        };
        let raw: CommonFile = toml_file(file, text)?;
        let mut faults = Faults { file, text, list: Vec::new() };
        let parties = Parties {
            archival_agreement: raw.archival_agreement,
            archival_profile: raw.archival_profile,
            acquisition: raw.acquisition,
            legal_status: raw.legal_status,
            agencies: raw.agencies,
        };
        faults.parties(&parties);
        if raw.limits.get_ref().bytes == 0 || raw.limits.get_ref().objects == 0 {
            faults.add(raw.limits.span().start, "un paquet admet au moins un octet et un fichier".into());
        }
        let hold_rule = faults.code(raw.hold_rule);
        let tree = Tree::read(file, text, raw.unit, &mut faults.list);
        let mut list = faults.list;
        let mut classes: BTreeMap<String, ClassProfile> = BTreeMap::new();
        for (file, text) in files.into_iter().filter(|(f, _)| !is_common(f)) {
            let raw: ClassFile = match toml_file(file, text) {
                Ok(raw) => raw,
                Err(Error::Config(mut f)) => {
                    list.append(&mut f);
                    continue;
                }
                Err(e) => return Err(e),
            };
            let mut faults = Faults { file, text, list: Vec::new() };
            if classes.contains_key(raw.record_class.get_ref()) {
                faults.add(
                    raw.record_class.span().start,
                    format!("la classe « {} » a déjà un profil", raw.record_class.get_ref()),
                );
            }
            let common = (hold_rule.clone(), &parties, &tree);
            let class = class(raw, common, &mut faults);
            list.append(&mut faults.list);
            classes.insert(class.record_class.clone(), class);
        }
        if !list.is_empty() {
            return Err(Error::Config(list));
        }
        Ok(Profile { version: raw.version, limits: raw.limits.into_inner(), classes })
    }
}

fn is_common(file: &str) -> bool {
    file.rsplit(['/', '\\']).next() == Some(COMMON)
}

fn class(
    raw: ClassFile,
    (hold_rule, parties, tree): (Option<String>, &Parties, &Tree),
    faults: &mut Faults<'_>,
) -> ClassProfile {
    if raw.title.get_ref().trim().is_empty() {
        faults.add(
            raw.title.span().start,
            "un titre est obligatoire : les services d'archives refusent une unité sans titre".into(),
        );
    }
    for word in raw.keywords.iter().filter(|k| k.get_ref().content.trim().is_empty()) {
        faults.add(word.span().start, "mot-clé vide".into());
    }
    if let Some(p) = &raw.producers
        && p.get_ref().agencies.values().any(|a| a.trim().is_empty())
    {
        faults.add(p.span().start, "un producteur n'a pas d'identifiant au service d'archives".into());
    }
    if let Some(p) = raw.producers.as_ref().filter(|_| raw.siard) {
        faults.add(p.span().start, "siard = true et [producers] ne vont pas ensemble : une archive SIARD contient les lignes de tous les producteurs".into());
    }
    let parties = Parties {
        archival_agreement: raw.archival_agreement.unwrap_or_else(|| parties.archival_agreement.clone()),
        archival_profile: raw.archival_profile.or_else(|| parties.archival_profile.clone()),
        agencies: raw.agencies.unwrap_or_else(|| parties.agencies.clone()),
        ..parties.clone()
    };
    faults.parties(&parties);
    ClassProfile {
        title: raw.title.into_inner(),
        description: raw.description,
        appraisal_rule: faults.code(Some(raw.appraisal_rule)).unwrap_or_default(),
        access_rule: faults.code(raw.access_rule),
        hold_rule: faults.code(raw.hold_rule).or(hold_rule),
        keywords: raw.keywords.into_iter().map(Spanned::into_inner).collect(),
        producers: raw.producers.map(Spanned::into_inner),
        siard: raw.siard,
        parties,
        tree: raw
            .unit
            .map_or_else(|| tree.clone(), |u| Tree::read(faults.file, faults.text, u, &mut faults.list)),
        record_class: raw.record_class.into_inner(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SHIPPED;
    use super::*;

    fn with(file: &str, from: &str, to: &str) -> Vec<(String, String)> {
        let change = |f: &str, t: &str| {
            if f != file {
                return t.to_owned();
            }
            assert!(t.contains(from), "{file} has no {from}");
            t.replacen(from, to, 1)
        };
        SHIPPED.iter().map(|(f, t)| ((*f).to_owned(), change(f, t))).collect()
    }

    #[test]
    fn the_shipped_profiles_describe_thirteen_classes() {
        let profile = Profile::load(SHIPPED).unwrap();
        assert_eq!(profile.classes.len(), 13);
        assert_eq!(profile.version, Version::V2_2);
        assert!(profile.classes.values().all(|c| c.tree.0.len() >= 3 && !c.keywords.is_empty()));
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        let table = [
            ("defaut.toml", "[agencies]\n", "[agencies]\nproducer = \"x\"\n", "« producer »"),
            ("defaut.toml", "{annee_scolaire}", "{annee}", "{annee}"),
            ("defaut.toml", "{titre}", "{titre_table}", "que dans une unité par table"),
            ("defaut.toml", "\"lineage\"", "\"lineage\", \"lineage\"", "deux fois"),
            ("defaut.toml", ", \"lineage\"", "", "ne range pas : lineage"),
            ("defaut.toml", "\"schema\", ", "\"schema\", \"siard\", ", "hors des unités par table"),
            ("defaut.toml", "in = \"dossier\"", "in = \"nulle-part\"", "plus haut"),
            ("defaut.toml", "in = \"dossier\"\n", "", "déjà une racine"),
            ("defaut.toml", "archival = \"AD-EXEMPLE\"", "archival = \" \"", "« archival » est vide"),
            ("defaut.toml", "bytes = ", "bytes = 0 # ", "au moins un octet"),
            ("vie-conseils.toml", "title = \"", "title = \"\" # ", "titre est obligatoire"),
            ("vie-conseils.toml", "\"VIE-CONSEILS\"", "\"é\"", "code de règle"),
            (
                "vie-conseils.toml",
                "record_class = \"vie-conseils\"",
                "record_class = \"vie-courrier\"",
                "déjà un profil",
            ),
            ("vie-conseils.toml", "content = \"", "content = \"\" # ", "TOML"),
        ];
        for (file, from, to, word) in table {
            let files = with(file, from, to);
            let Err(Error::Config(faults)) =
                Profile::load(files.iter().map(|(f, t)| (f.as_str(), t.as_str())))
            else {
                panic!("{file} : {from} → {to} accepted")
            };
            assert!(faults.iter().any(|f| f.message.contains(word) && f.line > 0), "{word} : {faults:?}");
        }
    }

    #[test]
    fn a_folder_without_the_common_file_is_refused() {
        assert!(matches!(Profile::load([("a.toml", "")]), Err(Error::Usage(m)) if m.contains("defaut.toml")));
    }
}

//! The controls of an archive in French: what failed, what to do.

use super::read::{Event, Reply};
use std::collections::BTreeMap;

/// One cause of a refusal or of a remark.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Code of the archive, with its cause when it gave one.
    pub code: String,
    /// `KO`, `WARNING` or `FATAL`, as the archive says.
    pub outcome: String,
    /// What was controlled and how it failed.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// XML identifiers concerned, at most 20.
    pub subjects: Vec<String>,
    /// How many times it was told.
    pub count: u64,
}

/// Codes by prefix: the longest that fits wins.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "SANITY_CHECK_SIP",
        "l'antivirus de l'archive a rejeté le paquet",
        "analysez les fichiers déposés, retirez celui qui est infecté, puis préparez un nouveau paquet",
    ),
    (
        "CHECK_CONTAINER",
        "le format du conteneur n'est pas reconnu (zip, tar, tar.gz, tar.bz2)",
        "préparez de nouveau le paquet en zip et vérifiez qu'il n'a pas été altéré pendant le transfert",
    ),
    (
        "MANIFEST_FILE_NAME_CHECK",
        "le bordereau est absent de la racine du paquet ou mal nommé",
        "le bordereau doit être à la racine et s'appeler manifest.xml",
    ),
    (
        "MANIFEST_DIGEST_CHECK",
        "l'empreinte du bordereau n'est pas celle annoncée à l'envoi",
        "le paquet a été altéré en chemin : vérifiez l'empreinte du paquet local, puis préparez un nouveau paquet",
    ),
    ("CHECK_SEDA.NO_FILE", "aucun bordereau n'a été trouvé dans le paquet", "préparez de nouveau le paquet"),
    (
        "CHECK_SEDA.NOT_XML_FILE",
        "le bordereau n'est pas un fichier XML bien formé",
        "préparez de nouveau le paquet et vérifiez-le avec `cartulaire seda check`",
    ),
    (
        "CHECK_SEDA.NOT_XSD_VALID",
        "le bordereau ne respecte pas le schéma SEDA de sa version",
        "vérifiez-le avec `cartulaire seda check --xsd` : la ligne fautive y est donnée",
    ),
    (
        "CHECK_SEDA.CONTAINER_FORMAT.DIRECTORY",
        "le paquet a plus d'un dossier, ou un dossier qui ne s'appelle pas content",
        "ne gardez que le bordereau et le dossier content",
    ),
    (
        "CHECK_SEDA.CONTAINER_FORMAT.FILE",
        "le paquet a d'autres fichiers que le bordereau à sa racine",
        "retirez-les de la racine (notice, empreintes…)",
    ),
    ("CHECK_SEDA", "le contrôle du bordereau a échoué", "vérifiez le paquet avec `cartulaire seda check`"),
    (
        "CHECK_HEADER.CHECK_AGENT",
        "le service producteur ou le service versant est absent ou inconnu de l'archive",
        "corrigez l'identifiant dans le profil SEDA ou faites déclarer le service par l'archive",
    ),
    (
        "CHECK_AGENT",
        "le service producteur ou le service versant est absent ou inconnu de l'archive",
        "corrigez l'identifiant dans le profil SEDA ou faites déclarer le service par l'archive",
    ),
    (
        "CHECK_HEADER.CHECK_CONTRACT_INGEST",
        "le contrat d'entrée est absent, inconnu, inactif ou non autorisé pour votre application",
        "corrigez ArchivalAgreement dans le profil SEDA ou demandez à l'archive d'activer le contrat",
    ),
    (
        "CHECK_CONTRACT_INGEST",
        "le contrat d'entrée est absent, inconnu, inactif ou non autorisé pour votre application",
        "corrigez ArchivalAgreement dans le profil SEDA ou demandez à l'archive d'activer le contrat",
    ),
    (
        "CHECK_HEADER.CHECK_IC_AP_RELATION",
        "le profil d'archivage du bordereau n'est pas celui du contrat d'entrée",
        "donnez dans le profil SEDA le même ArchivalProfile que celui du contrat, ou aucun si le contrat n'en a pas",
    ),
    (
        "CHECK_IC_AP_RELATION",
        "le profil d'archivage du bordereau n'est pas celui du contrat d'entrée",
        "donnez dans le profil SEDA le même ArchivalProfile que celui du contrat, ou aucun si le contrat n'en a pas",
    ),
    (
        "CHECK_HEADER.CHECK_ARCHIVEPROFILE",
        "le bordereau ne respecte pas le profil d'archivage",
        "comparez le bordereau au profil d'archivage avec le service d'archives",
    ),
    (
        "CHECK_ARCHIVEPROFILE",
        "le bordereau ne respecte pas le profil d'archivage",
        "comparez le bordereau au profil d'archivage avec le service d'archives",
    ),
    (
        "CHECK_HEADER",
        "l'en-tête du bordereau a été refusé",
        "vérifiez services, contrat et profil d'archivage dans le profil SEDA",
    ),
    (
        "CHECK_DATAOBJECTPACKAGE.CHECK_MANIFEST_DATAOBJECT_VERSION",
        "l'usage d'un objet n'est pas permis",
        "les usages sont BinaryMaster, PhysicalMaster, Dissemination, Thumbnail et TextContent, suivis de _ et d'un numéro",
    ),
    (
        "CHECK_MANIFEST_DATAOBJECT_VERSION",
        "l'usage d'un objet n'est pas permis",
        "les usages sont BinaryMaster, PhysicalMaster, Dissemination, Thumbnail et TextContent, suivis de _ et d'un numéro",
    ),
    (
        "CHECK_MANIFEST_OBJECTNUMBER",
        "le nombre d'objets déclarés n'est pas celui des fichiers du paquet, ou une Uri ne désigne pas un seul fichier",
        "préparez de nouveau le paquet : il lui manque un fichier ou il en a un de trop",
    ),
    (
        "CHECK_MANIFEST_LOOP",
        "des unités se contiennent l'une l'autre",
        "corrigez le plan de classement du profil SEDA",
    ),
    (
        "CHECK_MANIFEST",
        "la structure du bordereau est incohérente (références, usages ou rattachements)",
        "vérifiez le paquet avec `cartulaire seda check`",
    ),
    (
        "CHECK_CONSISTENCY",
        "un objet ou un groupe d'objets n'est rattaché à aucune unité",
        "préparez de nouveau le paquet et vérifiez-le avec `cartulaire seda check`",
    ),
    (
        "CHECK_DATAOBJECTPACKAGE",
        "le contenu du bordereau a été refusé",
        "vérifiez le paquet avec `cartulaire seda check`",
    ),
    (
        "CHECK_ATTACHEMENT",
        "l'unité ou le groupe de rattachement n'existe pas ou vient d'une entrée qui a échoué",
        "vérifiez l'identifiant de rattachement avec le service d'archives",
    ),
    ("CHECK_DIGEST.EMPTY", "un objet n'a pas d'empreinte", "préparez de nouveau le paquet"),
    (
        "CHECK_DIGEST",
        "l'empreinte d'un objet n'est pas celle du bordereau",
        "le fichier a été altéré : vérifiez l'empreinte du paquet local, puis préparez un nouveau paquet",
    ),
    (
        "CHECK_OBJECT_SIZE",
        "la taille d'un objet n'est pas celle du bordereau",
        "comparez le paquet à son certificat de dépôt : l'archive accepte l'objet mais la taille est fausse",
    ),
    (
        "OG_OBJECTS_FORMAT_CHECK.UNCHARTED",
        "le format d'un objet n'est pas dans le référentiel de l'archive",
        "convertissez le fichier ou faites ajouter le format par l'archive",
    ),
    (
        "OG_OBJECTS_FORMAT_CHECK.REJECTED_FORMAT",
        "le format d'un objet n'est pas permis par le contrat d'entrée",
        "convertissez le fichier (CSV, texte, JSON, PDF/A…) ou faites modifier le contrat",
    ),
    (
        "OG_OBJECTS_FORMAT_CHECK",
        "le format d'un objet n'est pas identifié ou n'est pas celui déclaré",
        "vérifiez l'extension et le format du fichier",
    ),
    (
        "CHECK_OBJECT_GROUP_SCHEMA",
        "les métadonnées d'un groupe d'objets ne respectent pas l'ontologie de l'archive",
        "retirez les champs que l'archive ne connaît pas",
    ),
    (
        "CHECK_UNIT_SCHEMA",
        "les métadonnées d'une unité sont refusées (titre vide, date mal écrite, fin avant début…)",
        "corrigez le titre et les dates de l'unité dans le profil SEDA",
    ),
    (
        "CHECK_ARCHIVE_UNIT_PROFILE",
        "une unité ne respecte pas son profil d'unité archivistique",
        "vérifiez le profil d'unité avec le service d'archives",
    ),
    (
        "CHECK_CLASSIFICATION_LEVEL",
        "le niveau de classification d'une unité n'est pas permis sur cette plateforme",
        "ne déposez pas ces données ici : saisissez le service d'archives",
    ),
    (
        "UNITS_RULES_COMPUTE.UNKNOWN",
        "une règle de gestion n'est pas dans le référentiel de l'archive",
        "corrigez le code de la règle dans le profil SEDA ou faites-la ajouter par l'archive",
    ),
    (
        "UNITS_RULES_COMPUTE.CONSISTENCY",
        "une règle de gestion n'est pas de la bonne catégorie",
        "corrigez le code de la règle dans le profil SEDA",
    ),
    (
        "UNITS_RULES_COMPUTE.REF_INCONSISTENCY",
        "une règle à ne pas hériter n'est pas de la bonne catégorie",
        "corrigez RefNonRuleId dans le profil SEDA",
    ),
    (
        "UNITS_RULES_COMPUTE",
        "les échéances des règles de gestion n'ont pas pu être calculées",
        "vérifiez les règles et leurs dates de départ dans le profil SEDA",
    ),
    (
        "STP_STORAGE_AVAILABILITY_CHECK",
        "l'archive n'a pas assez de place ou son stockage est indisponible",
        "prévenez le service d'archives ; préparez un nouveau paquet quand il a rétabli le service",
    ),
    (
        "STP_SANITY_CHECK_SIP",
        "les contrôles préalables du paquet ont échoué",
        "voyez la cause détaillée, ou analysez le paquet avec `cartulaire seda check`",
    ),
    (
        "STP_UPLOAD_SIP",
        "la réception du paquet a échoué (nom de fichier avec un caractère non permis, ou envoi coupé)",
        "vérifiez les noms des fichiers, puis préparez un nouveau paquet",
    ),
    (
        "ROLL_BACK",
        "l'archive a annulé l'entrée",
        "voyez les autres causes : rien n'a été conservé par l'archive",
    ),
];

/// Sentence and remedy of a code.
fn known(code: &str) -> Option<(&'static str, &'static str)> {
    let fits =
        |prefix: &str| code.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    KNOWN
        .iter()
        .filter(|(prefix, ..)| fits(prefix))
        .max_by_key(|(prefix, ..)| prefix.len())
        .map(|(_, a, b)| (*a, *b))
}

/// The best known tail of a code: `STP_INGEST_CONTROL_SIP.CHECK_SEDA.KO` is also `CHECK_SEDA.KO`.
fn lookup(code: &str) -> Option<(&'static str, &'static str)> {
    let mut rest = code;
    loop {
        if let Some(found) = known(rest) {
            return Some(found);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// The causes that a reply gives, each once, most precise code first used, in order of code.
pub fn explain(reply: &Reply) -> Vec<Explanation> {
    let mut causes: BTreeMap<(String, String), Explanation> = BTreeMap::new();
    for event in reply.events.iter().filter(|e| failed(e)) {
        let code = clean(if event.detail.is_empty() { &event.code } else { &event.detail });
        let outcome = clean(&event.outcome);
        let (cause, remedy) = lookup(&code).map_or_else(
            || {
                let cause = match clean(&event.message).as_str() {
                    "" => "contrôle non documenté".to_owned(),
                    told => format!("l'archive dit : « {told} »"),
                };
                (cause, "demandez au service d'archives ce que veut dire ce code".to_owned())
            },
            |(cause, remedy)| (cause.to_owned(), remedy.to_owned()),
        );
        let entry = causes.entry((code.clone(), outcome.clone())).or_insert(Explanation {
            code,
            outcome,
            cause,
            remedy,
            subjects: Vec::new(),
            count: 0,
        });
        entry.count += 1;
        if let Some(subject) =
            event.subject.as_ref().filter(|s| entry.subjects.len() < 20 && !entry.subjects.contains(s))
        {
            entry.subjects.push(subject.clone());
        }
    }
    causes.into_values().collect()
}

fn failed(event: &Event) -> bool {
    matches!(event.outcome.trim().to_ascii_uppercase().as_str(), "KO" | "WARNING" | "FATAL")
}

/// A foreign text, made fit for a terminal and short.
fn clean(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seda::reply::{Limits, Version, read};

    fn reply(events: &str) -> Reply {
        let xml = format!(
            "<ArchiveTransferReply xmlns=\"{}\"><ReplyCode>KO</ReplyCode><Operation>{events}</Operation><MessageRequestIdentifier>S</MessageRequestIdentifier></ArchiveTransferReply>",
            Version::V2_2.namespace()
        );
        read(xml.as_bytes(), Limits::default()).unwrap()
    }

    fn event(code: &str, outcome: &str) -> String {
        format!(
            "<Event><EventTypeCode>X</EventTypeCode><Outcome>{outcome}</Outcome><OutcomeDetail>{code}</OutcomeDetail><OutcomeDetailMessage>Refus\u{1b}[31m</OutcomeDetailMessage></Event>"
        )
    }

    #[test]
    fn each_code_finds_its_most_precise_sentence() {
        for (code, word) in [
            ("CHECK_SEDA.NOT_XSD_VALID.KO", "schéma SEDA"),
            ("CHECK_SEDA.KO", "contrôle du bordereau"),
            ("STP_INGEST_CONTROL_SIP.CHECK_SEDA.CONTAINER_FORMAT.FILE.KO", "à sa racine"),
            ("CHECK_DIGEST.INVALID.KO", "empreinte d'un objet"),
            ("UNITS_RULES_COMPUTE.UNKNOWN.KO", "référentiel"),
            ("CHECK_HEADER.CHECK_CONTRACT_INGEST.INACTIVE.KO", "contrat d'entrée"),
        ] {
            let causes = explain(&reply(&event(code, "KO")));
            assert!(causes[0].cause.contains(word), "{code}: {}", causes[0].cause);
        }
    }

    #[test]
    fn an_unknown_code_tells_what_the_archive_says_without_control_characters() {
        let causes = explain(&reply(&event("CHECK_SEDAN.KO", "KO").replace('\u{1b}', "&#27;")));
        assert_eq!(causes[0].cause, "l'archive dit : « Refus [31m »");
    }

    #[test]
    fn what_succeeded_is_left_out_and_repeats_are_counted() {
        let events =
            [event("CHECK_SEDA.OK", "OK"), event("CHECK_DIGEST.INVALID.KO", "KO").repeat(30)].concat();
        let causes = explain(&reply(&events));
        assert_eq!((causes.len(), causes[0].count), (1, 30));
    }

    #[test]
    fn every_known_code_has_a_cause_and_a_remedy_and_is_written_once() {
        let codes: std::collections::BTreeSet<_> = KNOWN.iter().map(|(code, ..)| code).collect();
        assert_eq!(codes.len(), KNOWN.len());
        assert!(
            KNOWN
                .iter()
                .all(|(_, cause, remedy)| !cause.is_empty() && !remedy.is_empty() && !remedy.ends_with('.'))
        );
    }
}

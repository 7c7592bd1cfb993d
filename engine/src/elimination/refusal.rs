//! What an execution refuses, whoever asks: one pure function over the facts. No fact turns a
//! refusal off; what would be forced is proposed anew.

use super::exported::ListRef;
use crate::error::Error;
use crate::french::{count, thousands};
use chrono::NaiveDate;
use serde::Serialize;

/// Why something is not done, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// French sentence.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused { code: refusal.code, message: refusal.message }
    }
}

/// The visa in hand.
#[derive(Debug, Clone)]
pub struct VisaFacts {
    /// List that it binds.
    pub list: ListRef,
    /// Day of its signature.
    pub signed_on: NaiveDate,
}

/// Last day on which something that the visa relies on was changed, as the ledger knows it.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A rule, its verification or the calendar.
    pub rules: Option<NaiveDate>,
    /// A hold placed or lifted.
    pub holds: Option<NaiveDate>,
    /// The records of the list, or the list itself.
    pub list: Option<NaiveDate>,
}

/// Counts, by the analysis made again now, among the records to eliminate.
#[derive(Debug, Clone)]
pub struct RecordFacts {
    /// All of them.
    pub total: u64,
    /// Last due day; `None` when there is none.
    pub latest_due: Option<NaiveDate>,
    /// Without a known due day.
    pub undated: u64,
    /// Under a hold.
    pub held: u64,
    /// Of a dossier still open.
    pub open: u64,
    /// Whose rules contradict each other.
    pub conflict: u64,
    /// With children that are kept.
    pub children_kept: u64,
}

/// Sort final of a row, as far as it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFate {
    /// Elimination.
    Eliminate,
    /// Nothing says.
    Missing,
    /// Conservation.
    Conserve,
    /// Conservation, and the archive holds these records: the local copy goes.
    Archived,
    /// Conservation, and nothing proves that the archive holds these records.
    ArchiveUnproved,
    /// Tri, whose plan has not run.
    TriNotRun,
    /// Tri done; the sample has no positive reply from the archives yet.
    TriSampleHere,
    /// Tri done; the archives have acknowledged the sample.
    TriSampleTransferred,
}

/// A row to execute.
#[derive(Debug, Clone)]
pub struct RowFacts {
    /// Order number.
    pub order: usize,
    /// Sort final.
    pub fate: RowFate,
    /// Whether the visa grants this row.
    pub granted: bool,
}

/// A rule that the decisions rest on.
#[derive(Debug, Clone)]
pub struct RuleFacts {
    /// Identifier.
    pub id: String,
    /// Day from which it counts as verified.
    pub verified_on: Option<NaiveDate>,
    /// First day on which it holds.
    pub effective_from: NaiveDate,
    /// Last day.
    pub effective_to: Option<NaiveDate>,
    /// Whether its duration is below the minimum of its class.
    pub below_minimum: bool,
}

/// Who did what.
#[derive(Debug, Clone)]
pub struct Persons {
    /// Proposed the list.
    pub requester: String,
    /// Approved its execution; `None` when nobody did.
    pub approver: Option<String>,
    /// Gave the visa.
    pub archives: String,
    /// Executes.
    pub executor: String,
}

/// All that an execution is judged on, gathered in the transaction that starts it.
#[derive(Debug, Clone)]
pub struct Check {
    /// Day of the execution.
    pub today: NaiveDate,
    /// Day at which the records were analysed again.
    pub reference: NaiveDate,
    /// The list as that analysis makes it, with the rules and holds in force.
    pub list: ListRef,
    /// The visa; `None` without one.
    pub visa: Option<VisaFacts>,
    /// Last changes.
    pub changes: Changes,
    /// Records.
    pub records: RecordFacts,
    /// Rows.
    pub rows: Vec<RowFacts>,
    /// Rules.
    pub rules: Vec<RuleFacts>,
    /// Persons.
    pub persons: Persons,
    /// Most records that one execution may eliminate.
    pub threshold: u64,
    /// Another elimination or restructuring under way, by name.
    pub in_progress: Option<String>,
    /// Paths below the store's root that would be removed or rewritten.
    pub targets: Vec<String>,
}

/// Folders whose files an elimination may touch. All else is kept for ever or not ours to judge:
/// visaed lists, journal, ledger and its tombstones, packages, publications.
const MAY_BE_TARGETS: [&str; 3] = ["received", "tables", "quarantine"];

/// Whether an execution may remove or rewrite a path of the store.
pub fn may_be_target(path: &str) -> bool {
    let mut parts = path.split('/');
    let top = parts.next().unwrap_or_default();
    let plain = |p: &str| !p.is_empty() && p != "." && p != ".." && !p.contains(['\\', '\0']);
    let rest: Vec<&str> = parts.collect();
    MAY_BE_TARGETS.contains(&top) && !rest.is_empty() && rest.into_iter().all(plain)
}

/// Every reason not to execute; empty when there is none.
pub fn refusals(check: &Check) -> Vec<Refusal> {
    let mut found = visa_refusals(check);
    found.extend(record_refusals(check));
    found.extend(row_refusals(check));
    found.extend(rule_refusals(check));
    found.extend(setting_refusals(check));
    found
}

fn french(day: NaiveDate) -> String {
    day.format("%d/%m/%Y").to_string()
}

fn visa_refusals(check: &Check) -> Vec<Refusal> {
    let Some(visa) = &check.visa else {
        return vec![Refusal::new(
            "ELIM_NO_VISA",
            "aucun visa pour cette liste : soumettez-la aux archives, puis importez leur visa (code du patrimoine, R212-14)",
        )];
    };
    let mut found = Vec::new();
    let same = |list: &ListRef| {
        list.id == visa.list.id
            && list.digest == visa.list.digest
            && list.file_sha256 == visa.list.file_sha256
    };
    if !same(&check.list) {
        found.push(Refusal::new(
            "ELIM_VISA_OTHER_LIST",
            format!(
                "le visa porte sur la liste {} d'empreinte {}, l'analyse refaite donne {} : proposez une nouvelle liste",
                visa.list.id, visa.list.digest, check.list.digest
            ),
        ));
    }
    let later = |day: Option<NaiveDate>| day.is_some_and(|d| d > visa.signed_on);
    let stale: Vec<&str> = [
        ("les règles", later(check.changes.rules) || visa.list.rules_version != check.list.rules_version),
        ("les gels", later(check.changes.holds) || visa.list.holds_digest != check.list.holds_digest),
        ("la liste", later(check.changes.list)),
    ]
    .into_iter()
    .filter_map(|(what, changed)| changed.then_some(what))
    .collect();
    if !stale.is_empty() {
        found.push(Refusal::new(
            "ELIM_VISA_STALE",
            format!(
                "depuis le visa du {}, ont changé : {} ; proposez de nouveau la liste et faites-la viser",
                french(visa.signed_on),
                stale.join(", ")
            ),
        ));
    }
    if visa.signed_on > check.today {
        found.push(Refusal::new(
            "ELIM_VISA_FUTURE",
            format!(
                "le visa est daté du {}, dans l'avenir : vérifiez la date d'exécution",
                french(visa.signed_on)
            ),
        ));
    }
    found
}

fn record_refusals(check: &Check) -> Vec<Refusal> {
    let r = &check.records;
    let mut found = Vec::new();
    if check.reference > check.today {
        found.push(Refusal::new(
            "ELIM_REFERENCE_FUTURE",
            format!(
                "l'analyse est faite au {}, dans l'avenir : une date à venir se simule, elle ne s'exécute pas",
                french(check.reference)
            ),
        ));
    }
    // Due strictly after the due day, at the earlier of the two days.
    let at = check.reference.min(check.today);
    if let Some(due) = r.latest_due.filter(|due| *due >= at) {
        found.push(Refusal::new(
            "ELIM_NOT_DUE",
            format!("une échéance est au {}, pas encore passée au {} : attendez-la", french(due), french(at)),
        ));
    }
    let undated = if r.latest_due.is_none() { r.total.max(1) } else { r.undated };
    let records = |n| count(n, "enregistrement", "enregistrements");
    for (n, code, why) in [
        (
            undated,
            "ELIM_UNDATED",
            "sans échéance connue : retirez-les de la liste, ou complétez la date de départ",
        ),
        (r.held, "ELIM_HELD", "sous un gel : attendez sa levée, puis proposez une nouvelle liste"),
        (r.open, "ELIM_OPEN", "d'un dossier encore ouvert : attendez sa clôture"),
        (
            r.conflict,
            "ELIM_CONFLICT",
            "dont les règles se contredisent : corrigez le référentiel, puis proposez une nouvelle liste",
        ),
        (
            r.children_kept,
            "ELIM_CHILDREN_KEPT",
            "dont dépendent des enregistrements conservés : retirez-les de la liste",
        ),
    ] {
        if n > 0 {
            found.push(Refusal::new(code, format!("{} {why}", records(n))));
        }
    }
    if r.total > check.threshold {
        found.push(Refusal::new(
            "ELIM_THRESHOLD",
            format!(
                "{} dépassent le plafond de {} par exécution : proposez des listes plus petites",
                records(r.total),
                thousands(check.threshold)
            ),
        ));
    }
    found
}

fn row_refusals(check: &Check) -> Vec<Refusal> {
    let rows = |code, why: &str, bad: &dyn Fn(&RowFacts) -> bool| {
        let orders: Vec<String> = check.rows.iter().filter(|r| bad(r)).map(|r| r.order.to_string()).collect();
        let noun = if orders.len() < 2 { "ligne" } else { "lignes" };
        (!orders.is_empty()).then(|| Refusal::new(code, format!("{noun} {} : {why}", orders.join(", "))))
    };
    let fate = |fate: RowFate| move |r: &RowFacts| r.fate == fate;
    let granted = check.visa.is_some();
    [
        rows(
            "ELIM_NO_SORT_FINAL",
            "sort final inconnu ; complétez la règle, puis proposez une nouvelle liste",
            &fate(RowFate::Missing),
        ),
        rows(
            "ELIM_CONSERVATION",
            "sort final « conservation » ; versez ces enregistrements, ne les éliminez pas",
            &fate(RowFate::Conserve),
        ),
        rows(
            "ELIM_NOT_ARCHIVED",
            "la prise en charge par l'archive n'est pas prouvée par ce que contient l'entrepôt ; restaurez le dossier du paquet (archives/), ou gardez ces enregistrements",
            &fate(RowFate::ArchiveUnproved),
        ),
        rows(
            "ELIM_TRI_NOT_RUN",
            "le tri n'a pas été fait ; exécutez son plan, puis proposez une nouvelle liste",
            &fate(RowFate::TriNotRun),
        ),
        rows(
            "ELIM_SAMPLE_NOT_TRANSFERRED",
            "l'échantillon n'a pas de réponse positive des archives ; versez-le et importez leur réponse",
            &fate(RowFate::TriSampleHere),
        ),
        rows(
            "ELIM_ROW_REFUSED",
            "sans accord des archives ; ces enregistrements sont gardés, retirez-les du plan",
            &|r| granted && !r.granted,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn rule_refusals(check: &Check) -> Vec<Refusal> {
    if check.rules.is_empty() {
        return vec![Refusal::new(
            "ELIM_NO_RULE",
            "aucune règle ne fonde cette liste : complétez le référentiel, puis proposez une nouvelle liste",
        )];
    }
    let at = check.reference.min(check.today);
    let rules = |code, why: &str, bad: &dyn Fn(&RuleFacts) -> bool| {
        let ids: Vec<&str> = check.rules.iter().filter(|r| bad(r)).map(|r| r.id.as_str()).collect();
        let noun = if ids.len() < 2 { "règle" } else { "règles" };
        (!ids.is_empty()).then(|| Refusal::new(code, format!("{noun} {} : {why}", ids.join(", "))))
    };
    [
        rules(
            "ELIM_RULE_UNVERIFIED",
            "sans vérification à ce jour ; faites lire le texte et inscrivez qui l'a lu",
            &|r| r.verified_on.is_none_or(|on| on > at),
        ),
        rules(
            "ELIM_RULE_NOT_IN_FORCE",
            "pas en vigueur au jour de l'exécution ; proposez une nouvelle liste",
            &|r| r.effective_from > at || r.effective_to.is_some_and(|to| to < at),
        ),
        rules("ELIM_RULE_TOO_SHORT", "durée sous le minimum de sa classe ; corrigez la règle", &|r| {
            r.below_minimum
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn setting_refusals(check: &Check) -> Vec<Refusal> {
    let p = &check.persons;
    let mut found = Vec::new();
    if p.approver.is_none() {
        found.push(Refusal::new(
            "ELIM_NOT_APPROVED",
            "personne n'a approuvé l'exécution : faites-la approuver par le responsable du service",
        ));
    }
    let approver = p.approver.as_ref();
    let both = [
        (approver == Some(&p.requester), "a proposé la liste et en approuve l'exécution"),
        (approver == Some(&p.archives), "a donné le visa et approuve l'exécution"),
        (p.requester == p.archives, "a proposé la liste et donné le visa"),
        (p.executor == p.archives, "a donné le visa et exécute l'élimination"),
    ];
    if let Some((_, what)) = both.into_iter().find(|(same, _)| *same) {
        found.push(Refusal::new(
            "ELIM_SAME_PERSON",
            format!("la même personne {what} : faites intervenir une autre personne"),
        ));
    }
    if let Some(other) = &check.in_progress {
        found.push(Refusal::new(
            "ELIM_CONCURRENT",
            format!("« {other} » est en cours : attendez sa fin, puis recommencez"),
        ));
    }
    let forbidden: Vec<&str> =
        check.targets.iter().map(String::as_str).filter(|t| !may_be_target(t)).collect();
    if !forbidden.is_empty() {
        found.push(Refusal::new(
            "ELIM_PROTECTED_TARGET",
            format!(
                "le plan toucherait {} : listes visées, journal, registre, versements et publications ne s'éliminent jamais",
                forbidden.join(", ")
            ),
        ));
    }
    found
}

#[cfg(test)]
mod tests;

//! What the service itself signs about a list: the proposal of its head, the order to execute, the
//! attestation of those who carried it out.

use super::exported::ListRef;
use super::operator::SourceCovered;
use super::refusal::Refusal;
use super::registry::Role;
use super::signature::{Statement, iso};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// What the head of the service attests by signing a proposal, as the bordereaux of the Archives
/// départementales have it. Signed word for word; another text is another version.
pub const ATTESTED: [&str; 3] = [
    "Les documents décrits dans cette liste n'ont plus d'utilité administrative pour le service.",
    "Les délais de prescription qui les concernent sont écoulés.",
    "Aucun recours n'est en cours et aucun n'est plus possible à leur sujet.",
];

/// The proposal, signed by the head of the producing service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Sentences that the head attests: [`ATTESTED`].
    pub attests: Vec<String>,
    /// List.
    pub list: ListRef,
    /// Name of the producing service.
    pub service: String,
}

impl Proposal {
    /// The proposal of a list by a service.
    pub fn new(list: ListRef, service: &str) -> Self {
        Proposal { attests: ATTESTED.map(str::to_owned).to_vec(), list, service: service.to_owned() }
    }
}

impl Statement for Proposal {
    const KIND: &'static str = "proposal";
    const ROLES: &'static [Role] = &[Role::Producteur];

    fn check(&self) -> Result<(), Refusal> {
        if self.attests != ATTESTED {
            return Err(Refusal::new(
                "ELIM_PROPOSAL_TEXT",
                "la proposition n'atteste pas les trois points attendus (utilité, prescription, recours) : faites-la signer de nouveau",
            ));
        }
        named(&self.service, "ELIM_PROPOSAL_TEXT", "le service producteur n'est pas nommé")
    }
}

/// The order to execute a visaed list, once the cooling-off is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionApproval {
    /// First day on which the execution may start.
    #[serde(with = "iso")]
    pub cooling_off_until: NaiveDate,
    /// List.
    pub list: ListRef,
    /// SHA-256 of the visa's file, hexadecimal.
    pub visa_sha256: String,
}

impl Statement for ExecutionApproval {
    const KIND: &'static str = "execution";
    const ROLES: &'static [Role] = &[Role::Producteur];

    fn check(&self) -> Result<(), Refusal> {
        sha256(&self.visa_sha256, "ELIM_APPROVAL_TEXT")
    }
}

/// What was done of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowDone {
    /// Bytes of the eliminated records.
    pub bytes: u64,
    /// Records eliminated.
    pub eliminated: u64,
    /// Records that could not be.
    pub failed: u64,
    /// Records kept: refused, to be sorted or undecided.
    pub kept: u64,
    /// Order number in the list.
    pub order: usize,
}

/// A place where bytes were, other than the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyCovered {
    /// Bytes before.
    pub bytes: u64,
    /// What it was, in French: livraison reçue, quarantaine, sauvegarde…
    pub kind: String,
    /// Path in the store, or name of the medium.
    pub name: String,
    /// SHA-256 before.
    pub sha256: String,
}

/// The attestation: who did what, when and how, signed by two persons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Copies that went with the records.
    pub copies: Vec<CopyCovered>,
    /// UTC time of the end, RFC 3339.
    pub ended_at: String,
    /// Failures, in French, one a place.
    pub failures: Vec<String>,
    /// Digest of the last entry of the journal before the attestation.
    pub journal_hash: String,
    /// Its number.
    pub journal_seq: u64,
    /// List.
    pub list: ListRef,
    /// How the bytes were destroyed, in French.
    pub method: String,
    /// One a row of the list, in order.
    pub rows: Vec<RowDone>,
    /// Orders given to the source applications, with what their operators answered; none when no
    /// order was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceCovered>,
    /// UTC time of the start, RFC 3339.
    pub started_at: String,
    /// Service and title of whoever gave the visa.
    pub visa_authority: String,
    /// Day of the visa.
    #[serde(with = "iso")]
    pub visa_on: NaiveDate,
    /// SHA-256 of the visa's file, hexadecimal.
    pub visa_sha256: String,
}

impl Statement for Attestation {
    const KIND: &'static str = "attestation";
    const ROLES: &'static [Role] = &[Role::Executant, Role::Temoin];

    fn check(&self) -> Result<(), Refusal> {
        const CODE: &str = "ELIM_ATTESTATION_TEXT";
        let refuse = |what: &str| Err(Refusal::new(CODE, format!("{what} : refaites l'attestation")));
        sha256(&self.visa_sha256, CODE)?;
        sha256(&self.journal_hash, CODE)?;
        named(&self.method, CODE, "la méthode d'élimination n'est pas dite")?;
        if self.rows.is_empty() || !self.rows.iter().map(|r| r.order).eq(1..=self.rows.len()) {
            return refuse("les lignes de l'attestation ne se suivent pas à partir de 1");
        }
        if self.rows.iter().any(|r| r.failed > 0) == self.failures.is_empty() {
            return refuse("les échecs comptés et les échecs décrits ne s'accordent pas");
        }
        if self.ended_at < self.started_at {
            return refuse("l'exécution finirait avant d'avoir commencé");
        }
        Ok(())
    }
}

fn named(text: &str, code: &'static str, missing: &str) -> Result<(), Refusal> {
    match text.trim() {
        "" => Err(Refusal::new(code, format!("{missing} : complétez, puis faites signer"))),
        _ => Ok(()),
    }
}

fn sha256(text: &str, code: &'static str) -> Result<(), Refusal> {
    match super::keys::unhex::<32>(text) {
        Some(_) => Ok(()),
        None => Err(Refusal::new(
            code,
            "une empreinte n'est pas écrite en 64 chiffres hexadécimaux : refaites le fichier",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{day, key, list_ref, registry};
    use super::super::signature::{cosign, sign, verify};
    use super::*;

    fn attestation() -> Attestation {
        Attestation {
            copies: Vec::new(),
            ended_at: "2026-04-01T02:40:00Z".into(),
            failures: Vec::new(),
            journal_hash: "a".repeat(64),
            journal_seq: 12,
            list: list_ref(),
            method: "réécriture des tables sans les enregistrements".into(),
            rows: (1..=3)
                .map(|order| RowDone { bytes: 100, eliminated: 10, failed: 0, kept: 0, order })
                .collect(),
            sources: Vec::new(),
            started_at: "2026-04-01T02:30:00Z".into(),
            visa_authority: "Archives départementales, directrice".into(),
            visa_on: day("2026-03-10"),
            visa_sha256: "b".repeat(64),
        }
    }

    #[test]
    fn a_proposal_attests_the_three_points_word_for_word() {
        let good = Proposal::new(list_ref(), "Collège Jean-Moulin");
        let text = sign(&good, &key(Role::Producteur), &registry(), day("2026-03-02")).unwrap();
        let read = verify::<Proposal>(&text, &registry(), day("2026-03-02")).unwrap();
        assert_eq!((read.statement, read.signers[0].person.as_str()), (good.clone(), "bernard"));
        let mut softer = good.clone();
        softer.attests.pop();
        let nobody = Proposal { service: "  ".into(), ..good };
        for bad in [softer, nobody] {
            let refused = sign(&bad, &key(Role::Producteur), &registry(), day("2026-03-02"));
            assert_eq!(refused.map_err(|r| r.code), Err("ELIM_PROPOSAL_TEXT"));
        }
    }

    #[test]
    fn an_attestation_wants_two_persons() {
        let (registry, on) = (registry(), day("2026-04-02"));
        let first = sign(&attestation(), &key(Role::Executant), &registry, on).unwrap();
        let read = |text: &str| {
            verify::<Attestation>(text, &registry, on).map(|s| s.signers.len()).map_err(|r| r.code)
        };
        assert_eq!(read(&first), Err("ELIM_SIGN_MISSING"));
        // Driss is registered as a witness too: he still is one person.
        let alone = cosign::<Attestation>(&first, &key(Role::Executant), &registry, on);
        assert_eq!(alone.map_err(|r| r.code), Err("ELIM_SAME_PERSON"));
        let whole = cosign::<Attestation>(&first, &key(Role::Temoin), &registry, on).unwrap();
        assert_eq!(read(&whole), Ok(2));
        let more = cosign::<Attestation>(&whole, &key(Role::Temoin), &registry, on);
        assert_eq!(more.map_err(|r| r.code), Err("ELIM_SIGN_UNEXPECTED"));
        let early = cosign::<Attestation>(&first, &key(Role::Temoin), &registry, day("2026-04-01"));
        assert_eq!(early.map_err(|r| r.code), Err("ELIM_SIGN_DATE"));
    }

    #[test]
    fn an_attestation_that_contradicts_itself_is_not_signed() {
        type Change = fn(&mut Attestation);
        let changes: [(&str, Change); 7] = [
            ("no row", |a| a.rows.clear()),
            ("a row missing", |a| a.rows.retain(|r| r.order != 2)),
            ("failures not described", |a| a.rows[0].failed = 1),
            ("failures not counted", |a| a.failures.push("fichier verrouillé".into())),
            ("no method", |a| a.method.clear()),
            ("ends before it starts", |a| a.ended_at = "2026-04-01T02:00:00Z".into()),
            ("no visa", |a| a.visa_sha256.clear()),
        ];
        assert_eq!(attestation().check(), Ok(()));
        for (case, change) in changes {
            let mut bad = attestation();
            change(&mut bad);
            assert_eq!(bad.check().map_err(|r| r.code), Err("ELIM_ATTESTATION_TEXT"), "{case}");
        }
    }

    #[test]
    fn an_order_to_execute_names_the_visa() {
        let order = |visa: &str| ExecutionApproval {
            cooling_off_until: day("2026-03-20"),
            list: list_ref(),
            visa_sha256: visa.into(),
        };
        assert_eq!(order(&"c".repeat(64)).check(), Ok(()));
        assert_eq!(order("").check().map_err(|r| r.code), Err("ELIM_APPROVAL_TEXT"));
    }
}

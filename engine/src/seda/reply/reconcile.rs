//! What the reply covers of what was sent, one by one.

use super::read::{Kind, Outcome, Reply};
use std::collections::{BTreeMap, BTreeSet};

/// What our manifest holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// `MessageIdentifier` of the transfer.
    pub message_id: String,
    /// XML identifiers of its units.
    pub units: BTreeSet<String>,
    /// XML identifiers of its objects.
    pub objects: BTreeSet<String>,
}

/// What may be done after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Accepted, and every unit and object is covered: the records are `archivé`. The only
    /// verdict that opens the way to a removal of the local copy.
    Archived,
    /// Received by the archive, which has not decided yet: keep.
    Received,
    /// Accepted but not for all: keep, and ask the archive.
    Incomplete,
    /// Refused: keep, correct, send a new package.
    Refused,
    /// No known verdict: keep, and ask the archive.
    Undecided,
    /// It answers another message: keep.
    NotOurs,
}

impl Verdict {
    const ALL: [Verdict; 6] = [
        Verdict::Archived,
        Verdict::Received,
        Verdict::Incomplete,
        Verdict::Refused,
        Verdict::Undecided,
        Verdict::NotOurs,
    ];

    /// Name in JSON and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Archived => "archived",
            Verdict::Received => "received",
            Verdict::Incomplete => "incomplete",
            Verdict::Refused => "refused",
            Verdict::Undecided => "undecided",
            Verdict::NotOurs => "not_ours",
        }
    }

    /// The verdict of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Verdict::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

/// A reply beside what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// What may be done.
    pub verdict: Verdict,
    /// System identifier of each of our units that the archive named.
    pub units: BTreeMap<String, String>,
    /// System identifier of each of our objects that the archive named.
    pub objects: BTreeMap<String, String>,
    /// Our units without a system identifier.
    pub missing_units: Vec<String>,
    /// Our objects without a system identifier.
    pub missing_objects: Vec<String>,
    /// Identifiers of the reply that are not in our manifest.
    pub unknown: Vec<String>,
    /// Identifiers with two system identifiers, or that share one with another.
    pub contradictions: Vec<String>,
    /// French sentence: what it means, what to do.
    pub message: String,
}

impl Reconciliation {
    /// Every unit and object is covered by an accepting reply.
    pub fn archived(&self) -> bool {
        self.verdict == Verdict::Archived
    }
}

/// Compares a reply with what was sent.
///
/// A `WARNING` counts as accepted: the archive keeps the deposit and makes remarks. Identifiers
/// that we did not send, a contradiction, or nothing sent at all leave the deposit incomplete.
pub fn reconcile(sent: &Sent, reply: &Reply) -> Reconciliation {
    let missing = |ours: &BTreeSet<String>, theirs: &BTreeMap<String, String>| -> Vec<String> {
        ours.iter().filter(|id| !theirs.contains_key(*id)).cloned().collect()
    };
    let ours = |theirs: &BTreeMap<String, String>, ours: &BTreeSet<String>| -> BTreeMap<String, String> {
        theirs.iter().filter(|(id, _)| ours.contains(*id)).map(|(a, b)| (a.clone(), b.clone())).collect()
    };
    let unknown = |theirs: &BTreeMap<String, String>, ours: &BTreeSet<String>| -> Vec<String> {
        theirs.keys().filter(|id| !ours.contains(*id)).cloned().collect()
    };
    let mut contradictions = reply.contradictions.clone();
    contradictions.extend(shared(reply));
    contradictions.sort();
    contradictions.dedup();
    let mut result = Reconciliation {
        verdict: Verdict::Undecided,
        units: ours(&reply.units, &sent.units),
        objects: ours(&reply.objects, &sent.objects),
        missing_units: missing(&sent.units, &reply.units),
        missing_objects: missing(&sent.objects, &reply.objects),
        unknown: [unknown(&reply.units, &sent.units), unknown(&reply.objects, &sent.objects)].concat(),
        contradictions,
        message: String::new(),
    };
    let covering = !sent.units.is_empty()
        && result.missing_units.is_empty()
        && result.missing_objects.is_empty()
        && result.unknown.is_empty()
        && result.contradictions.is_empty();
    result.verdict = match (&reply.kind, &reply.outcome) {
        _ if sent.message_id != reply.request_id => Verdict::NotOurs,
        (Kind::Acknowledgement, _) => Verdict::Received,
        (Kind::OriginatingAgency | Kind::ControlAuthority, _) => Verdict::NotOurs,
        (Kind::Transfer, Outcome::Ok | Outcome::Warning) if covering => Verdict::Archived,
        (Kind::Transfer, Outcome::Ok | Outcome::Warning) => Verdict::Incomplete,
        (Kind::Transfer, Outcome::Ko) => Verdict::Refused,
        (Kind::Transfer, Outcome::Fatal | Outcome::Unknown(_)) => Verdict::Undecided,
    };
    result.message = sentence(&result, sent, reply);
    result
}

/// Two of our identifiers behind one of the archive: at most one of them is really kept.
fn shared(reply: &Reply) -> Vec<String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut out = Vec::new();
    for (id, system) in reply.units.iter().chain(&reply.objects) {
        if let Some(first) = seen.insert(system, id) {
            out.extend([first.to_owned(), id.clone()]);
        }
    }
    out
}

fn sentence(r: &Reconciliation, sent: &Sent, reply: &Reply) -> String {
    match r.verdict {
        Verdict::Archived => format!(
            "L'archive a pris en charge le dépôt « {} » en entier ({} unités, {} objets){}.",
            sent.message_id,
            r.units.len(),
            r.objects.len(),
            if reply.outcome == Outcome::Warning { ", avec des remarques : lisez-les" } else { "" }
        ),
        Verdict::Received => format!(
            "L'archive a reçu le dépôt « {} » mais ne s'est pas encore prononcée : attendez sa réponse, rien n'est effacé.",
            sent.message_id
        ),
        Verdict::Incomplete => format!(
            "L'archive accepte le dépôt « {} » sans le couvrir en entier ({} unités et {} objets sans identifiant, {} identifiants inconnus, {} contradictoires) : rien n'est effacé ; transmettez cette réponse au service d'archives.",
            sent.message_id,
            r.missing_units.len(),
            r.missing_objects.len(),
            r.unknown.len(),
            r.contradictions.len()
        ),
        Verdict::Refused => format!(
            "L'archive refuse le dépôt « {} » : rien n'est effacé ; corrigez les causes ci-dessous, puis préparez un nouveau paquet.",
            sent.message_id
        ),
        Verdict::Undecided => format!(
            "La réponse au dépôt « {} » ne permet pas de savoir s'il est conservé : rien n'est effacé ; demandez au service d'archives l'état de l'opération avant tout nouvel envoi.",
            sent.message_id
        ),
        Verdict::NotOurs => format!(
            "Cette réponse ne porte pas sur le dépôt « {} » : elle n'est pas prise en compte.",
            sent.message_id
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seda::reply::Version;

    fn ids(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    fn reply(outcome: Outcome) -> Reply {
        Reply {
            kind: Kind::Transfer,
            version: Version::V2_2,
            message_id: "R".into(),
            request_id: "SIP-1".into(),
            date: String::new(),
            grant_date: None,
            outcome,
            archival_agency: String::new(),
            transferring_agency: String::new(),
            units: pairs(&[("U1", "s1"), ("U2", "s2")]),
            objects: pairs(&[("B1", "s3")]),
            contradictions: vec![],
            events: vec![],
            events_cut: false,
        }
    }

    fn sent() -> Sent {
        Sent { message_id: "SIP-1".into(), units: ids(&["U1", "U2"]), objects: ids(&["B1"]) }
    }

    #[test]
    fn only_an_accepting_and_covering_reply_archives() {
        let case = |change: &dyn Fn(&mut Sent, &mut Reply)| {
            let (mut s, mut r) = (sent(), reply(Outcome::Ok));
            change(&mut s, &mut r);
            reconcile(&s, &r).verdict
        };
        assert_eq!(case(&|_, _| {}), Verdict::Archived);
        assert_eq!(case(&|_, r| r.outcome = Outcome::Warning), Verdict::Archived);
        assert_eq!(case(&|_, r| r.outcome = Outcome::Ko), Verdict::Refused);
        assert_eq!(case(&|_, r| r.outcome = Outcome::Fatal), Verdict::Undecided);
        assert_eq!(case(&|_, r| r.outcome = Outcome::Unknown("".into())), Verdict::Undecided);
        assert_eq!(case(&|_, r| r.kind = Kind::Acknowledgement), Verdict::Received);
        assert_eq!(case(&|_, r| r.kind = Kind::ControlAuthority), Verdict::NotOurs);
        assert_eq!(case(&|_, r| r.request_id = "SIP-2".into()), Verdict::NotOurs);
        assert_eq!(case(&|_, r| drop(r.units.remove("U2"))), Verdict::Incomplete);
        assert_eq!(case(&|_, r| drop(r.objects.remove("B1"))), Verdict::Incomplete);
        assert_eq!(case(&|s, _| assert!(s.units.remove("U2"))), Verdict::Incomplete);
        assert_eq!(case(&|_, r| r.contradictions.push("U1".into())), Verdict::Incomplete);
        assert_eq!(case(&|_, r| drop(r.units.insert("U2".into(), "s1".into()))), Verdict::Incomplete);
        assert_eq!(
            case(&|s, r| (s.units, s.objects, r.units, r.objects) = Default::default()),
            Verdict::Incomplete
        );
    }

    #[test]
    fn what_lacks_and_what_is_unknown_is_listed() {
        let mut r = reply(Outcome::Ok);
        r.units = pairs(&[("U1", "s1"), ("U9", "s9")]);
        let got = reconcile(&sent(), &r);
        assert_eq!((got.missing_units, got.unknown), (vec!["U2".to_owned()], vec!["U9".to_owned()]));
        assert_eq!(got.units, pairs(&[("U1", "s1")]));
        assert!(got.message.contains("rien n'est effacé"));
    }

    proptest::proptest! {
        #[test]
        fn an_archived_verdict_always_covers_every_identifier(
            ours in proptest::collection::btree_set("[a-c]", 0..4),
            theirs in proptest::collection::btree_map("[a-c]", "[x-z]", 0..4),
        ) {
            let s = Sent { message_id: "SIP-1".into(), units: ours, objects: BTreeSet::new() };
            let r = Reply { units: theirs, objects: BTreeMap::new(), ..reply(Outcome::Ok) };
            let got = reconcile(&s, &r);
            if got.archived() {
                assert!(s.units.iter().all(|u| r.units.contains_key(u)));
                let systems: BTreeSet<_> = r.units.values().collect();
                assert_eq!(systems.len(), s.units.len());
            }
        }
    }
}

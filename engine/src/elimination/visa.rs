//! The visa: the archives' signed answer to one exact list (code du patrimoine, L212-2 and R212-14).
//! It is given where the archives are, from the exported folder alone, and comes back as a file.
//! A row that the visa does not grant is kept.

use super::exported::{ExportedList, ListRef};
use super::keys::PrivateKey;
use super::refusal::Refusal;
use super::registry::{Registry, Role};
use super::signature::{Signed, Statement, sign, verify};
use super::state::Event;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the archives answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Every row may be eliminated.
    Visa,
    /// Only the rows that say so.
    Partial,
    /// None.
    Refused,
    /// The list goes back with a remark; only a new one may be proposed.
    Returned,
}

impl Decision {
    /// What the answer does to the list.
    pub fn event(self) -> Event {
        match self {
            Decision::Visa => Event::Visaed,
            Decision::Partial => Event::VisaedPartial,
            Decision::Refused => Event::Refused,
            Decision::Returned => Event::Returned,
        }
    }
}

/// What the archives decide of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowChoice {
    /// May be eliminated.
    Visa,
    /// Kept.
    Refus,
    /// Kept until a tri has said which records are.
    ATrier,
}

/// One row's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowDecision {
    /// Decision.
    pub decision: RowChoice,
    /// Remark, may be empty.
    pub observation: String,
    /// Order number in the list.
    pub order: usize,
}

/// Who answers for the control: an archives service and the title that gives the authority (the
/// director of Archives départementales by delegation of the prefect, a mission des archives…).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Name of the archives service.
    pub service: String,
    /// Title of the signatory.
    pub title: String,
}

/// What the archives declare; [`give`] binds it to a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Who answers.
    pub authority: Authority,
    /// Answer.
    pub decision: Decision,
    /// Remark on the whole; required of a refusal and of a return.
    pub observation: String,
    /// Row by row, by order number. A partial visa has them; the others may.
    pub rows: Vec<RowDecision>,
}

/// The statement of a visa's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visa {
    /// Who answers.
    pub authority: Authority,
    /// Answer.
    pub decision: Decision,
    /// List.
    pub list: ListRef,
    /// Remark on the whole.
    pub observation: String,
    /// Row by row.
    pub rows: Vec<RowDecision>,
}

fn incoherent(why: &str) -> Refusal {
    Refusal::new("ELIM_VISA_INCOHERENT", format!("visa contradictoire : {why}"))
}

impl Statement for Visa {
    const KIND: &'static str = "visa";
    const ROLES: &'static [Role] = &[Role::Archives];

    fn check(&self) -> Result<(), Refusal> {
        if self.authority.service.trim().is_empty() || self.authority.title.trim().is_empty() {
            return Err(incoherent("le service d'archives et la qualité du signataire sont obligatoires"));
        }
        if !self.rows.is_sorted_by(|a, b| a.order < b.order) {
            return Err(incoherent("les lignes sont en désordre ou répétées : une décision par ligne"));
        }
        let granted = self.rows.iter().filter(|r| r.decision == RowChoice::Visa).count();
        match self.decision {
            Decision::Visa if granted < self.rows.len() => {
                Err(incoherent("un visa entier ne refuse aucune ligne : donnez un visa partiel"))
            }
            Decision::Partial if granted == 0 => {
                Err(incoherent("un visa partiel accorde au moins une ligne : donnez un refus"))
            }
            Decision::Refused | Decision::Returned if granted > 0 => {
                Err(incoherent("un refus ou un retour n'accorde aucune ligne : donnez un visa partiel"))
            }
            Decision::Refused | Decision::Returned if self.observation.trim().is_empty() => {
                Err(incoherent("un refus ou un retour dit pourquoi : écrivez une observation"))
            }
            _ => Ok(()),
        }
    }
}

impl Visa {
    /// Rows of the list that may be eliminated. Silence on a row is not an agreement.
    pub fn granted(&self, list: &ExportedList) -> BTreeSet<usize> {
        match self.decision {
            Decision::Visa => list.orders(),
            Decision::Partial => {
                let said = self.rows.iter().filter(|r| r.decision == RowChoice::Visa).map(|r| r.order);
                said.filter(|order| list.rows.iter().any(|r| r.order == *order)).collect()
            }
            Decision::Refused | Decision::Returned => BTreeSet::new(),
        }
    }

    fn fits(&self, list: &ExportedList) -> Result<(), Refusal> {
        self.list.must_be(&list.reference)?;
        let orders = list.orders();
        if let Some(row) = self.rows.iter().find(|r| !orders.contains(&r.order)) {
            return Err(incoherent(&format!("la ligne {} n'est pas dans la liste", row.order)));
        }
        match self.decision {
            Decision::Partial if self.granted(list) == orders => {
                Err(incoherent("toutes les lignes sont accordées : donnez un visa entier"))
            }
            Decision::Visa if !self.rows.is_empty() && self.rows.len() < orders.len() => {
                Err(incoherent("des lignes ne sont pas décidées : donnez un visa partiel"))
            }
            _ => Ok(()),
        }
    }
}

/// Gives the visa from the text of the exported `list.json`: the text of `visa.json`.
///
/// # Errors
/// When the list does not hold, the answer contradicts itself, or the key may not sign.
pub fn give(
    list_json: &str,
    answer: Answer,
    key: &PrivateKey,
    registry: &Registry,
    on: NaiveDate,
) -> Result<String, Refusal> {
    let list = ExportedList::read(list_json)?;
    let Answer { authority, decision, observation, rows } = answer;
    let visa = Visa { authority, decision, list: list.reference.clone(), observation, rows };
    visa.fits(&list)?;
    sign(&visa, key, registry, on)
}

/// Checks a `visa.json` received on a day against the list that it must be about.
///
/// # Errors
/// Why it is refused, with what to do.
pub fn read(
    visa_json: &str,
    list: &ExportedList,
    registry: &Registry,
    seen_on: NaiveDate,
) -> Result<Signed<Visa>, Refusal> {
    let signed = verify::<Visa>(visa_json, registry, seen_on)?;
    signed.statement.fits(list)?;
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{day, key, list, list_json, registry};
    use super::*;
    use RowChoice::{ATrier, Refus, Visa as Yes};

    fn answer(decision: Decision, rows: &[(usize, RowChoice)]) -> Answer {
        Answer {
            authority: Authority {
                service: "Archives départementales de l'Isère".into(),
                title: "directrice".into(),
            },
            decision,
            observation: "vu".into(),
            rows: rows
                .iter()
                .map(|(order, decision)| RowDecision {
                    decision: *decision,
                    observation: String::new(),
                    order: *order,
                })
                .collect(),
        }
    }

    fn given(answer: Answer) -> Result<String, &'static str> {
        give(&list_json(3), answer, &key(Role::Archives), &registry(), day("2026-03-10")).map_err(|r| r.code)
    }

    #[test]
    fn a_visa_given_away_from_the_store_grants_exactly_its_rows() {
        for (decision, rows, granted) in [
            (Decision::Visa, &[][..], &[1, 2, 3][..]),
            (Decision::Visa, &[(1, Yes), (2, Yes), (3, Yes)], &[1, 2, 3]),
            (Decision::Partial, &[(1, Yes), (2, Refus), (3, ATrier)], &[1]),
            (Decision::Partial, &[(2, Yes)], &[2]),
            (Decision::Refused, &[(1, Refus)], &[]),
            (Decision::Returned, &[], &[]),
        ] {
            let text = given(answer(decision, rows)).unwrap();
            let signed = read(&text, &list(3), &registry(), day("2026-03-11")).unwrap();
            let found: Vec<usize> = signed.statement.granted(&list(3)).into_iter().collect();
            assert_eq!((found.as_slice(), signed.statement.decision), (granted, decision), "{rows:?}");
        }
    }

    #[test]
    fn an_answer_that_contradicts_itself_or_the_list_is_not_given() {
        let mut silent = answer(Decision::Returned, &[]);
        silent.observation = " ".into();
        let mut nobody = answer(Decision::Visa, &[]);
        nobody.authority.title.clear();
        for (case, bad) in [
            ("full with a refused row", answer(Decision::Visa, &[(1, Yes), (2, Refus), (3, Yes)])),
            ("full with undecided rows", answer(Decision::Visa, &[(1, Yes)])),
            ("partial without any row", answer(Decision::Partial, &[])),
            ("partial that grants nothing", answer(Decision::Partial, &[(1, Refus), (2, ATrier)])),
            ("partial that grants all", answer(Decision::Partial, &[(1, Yes), (2, Yes), (3, Yes)])),
            ("refusal that grants", answer(Decision::Refused, &[(1, Yes)])),
            ("a row twice", answer(Decision::Partial, &[(1, Yes), (1, Refus)])),
            ("a row of another list", answer(Decision::Partial, &[(1, Yes), (4, Refus)])),
            ("return without a remark", silent),
            ("nobody's authority", nobody),
        ] {
            assert_eq!(given(bad), Err("ELIM_VISA_INCOHERENT"), "{case}");
        }
    }

    #[test]
    fn only_the_archives_give_it() {
        for role in [Role::Agent, Role::Producteur, Role::Executant, Role::Temoin] {
            let text =
                give(&list_json(3), answer(Decision::Visa, &[]), &key(role), &registry(), day("2026-03-10"));
            assert_eq!(text.map_err(|r| r.code), Err("ELIM_SIGN_ROLE"), "{role:?}");
        }
    }

    #[test]
    fn a_visa_for_another_list_or_an_altered_one_is_refused() {
        let visa = given(answer(Decision::Visa, &[])).unwrap();
        let on = day("2026-03-11");
        assert_eq!(read(&visa, &list(2), &registry(), on).map_err(|r| r.code), Err("ELIM_SIGN_OTHER_LIST"));
        let respaced = ExportedList::read(&list_json(3).replacen(':', " :", 1)).unwrap();
        let refused = read(&visa, &respaced, &registry(), on).unwrap_err();
        assert!(refused.message.contains("le fichier list.json ;"), "{}", refused.message);
        let changed = list_json(3).replacen("10", "11", 1);
        let answer = answer(Decision::Visa, &[]);
        let refused = give(&changed, answer, &key(Role::Archives), &registry(), on);
        assert_eq!(refused.map_err(|r| r.code), Err("ELIM_LIST_ALTERED"));
    }
}

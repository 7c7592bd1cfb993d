//! What the operator of a source application answers to an order: who, when, and for each number done
//! or not. Two forms:
//! ```text
//! ordre;empreinte;operateur;date;numero;resultat;motif
//! ORD-EL-…;<SHA-256>;Prénom Nom, fonction;2026-08-03;1;fait;
//! ;;;;2;echec;compte verrouillé
//! ```
//! (CSV, UTF-8; the first four columns may be filled on the first line only), and
//! ```json
//! {"order": "ORD-EL-…", "order_sha256": "…", "operator": "…", "done_on": "2026-08-03",
//!  "items": [{"number": 1, "done": true}, {"number": 2, "done": false, "reason": "…"}]}
//! ```

use super::order::{RecordedOrder, recorded};
use super::refusal::Refusal;
use super::workflow::Desk;
use crate::domain::{DateFormat, Digest};
use crate::error::{Error, Result};
use crate::journal::NewEntry;
use crate::store::Store;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Columns of the CSV form.
pub(super) const COLUMNS: [&str; 7] =
    ["ordre", "empreinte", "operateur", "date", "numero", "resultat", "motif"];
/// Kind of the journal's entries that record an answer.
const ANSWERED: &str = "elimination_order_answered";

/// The answer of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorAnswer {
    /// Identifier of the order.
    pub order: String,
    /// Its digest.
    pub order_sha256: String,
    /// Who: name and function.
    pub operator: String,
    /// Day, `yyyy-mm-dd`.
    pub done_on: String,
    /// Every number of the order, once.
    pub items: Vec<AnsweredItem>,
}

/// What became of one number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredItem {
    /// Number in the order.
    pub number: u64,
    /// Deleted.
    pub done: bool,
    /// Why not.
    #[serde(default)]
    pub reason: String,
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(
        "ELIM_ORDER_ANSWER",
        format!("attestation de l'opérateur illisible : {why} ; repartez du fichier retour-*.csv"),
    )
}

impl OperatorAnswer {
    /// Reads one of the two forms.
    ///
    /// # Errors
    /// Where it cannot be read. No message repeats a value of the file.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| unreadable("un fichier en UTF-8 est attendu"))?;
        let text = text.trim_start_matches('\u{FEFF}');
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|e| {
                unreadable(&format!("JSON hors du format, ligne {}, colonne {}", e.line(), e.column()))
            });
        }
        OperatorAnswer::csv(text)
    }

    fn csv(text: &str) -> Result<Self, Refusal> {
        let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.as_bytes());
        let header = reader.headers().map_err(|_| unreadable("en-tête"))?;
        if header.iter().map(str::trim).ne(COLUMNS) {
            return Err(unreadable(&format!("l'en-tête attendu est « {} »", COLUMNS.join(";"))));
        }
        let mut first: [Option<String>; 4] = [None, None, None, None];
        let mut items = Vec::new();
        for (line, record) in (2..).zip(reader.records()) {
            let record = record.map_err(|_| unreadable(&format!("ligne {line}, sept colonnes attendues")))?;
            let cell = |at: usize| record.get(at).unwrap_or_default().trim();
            for (at, known) in first.iter_mut().enumerate() {
                match (known.as_deref(), cell(at)) {
                    (_, "") => {}
                    (None, value) => *known = Some(value.to_owned()),
                    (Some(known), value) if known == value => {}
                    _ => return Err(unreadable(&format!("ligne {line}, deux ordres, opérateurs ou dates"))),
                }
            }
            let number = cell(4).parse().map_err(|_| unreadable(&format!("ligne {line}, colonne numero")))?;
            let done = match cell(5).to_lowercase().as_str() {
                "fait" => true,
                "echec" | "échec" => false,
                _ => {
                    let why = format!("ligne {line}, colonne resultat : « fait » ou « echec » attendu");
                    return Err(unreadable(&why));
                }
            };
            items.push(AnsweredItem { number, done, reason: cell(6).to_owned() });
        }
        let [order, order_sha256, operator, done_on] = first.map(Option::unwrap_or_default);
        Ok(OperatorAnswer { order, order_sha256, operator, done_on, items })
    }

    /// Items done and not; refuses an answer that is not to this order, whole.
    fn check(&self, order: &RecordedOrder, today: NaiveDate) -> Result<(u64, u64, NaiveDate), Refusal> {
        let refuse = |code, message: String| Err(Refusal::new(code, message));
        if self.operator.trim().is_empty() {
            return Err(unreadable("l'opérateur (nom, fonction) n'est pas dit"));
        }
        let formats = [DateFormat::Iso, DateFormat::French];
        let day = formats.iter().find_map(|f| f.parse(self.done_on.trim()));
        let day = day.ok_or_else(|| unreadable("la date de l'effacement est attendue (aaaa-mm-jj)"))?;
        if day < order.ordered_on || day > today {
            return refuse(
                "ELIM_DATE",
                format!(
                    "effacement daté du {}, hors de la période qui va de l'ordre ({}) à aujourd'hui : vérifiez la date",
                    day.format("%d/%m/%Y"),
                    order.ordered_on.format("%d/%m/%Y")
                ),
            );
        }
        let mut numbers: BTreeMap<u64, &AnsweredItem> = BTreeMap::new();
        for item in &self.items {
            if numbers.insert(item.number, item).is_some() {
                let message = format!("le numéro {} est répondu deux fois : gardez une réponse", item.number);
                return refuse("ELIM_ORDER_COVERAGE", message);
            }
            if !item.done && item.reason.trim().is_empty() {
                let message = format!("le numéro {} est en échec sans motif : dites pourquoi", item.number);
                return refuse("ELIM_ORDER_REASON", message);
            }
        }
        if let Some(missing) = (1..=order.items).find(|n| !numbers.contains_key(n)) {
            let message = format!(
                "l'ordre a {} numéros, la réponse n'en couvre pas le {missing} : complétez-la",
                order.items
            );
            return refuse("ELIM_ORDER_COVERAGE", message);
        }
        if numbers.len() as u64 != order.items {
            let message = format!("la réponse a des numéros que l'ordre n'a pas ({} en tout)", order.items);
            return refuse("ELIM_ORDER_COVERAGE", message);
        }
        let done = self.items.iter().filter(|i| i.done).count() as u64;
        Ok((done, order.items - done, day))
    }
}

/// What the ledger knows of a source application for a list; part of the attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCovered {
    /// The operator's answer; `None` when none was received.
    pub answer: Option<SourceAnswer>,
    /// Numbers of the order.
    pub items: u64,
    /// Identifier of the order.
    pub order: String,
    /// Its digest.
    pub order_sha256: String,
    /// Source application.
    pub source: String,
}

/// An answer as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceAnswer {
    /// Numbers done.
    pub done: u64,
    /// Day, as the operator gives it.
    pub done_on: String,
    /// Numbers that could not be.
    pub failed: u64,
    /// SHA-256 of the operator's file.
    pub file_sha256: String,
    /// Who.
    pub operator: String,
}

/// Orders of a list and their last answers, by source.
///
/// # Errors
/// Those of the ledger.
pub fn covered(store: &Store, list: &str) -> Result<Vec<SourceCovered>> {
    let answers = store.ledger.journal_kind(list, ANSWERED)?;
    let answers = answers.iter().map(|e| {
        let wrong = |_| Error::Corrupt(format!("réponse à un ordre de {list}"));
        let value: Value = serde_json::from_str(&e.payload).map_err(wrong)?;
        let order = value.get("order").and_then(Value::as_str).unwrap_or_default().to_owned();
        let answer = value.get("answer").cloned().unwrap_or_default();
        Ok((order, serde_json::from_value::<SourceAnswer>(answer).map_err(wrong)?))
    });
    let mut answers: BTreeMap<String, SourceAnswer> = answers.collect::<Result<_>>()?;
    let orders = recorded(store, list)?.into_iter().map(|o| SourceCovered {
        answer: answers.remove(&o.order),
        items: o.items,
        order: o.order,
        order_sha256: o.sha256,
        source: o.source,
    });
    Ok(orders.collect())
}

impl Desk<'_> {
    /// Takes back what an operator answers. The file itself stays with whoever imports it: its reasons
    /// may name people. After failures, a later answer replaces an earlier one.
    ///
    /// # Errors
    /// [`Error::Refused`] with what to do; those of the store.
    pub fn order_answer(&mut self, list: &str, bytes: &[u8]) -> Result<SourceCovered> {
        let answer = OperatorAnswer::read(bytes)?;
        let orders = recorded(self.store, list)?;
        let order = orders.iter().find(|o| o.order == answer.order && o.sha256 == answer.order_sha256);
        let order = order.ok_or_else(|| {
            let message = "cette attestation ne répond à aucun ordre remis pour cette liste (identifiant, empreinte) : vérifiez le fichier et la liste";
            Refusal::new("ELIM_ORDER_OTHER", message)
        })?;
        let (done, failed, day) = answer.check(order, self.date)?;
        let before = covered(self.store, list)?.into_iter().find(|c| c.order == order.order);
        if before.and_then(|c| c.answer).is_some_and(|a| a.failed == 0) {
            let message = "tout l'ordre est déjà attesté fait : il n'y a plus rien à recevoir";
            return Err(Refusal::new("ELIM_ORDER_DONE", message).into());
        }
        let recorded = SourceAnswer {
            done,
            done_on: day.to_string(),
            failed,
            file_sha256: Digest::of(bytes).to_string(),
            operator: answer.operator.trim().to_owned(),
        };
        let payload = json!({
            "list": list, "source": order.source, "order": order.order, "order_sha256": order.sha256, "answer": recorded,
        });
        let (at, date) = ((self.clock)(), self.date.to_string());
        self.store.ledger.transact(|tx| {
            tx.journal(&NewEntry { at: &at, date: &date, run_id: list, kind: ANSWERED, payload })
        })?;
        Ok(SourceCovered {
            answer: Some(recorded),
            items: order.items,
            order: order.order.clone(),
            order_sha256: order.sha256.clone(),
            source: order.source.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::day;
    use super::*;

    fn order() -> RecordedOrder {
        RecordedOrder {
            source: "ent".into(),
            order: "ORD-EL-1-ent".into(),
            sha256: "a".repeat(64),
            ordered_on: day("2026-07-23"),
            items: 3,
            records: 9,
        }
    }

    fn form(lines: &[&str]) -> String {
        format!("\u{FEFF}{}\r\n{}\r\n", COLUMNS.join(";"), lines.join("\r\n"))
    }

    fn first(rest: &str) -> String {
        format!("ORD-EL-1-ent;{};Nom, fonction;2026-08-03;{rest}", "a".repeat(64))
    }

    fn judged(text: &str) -> Result<(u64, u64), &'static str> {
        let answer = OperatorAnswer::read(text.as_bytes()).map_err(|r| r.code)?;
        answer.check(&order(), day("2026-08-10")).map(|(d, f, _)| (d, f)).map_err(|r| r.code)
    }

    #[test]
    fn an_answer_covers_every_number_once_with_a_reason_for_each_failure() {
        let one = first("1;fait;");
        for (lines, expected) in [
            (vec![one.as_str(), ";;;;2;fait;", ";;;;3;Échec;verrou"], Ok((2, 1))),
            (vec![one.as_str(), ";;;;3;fait;"], Err("ELIM_ORDER_COVERAGE")),
            (vec![one.as_str(), ";;;;2;fait;", ";;;;3;fait;", ";;;;4;fait;"], Err("ELIM_ORDER_COVERAGE")),
            (vec![one.as_str(), ";;;;1;fait;", ";;;;2;fait;", ";;;;3;fait;"], Err("ELIM_ORDER_COVERAGE")),
            (vec![one.as_str(), ";;;;2;echec; ", ";;;;3;fait;"], Err("ELIM_ORDER_REASON")),
            (vec![one.as_str(), ";;;;2;;", ";;;;3;fait;"], Err("ELIM_ORDER_ANSWER")),
            (vec![one.as_str(), ";;autre;;2;fait;", ";;;;3;fait;"], Err("ELIM_ORDER_ANSWER")),
        ] {
            assert_eq!(judged(&form(&lines)), expected, "{lines:?}");
        }
        let whole = |one: &str| form(&[one, ";;;;2;fait;", ";;;;3;fait;"]);
        for (from, to, code) in [
            ("Nom, fonction", " ", "ELIM_ORDER_ANSWER"),
            ("2026-08-03", "demain", "ELIM_ORDER_ANSWER"),
            ("2026-08-03", "22/07/2026", "ELIM_DATE"),
            ("2026-08-03", "2026-08-11", "ELIM_DATE"),
        ] {
            assert_eq!(judged(&whole(&one.replace(from, to))), Err(code), "{to}");
        }
        assert_eq!(judged(&whole(&one.replace("2026-08-03", "03/08/2026"))), Ok((3, 0)));
        assert_eq!(judged("nom;prenom\n"), Err("ELIM_ORDER_ANSWER"));
    }

    #[test]
    fn the_two_forms_say_the_same() {
        let csv = form(&[first("1;fait;").as_str(), ";;;;2;echec;verrou"]);
        let json = json!({"order": "ORD-EL-1-ent", "order_sha256": "a".repeat(64), "operator": "Nom, fonction", "done_on": "2026-08-03",
            "items": [{"number": 1, "done": true}, {"number": 2, "done": false, "reason": "verrou"}]});
        assert_eq!(OperatorAnswer::read(csv.as_bytes()), OperatorAnswer::read(json.to_string().as_bytes()));
        assert_eq!(OperatorAnswer::read(b"{\"order\": 1}").map_err(|r| r.code), Err("ELIM_ORDER_ANSWER"));
        assert_eq!(OperatorAnswer::read(b"\xFF").map_err(|r| r.code), Err("ELIM_ORDER_ANSWER"));
    }
}

//! Holds (gels): each blocks the elimination of what its scope names, whatever the dates.

use super::{Ledger, Tx, get};
use crate::domain::{DateFormat, Digest};
use crate::elimination::refusal::Refusal;
use crate::error::{Error, Result};
use crate::journal::canonical;
use chrono::NaiveDate;
use rusqlite::{Row, params};
use serde_json::{Value, json};

/// One hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gel {
    /// Identifier.
    pub id: String,
    /// Why: proceedings, inquiry, audit…
    pub reason: String,
    /// Who asked for it.
    pub owner: String,
    /// Which records, as the person wrote it.
    pub scope: String,
    /// First day.
    pub from: NaiveDate,
    /// First day on which it no longer holds; `None` until somebody lifts it.
    pub until: Option<NaiveDate>,
    /// Day on which to ask whether it is still needed.
    pub reassess_on: Option<NaiveDate>,
    /// Person who placed it.
    pub placed_by: String,
    /// Logical day of the placing.
    pub placed_on: NaiveDate,
    /// Day of the lifting.
    pub lifted_on: Option<NaiveDate>,
    /// Person who lifted it.
    pub lifted_by: Option<String>,
}

impl Gel {
    /// Whether it blocks on a day. Several holds may block the same record.
    pub fn is_active(&self, on: NaiveDate) -> bool {
        self.from <= on && self.until.is_none_or(|end| on < end) && self.lifted_on.is_none_or(|l| on < l)
    }

    /// Whether the day came to ask if it is still needed; it holds all the same.
    pub fn to_reassess(&self, on: NaiveDate) -> bool {
        self.is_active(on) && self.reassess_on.is_some_and(|day| day <= on)
    }
}

/// Digest of the holds that are not lifted, whatever the day: it changes when somebody places or
/// lifts one, and not when a hold starts or ends as it was placed.
pub fn gels_digest(gels: &[Gel]) -> String {
    let mut held: Vec<&Gel> = gels.iter().filter(|g| g.lifted_on.is_none()).collect();
    held.sort_by(|a, b| a.id.cmp(&b.id));
    let list: Vec<Value> = held
        .into_iter()
        .map(|g| {
            let until = g.until.map(|d| d.to_string());
            json!({"from": g.from.to_string(), "id": g.id, "scope": g.scope, "until": until})
        })
        .collect();
    Digest::of(canonical(&Value::Array(list)).as_bytes()).to_string()
}

fn day(row: &Row<'_>, column: &str) -> Result<Option<NaiveDate>> {
    let found: Option<String> = get(row, column)?;
    let parse =
        |t: String| DateFormat::Iso.parse(&t).ok_or_else(|| Error::Corrupt(format!("gel : jour « {t} »")));
    found.map(parse).transpose()
}

fn gel(row: &Row<'_>) -> Result<Gel> {
    let must = |column| -> Result<NaiveDate> {
        day(row, column)?.ok_or_else(|| Error::Corrupt(format!("gel sans {column}")))
    };
    Ok(Gel {
        id: get(row, "id")?,
        reason: get(row, "reason")?,
        owner: get(row, "owner")?,
        scope: get(row, "scope")?,
        from: must("from_day")?,
        until: day(row, "until_day")?,
        reassess_on: day(row, "next_reassess")?,
        placed_by: get(row, "placed_by")?,
        placed_on: must("placed_on")?,
        lifted_on: day(row, "lifted_on")?,
        lifted_by: get(row, "lifted_by")?,
    })
}

const GELS: &str = "SELECT g.*, l.on_day AS lifted_on, l.actor AS lifted_by,
  CASE WHEN r.seq IS NULL THEN g.reassess_on ELSE r.reassess_on END AS next_reassess
 FROM gels g LEFT JOIN gel_events l ON l.gel_id = g.id AND l.event = 'lifted'
 LEFT JOIN gel_events r ON r.seq = (SELECT max(seq) FROM gel_events WHERE gel_id = g.id AND event = 'reassessed')
 ORDER BY g.id";

impl Tx<'_> {
    /// Places a hold, `at` being the machine's UTC time; what it says of its lifting is not read.
    ///
    /// # Errors
    /// [`Error::Refused`] when it says too little; those of the ledger, a known identifier among them.
    pub fn place_gel(&self, gel: &Gel, at: &str) -> Result<()> {
        let texts = [&gel.id, &gel.reason, &gel.owner, &gel.scope, &gel.placed_by];
        if texts.iter().any(|t| t.trim().is_empty()) || gel.until.is_some_and(|end| end <= gel.from) {
            return Err(Refusal::new(
                "GEL_INCOMPLETE",
                "un gel a un motif, un demandeur, un périmètre et une fin après son début, ou aucune : complétez-le",
            )
            .into());
        }
        self.0.execute(
            "INSERT INTO gels (id, reason, owner, scope, from_day, until_day, reassess_on, placed_by, placed_on, at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                gel.id,
                gel.reason,
                gel.owner,
                gel.scope,
                gel.from.to_string(),
                gel.until.map(|d| d.to_string()),
                gel.reassess_on.map(|d| d.to_string()),
                gel.placed_by,
                gel.placed_on.to_string(),
                at
            ],
        )?;
        Ok(())
    }

    /// Lifts a hold for a reason.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none to lift; those of the ledger.
    pub fn lift_gel(&self, id: &str, actor: &str, on: NaiveDate, reason: &str, at: &str) -> Result<()> {
        self.gel_event(id, "lifted", actor, on, None, reason, at)
    }

    /// Notes that somebody asked whether a hold is still needed, and when to ask again.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none; those of the ledger.
    pub fn reassess_gel(
        &self,
        id: &str,
        actor: &str,
        on: NaiveDate,
        next: Option<NaiveDate>,
        reason: &str,
        at: &str,
    ) -> Result<()> {
        self.gel_event(id, "reassessed", actor, on, next, reason, at)
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row, private to this file")]
    fn gel_event(
        &self,
        id: &str,
        event: &str,
        actor: &str,
        on: NaiveDate,
        next: Option<NaiveDate>,
        reason: &str,
        at: &str,
    ) -> Result<()> {
        let sql = "SELECT placed_on FROM gels WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM gel_events WHERE gel_id = ?1 AND event = 'lifted')";
        let placed: Option<String> =
            rusqlite::OptionalExtension::optional(self.0.query_row(sql, [id], |r| r.get(0)))?;
        let refuse = |message: &str| Err(Refusal::new("GEL_NOT_ACTIVE", message).into());
        match placed {
            None => return refuse("aucun gel de ce nom n'est en cours : voyez la liste des gels"),
            Some(day) if on.to_string() < day => {
                return refuse("ce gel n'était pas encore posé à cette date : vérifiez la date");
            }
            Some(_) if reason.trim().is_empty() || actor.trim().is_empty() => {
                return refuse("dites qui le demande et pourquoi : donnez un motif");
            }
            Some(_) => {}
        }
        self.0.execute(
            "INSERT INTO gel_events (gel_id, event, actor, on_day, reassess_on, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![id, event, actor, on.to_string(), next.map(|d| d.to_string()), reason, at],
        )?;
        Ok(())
    }
}

impl Ledger {
    /// Every hold ever placed, by identifier.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn gels(&self) -> Result<Vec<Gel>> {
        let mut statement = self.db.prepare_cached(GELS)?;
        let mut rows = statement.query([])?;
        let mut gels = Vec::new();
        while let Some(row) = rows.next()? {
            gels.push(gel(row)?);
        }
        Ok(gels)
    }
}

#[cfg(test)]
mod tests {
    use super::super::elimination::tests::ledger;
    use super::*;

    const AT: &str = "2026-03-01T00:00:00Z";

    fn on(text: &str) -> NaiveDate {
        DateFormat::Iso.parse(text).unwrap()
    }

    fn hold(id: &str) -> Gel {
        Gel {
            id: id.into(),
            reason: "contentieux".into(),
            owner: "service juridique".into(),
            scope: "annee_scolaire = '2015-2016'".into(),
            from: on("2026-03-01"),
            until: None,
            reassess_on: Some(on("2026-09-01")),
            placed_by: "alice".into(),
            placed_on: on("2026-03-01"),
            lifted_on: None,
            lifted_by: None,
        }
    }

    fn code(result: Result<()>) -> Option<&'static str> {
        match result {
            Ok(()) => None,
            Err(Error::Refused { code, .. }) => Some(code),
            Err(_) => Some("ledger"),
        }
    }

    #[test]
    fn a_hold_blocks_from_its_first_day_to_the_day_before_its_end() {
        let open = hold("g");
        let ended = Gel { until: Some(on("2026-04-01")), ..open.clone() };
        let lifted = Gel { lifted_on: Some(on("2026-03-15")), ..open.clone() };
        for (gel, day, want) in [
            (&open, "2026-02-28", false),
            (&open, "2026-03-01", true),
            (&open, "2126-03-01", true),
            (&ended, "2026-03-31", true),
            (&ended, "2026-04-01", false),
            (&lifted, "2026-03-14", true),
            (&lifted, "2026-03-15", false),
        ] {
            assert_eq!(gel.is_active(on(day)), want, "{day}");
        }
    }

    #[test]
    fn a_hold_is_placed_reassessed_and_lifted_once() {
        let mut ledger = ledger();
        let done = ledger.transact(|tx| {
            tx.place_gel(&hold("g1"), AT)?;
            tx.place_gel(&hold("g2"), AT)?;
            tx.reassess_gel("g1", "bernard", on("2026-09-01"), Some(on("2027-09-01")), "toujours utile", AT)?;
            tx.reassess_gel("g2", "bernard", on("2026-09-01"), None, "sans nouvelle échéance", AT)?;
            tx.lift_gel("g1", "bernard", on("2026-10-01"), "jugement définitif", AT)
        });
        assert_eq!(code(done), None);
        let gels = ledger.gels().unwrap();
        let first = Gel {
            reassess_on: Some(on("2027-09-01")),
            lifted_on: Some(on("2026-10-01")),
            lifted_by: Some("bernard".into()),
            ..hold("g1")
        };
        assert_eq!(gels, [first, Gel { reassess_on: None, ..hold("g2") }]);
        let asked = |day| (hold("g").to_reassess(on(day)), hold("g").is_active(on(day)));
        assert_eq!([asked("2026-08-31"), asked("2026-09-01")], [(false, true), (true, true)]);
        assert!(!gels.iter().any(|g| g.to_reassess(on("2026-12-01"))));
        let again = ledger.transact(|tx| tx.lift_gel("g1", "alice", on("2026-11-01"), "encore", AT));
        assert_eq!(code(again), Some("GEL_NOT_ACTIVE"));
    }

    #[test]
    fn a_hold_that_says_too_little_is_refused() {
        let mut ledger = ledger();
        for bad in [
            Gel { reason: " ".into(), ..hold("g") },
            Gel { owner: String::new(), ..hold("g") },
            Gel { scope: String::new(), ..hold("g") },
            Gel { until: Some(on("2026-03-01")), ..hold("g") },
        ] {
            assert_eq!(code(ledger.transact(|tx| tx.place_gel(&bad, AT))), Some("GEL_INCOMPLETE"));
        }
        ledger.transact(|tx| tx.place_gel(&hold("g"), AT)).unwrap();
        assert_eq!(code(ledger.transact(|tx| tx.place_gel(&hold("g"), AT))), Some("ledger"), "same name");
        for (id, day, reason) in
            [("x", "2026-04-01", "motif"), ("g", "2026-02-01", "motif"), ("g", "2026-04-01", "")]
        {
            let lifted = ledger.transact(|tx| tx.lift_gel(id, "alice", on(day), reason, AT));
            assert_eq!(code(lifted), Some("GEL_NOT_ACTIVE"), "{id} {day}");
        }
    }

    #[test]
    fn the_digest_of_the_holds_follows_the_placing_and_the_lifting_alone() {
        let (one, two) = (hold("a"), hold("b"));
        let lifted = Gel { lifted_on: Some(on("2026-04-01")), ..two.clone() };
        let asked = Gel { reassess_on: None, ..one.clone() };
        let of = |gels: &[&Gel]| gels_digest(&gels.iter().map(|g| (*g).clone()).collect::<Vec<_>>());
        assert_eq!(of(&[&one, &two]), of(&[&two, &one]));
        assert_eq!(of(&[&one, &lifted]), of(&[&one]));
        assert_eq!(of(&[&asked]), of(&[&one]));
        assert_ne!(of(&[&one, &two]), of(&[&one]));
        assert_ne!(of(&[&Gel { scope: "tout".into(), ..one.clone() }]), of(&[&one]));
    }

    #[test]
    fn the_ledger_refuses_to_change_or_forget_a_hold() {
        let mut ledger = ledger();
        ledger.transact(|tx| tx.place_gel(&hold("g"), AT)).unwrap();
        ledger.transact(|tx| tx.lift_gel("g", "alice", on("2026-04-01"), "fin", AT)).unwrap();
        for sql in [
            "UPDATE gels SET until_day = '2026-03-02'",
            "DELETE FROM gels",
            "INSERT OR REPLACE INTO gels SELECT * FROM gels",
            "UPDATE gel_events SET on_day = '2026-03-02'",
            "DELETE FROM gel_events",
            "INSERT INTO gel_events (gel_id, event, actor, on_day, reason, at) VALUES ('g', 'lifted', 'a', '2026-05-01', 'r', '')",
        ] {
            assert!(ledger.db.execute_batch(sql).is_err(), "{sql}");
        }
    }
}

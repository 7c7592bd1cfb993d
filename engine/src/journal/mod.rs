//! The journal: every state change, each entry holding the digest of the one before it. It keeps
//! digests and counts, never a personal value. Without a time-stamping authority it proves order
//! and integrity, not certain time.

use crate::domain::Digest;
use crate::error::Result;
use crate::store::{Store, files};
use serde::Serialize;
use std::collections::BTreeSet;

/// One entry, as stored and as mirrored in `journal/<date>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// From 1.
    pub seq: i64,
    /// UTC time of the machine, RFC 3339.
    pub at: String,
    /// Logical date of the run.
    pub date: String,
    /// Run.
    pub run_id: String,
    /// What happened.
    pub kind: String,
    /// JSON, keys sorted.
    pub payload: String,
    /// `hash` of the entry before; 64 zeros for the first.
    pub prev: String,
    /// SHA-256 of all of the above.
    pub hash: String,
}

/// An entry before it takes its place.
pub struct NewEntry<'a> {
    /// UTC time, RFC 3339.
    pub at: &'a str,
    /// Logical date.
    pub date: &'a str,
    /// Run.
    pub run_id: &'a str,
    /// What happened.
    pub kind: &'a str,
    /// Facts: digests, counts, paths.
    pub payload: serde_json::Value,
}

impl NewEntry<'_> {
    /// The entry that follows `last`.
    pub fn chained(&self, last: Option<(i64, String)>) -> Entry {
        let (seq, prev) = last.map_or_else(|| (1, "0".repeat(64)), |(seq, hash)| (seq + 1, hash));
        let mut entry = Entry {
            seq,
            at: self.at.to_owned(),
            date: self.date.to_owned(),
            run_id: self.run_id.to_owned(),
            kind: self.kind.to_owned(),
            payload: canonical(&self.payload),
            prev,
            hash: String::new(),
        };
        entry.hash = entry.digest();
        entry
    }
}

impl Entry {
    fn digest(&self) -> String {
        let seq = self.seq.to_string();
        Digest::of_lines([&*self.prev, &seq, &self.at, &self.date, &self.run_id, &self.kind, &self.payload])
            .to_string()
    }
}

/// JSON with sorted keys and no spaces: one text for one value.
pub fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let fields = keys.into_iter().map(|k| {
                let inner = map.get(k).map(canonical).unwrap_or_default();
                format!("{}:{inner}", Value::String(k.clone()))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// What `journal verify` finds.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// `intact` or `broken`.
    pub verdict: &'static str,
    /// Entries read.
    pub entries: usize,
    /// Digest of the last entry.
    pub head: String,
    /// Number of the first entry that does not hold.
    pub first_broken: Option<i64>,
}

/// Checks the chain: numbers without gap, links, digests.
pub fn verify_chain(entries: &[Entry]) -> Verification {
    let mut prev = "0".repeat(64);
    let mut first_broken = None;
    for (entry, expected) in entries.iter().zip(1_i64..) {
        if entry.seq != expected || entry.prev != prev || entry.hash != entry.digest() {
            first_broken = Some(expected);
            break;
        }
        prev.clone_from(&entry.hash);
    }
    Verification {
        verdict: if first_broken.is_none() { "intact" } else { "broken" },
        entries: entries.len(),
        head: entries.last().map_or_else(|| "0".repeat(64), |e| e.hash.clone()),
        first_broken,
    }
}

/// Checks the chain in the ledger, and that each mirror file says the same.
///
/// # Errors
/// When the ledger cannot be read.
pub fn verify(store: &Store) -> Result<Verification> {
    let entries = store.ledger.journal_from(1)?;
    let mut result = verify_chain(&entries);
    // What was mirrored existed: a journal that ends before it was cut.
    if result.first_broken.is_none() && store.ledger.mirrored_seq()? > result.entries as i64 {
        result.first_broken = Some(result.entries as i64 + 1);
        result.verdict = "broken";
    }
    if result.first_broken.is_none() {
        let mut dates: BTreeSet<String> = entries.iter().map(|e| e.date.clone()).collect();
        dates.extend(
            files::list(&store.path("journal"))?
                .iter()
                .filter_map(|p| p.file_name()?.to_str()?.strip_suffix(".jsonl").map(str::to_owned)),
        );
        for date in &dates {
            let mirror = std::fs::read_to_string(mirror_path(store, date)).unwrap_or_default();
            let mut lines = mirror.lines();
            let differs =
                entries.iter().filter(|e| e.date == *date).find(|e| lines.next() != Some(line(e).as_str()));
            let broken = differs.map(|e| e.seq).or_else(|| lines.next().map(|_| result.entries as i64 + 1));
            if let Some(seq) = broken {
                result.first_broken = Some(result.first_broken.map_or(seq, |first: i64| first.min(seq)));
                result.verdict = "broken";
            }
        }
    }
    Ok(result)
}

/// Writes the mirror of every date that has entries newer than the last mirror.
///
/// # Errors
/// When the disk refuses.
pub fn mirror(store: &mut Store) -> Result<()> {
    let new = store.ledger.journal_from(store.ledger.mirrored_seq()? + 1)?;
    let Some(last) = new.last().map(|e| e.seq) else { return Ok(()) };
    let dates: BTreeSet<&str> = new.iter().map(|e| e.date.as_str()).collect();
    for date in dates {
        let mut text = String::new();
        for entry in store.ledger.journal_of(date)? {
            text.push_str(&line(&entry));
            text.push('\n');
        }
        files::write_atomic(&mirror_path(store, date), text.as_bytes())?;
    }
    store.ledger.transact(|tx| tx.mirrored(last))
}

fn mirror_path(store: &Store, date: &str) -> std::path::PathBuf {
    store.path(&format!("journal/{date}.jsonl"))
}

fn line(entry: &Entry) -> String {
    serde_json::to_value(entry).map(|v| canonical(&v)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chain(n: i64) -> Vec<Entry> {
        let mut out: Vec<Entry> = Vec::new();
        for i in 0..n {
            let new = NewEntry {
                at: "2026-01-12T02:30:00Z",
                date: "2026-01-12",
                run_id: "r",
                kind: "test",
                payload: json!({"b": i, "a": [1, {"d": null, "c": "é"}]}),
            };
            let last = out.last().map(|e| (e.seq, e.hash.clone()));
            out.push(new.chained(last));
        }
        out
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        assert_eq!(chain(1)[0].payload, r#"{"a":[1,{"c":"é","d":null}],"b":0}"#);
    }

    #[test]
    fn any_changed_byte_a_gap_or_an_exchange_is_found_at_its_place() {
        let whole = chain(5);
        assert_eq!(verify_chain(&whole).verdict, "intact");
        for i in 0..5 {
            for change in 0..6 {
                let mut broken = whole.clone();
                match change {
                    0 => broken[i].payload.push(' '),
                    1 => broken[i].at = "2026-01-12T02:30:01Z".into(),
                    2 => broken[i].kind = "tesu".into(),
                    3 => broken[i].run_id = "s".into(),
                    4 => broken[i].date = "2026-01-13".into(),
                    _ => broken[i].hash = broken[i].hash.replace('a', "b"),
                }
                if broken != whole {
                    assert_eq!(verify_chain(&broken).first_broken, Some(i as i64 + 1), "{change}");
                }
            }
        }
        let mut gap = whole.clone();
        gap.remove(2);
        assert_eq!(verify_chain(&gap).first_broken, Some(3));
        let mut exchanged = whole;
        exchanged.swap(1, 2);
        assert_eq!(verify_chain(&exchanged).first_broken, Some(2));
    }
}

//! Which snapshots say the present state of a table.

use super::Snapshot;
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Of each sender and school year, the last complete delivery (all its files, in the order of their
/// arrival), or every increment; nothing delivered after `date`. Oldest first: a later record of the same key
/// replaces an earlier one.
pub fn current(all: &[Snapshot], complete: bool, date: NaiveDate) -> Vec<&Snapshot> {
    let date = date.to_string();
    let mut out: Vec<&Snapshot> = all.iter().filter(|s| s.delivery_date <= date).collect();
    if complete {
        let mut last: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for s in &out {
            let slot = last.entry((&s.emitter, &s.annee_scolaire)).or_default();
            *slot = (*slot).max(s.delivery_date.as_str());
        }
        out.retain(|s| {
            last.get(&(s.emitter.as_str(), s.annee_scolaire.as_str())) == Some(&s.delivery_date.as_str())
        });
    }
    out.sort_by(|a, b| a.delivery_date.cmp(&b.delivery_date));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_complete_delivery_of_each_sender_and_year_or_every_increment() {
        let snapshot = |emitter: &str, year: &str, date: &str, path: &str| Snapshot {
            emitter: emitter.into(),
            path: path.into(),
            table_name: "t".into(),
            record_class: "c".into(),
            annee_scolaire: year.into(),
            delivery_id: "d".into(),
            delivery_date: date.into(),
            rows: 1,
            sha256: "s".into(),
        };
        let all = [
            snapshot("e", "2024-2025", "2025-07-05", "a"),
            snapshot("e", "2025-2026", "2026-01-10", "z"),
            snapshot("e", "2025-2026", "2026-01-10", "b"),
            snapshot("e", "2025-2026", "2025-09-10", "c"),
            snapshot("e", "2025-2026", "2026-02-10", "d"),
            snapshot("f", "2025-2026", "2025-10-01", "g"),
        ];
        let day = NaiveDate::from_ymd_opt(2026, 1, 12).unwrap();
        let paths =
            |complete| current(&all, complete, day).iter().map(|s| s.path.as_str()).collect::<Vec<_>>();
        assert_eq!(paths(true), ["a", "g", "z", "b"]);
        assert_eq!(paths(false), ["a", "c", "g", "z", "b"]);
    }
}

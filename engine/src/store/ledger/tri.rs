//! Tris in the ledger: populations recorded, then drawn among once.

use super::{Ledger, Tx, get};
use crate::error::Result;
use rusqlite::{Row, params};

/// A population recorded for a plan, and its draw once there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriRow {
    /// Identifier, also the number of the request.
    pub id: String,
    /// Plan.
    pub plan: String,
    /// Its version.
    pub plan_version: String,
    /// SHA-256 of the plan's JSON text, hexadecimal.
    pub plan_digest: String,
    /// Merkle root of the population, hexadecimal.
    pub population_root: String,
    /// SHA-256 of the population's file, hexadecimal.
    pub population_sha256: String,
    /// Folder below the root of the store.
    pub path: String,
    /// Records.
    pub records: i64,
    /// Logical day of the recording.
    pub recorded_on: String,
    /// Person who recorded it.
    pub person: String,
    /// What was drawn.
    pub draw: Option<TriDraw>,
}

/// A draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriDraw {
    /// Value that nobody could know when the population was recorded.
    pub public_value: String,
    /// Where it comes from, for people.
    pub origin: String,
    /// SHA-256 of the manifest, hexadecimal.
    pub manifest_sha256: String,
    /// Records kept.
    pub kept: i64,
    /// Logical day.
    pub drawn_on: String,
    /// Person who asked for it.
    pub person: String,
}

fn tri(row: &Row<'_>) -> rusqlite::Result<TriRow> {
    let draw = match get::<Option<String>>(row, "public_value")? {
        None => None,
        Some(public_value) => Some(TriDraw {
            public_value,
            origin: get(row, "origin")?,
            manifest_sha256: get(row, "manifest_sha256")?,
            kept: get(row, "kept")?,
            drawn_on: get(row, "drawn_on")?,
            person: get(row, "drawn_by")?,
        }),
    };
    Ok(TriRow {
        id: get(row, "id")?,
        plan: get(row, "plan")?,
        plan_version: get(row, "plan_version")?,
        plan_digest: get(row, "plan_digest")?,
        population_root: get(row, "population_root")?,
        population_sha256: get(row, "population_sha256")?,
        path: get(row, "path")?,
        records: get(row, "records")?,
        recorded_on: get(row, "recorded_on")?,
        person: get(row, "person")?,
        draw,
    })
}

impl Tx<'_> {
    /// Records a population; its draw comes later.
    ///
    /// # Errors
    /// Those of the ledger; among them, a population that is known for the plan.
    pub fn tri(&self, tri: &TriRow) -> Result<()> {
        self.settle()?;
        self.0.execute(
            "INSERT INTO tris (id, plan, plan_version, plan_digest, population_root, population_sha256, path, records, recorded_on, person, after_draw)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM tri_draws))",
            params![
                tri.id,
                tri.plan,
                tri.plan_version,
                tri.plan_digest,
                tri.population_root,
                tri.population_sha256,
                tri.path,
                tri.records,
                tri.recorded_on,
                tri.person
            ],
        )?;
        Ok(())
    }

    /// Records the draw of a tri.
    ///
    /// # Errors
    /// Those of the ledger; among them, a second draw, and a value known too early.
    pub fn tri_draw(&self, tri: &str, draw: &TriDraw) -> Result<()> {
        self.settle()?;
        self.0.execute(
            "INSERT INTO tri_draws (tri_id, public_value, origin, manifest_sha256, kept, drawn_on, person) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![tri, draw.public_value, draw.origin, draw.manifest_sha256, draw.kept, draw.drawn_on, draw.person],
        )?;
        Ok(())
    }
}

impl Ledger {
    /// Tris, in the order of their recording.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn tris(&self) -> Result<Vec<TriRow>> {
        let sql = "SELECT t.*, d.public_value, d.origin, d.manifest_sha256, d.kept, d.drawn_on, d.person AS drawn_by
             FROM tris t LEFT JOIN tri_draws d ON d.tri_id = t.id ORDER BY t.seq";
        self.all(sql, &[], tri)
    }

    /// Whether a public value had served a draw before this population was recorded.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn value_known_before(&self, value: &str, tri: &str) -> Result<bool> {
        let sql = "SELECT count(*) > 0 FROM tri_draws d JOIN tris t ON t.id = ?2 WHERE d.public_value = ?1 AND d.seq <= t.after_draw";
        Ok(self.db.query_row(sql, [value, tri], |r| r.get(0))?)
    }
}

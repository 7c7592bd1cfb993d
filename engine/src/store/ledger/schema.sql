-- Facts of the store. Tables marked append-only refuse changes: what was decided, published or
-- packaged is never rewritten.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- Paths that are about to appear; empty whenever no transaction is in preparation. After a crash,
-- only what is listed here and nothing else names is removed.
CREATE TABLE pending (path TEXT PRIMARY KEY) STRICT;

CREATE TABLE runs (
  id TEXT PRIMARY KEY, job TEXT NOT NULL, logical_date TEXT NOT NULL, revision INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('running', 'ok', 'gated', 'failed')),
  UNIQUE (job, logical_date, revision)
) STRICT;

-- One row each time a process works on a run; times are those of the machine.
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs (id),
  started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT
) STRICT;

CREATE TABLE steps (
  run_id TEXT NOT NULL REFERENCES runs (id), ordinal INTEGER NOT NULL, name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ok', 'gated')),
  read INTEGER NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, excluded INTEGER NOT NULL,
  outputs TEXT NOT NULL, detail TEXT NOT NULL, millis INTEGER NOT NULL,
  PRIMARY KEY (run_id, name),
  CHECK (read = accepted + rejected + excluded)
) STRICT;

CREATE TABLE deliveries (
  id TEXT PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, delivery_date TEXT NOT NULL,
  emitter TEXT NOT NULL, run_id TEXT NOT NULL REFERENCES runs (id)
) STRICT;

CREATE TABLE files (
  sha256 TEXT NOT NULL, delivery_id TEXT NOT NULL REFERENCES deliveries (id),
  name TEXT NOT NULL, size INTEGER NOT NULL, table_name TEXT NOT NULL, PRIMARY KEY (name, sha256)
) STRICT;

CREATE TABLE refusals (
  name TEXT NOT NULL, sha256 TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id), PRIMARY KEY (name, sha256)
) STRICT;

CREATE TABLE ingests (
  delivery_id TEXT PRIMARY KEY REFERENCES deliveries (id), run_id TEXT NOT NULL REFERENCES runs (id),
  status TEXT NOT NULL CHECK (status IN ('accepted', 'refused')),
  read INTEGER NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, quality TEXT NOT NULL
) STRICT;

CREATE TABLE snapshots (
  path TEXT PRIMARY KEY, table_name TEXT NOT NULL, record_class TEXT NOT NULL, annee_scolaire TEXT NOT NULL,
  delivery_id TEXT NOT NULL REFERENCES deliveries (id), delivery_date TEXT NOT NULL, emitter TEXT NOT NULL,
  rows INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE quarantines (
  path TEXT PRIMARY KEY, table_name TEXT NOT NULL, delivery_id TEXT NOT NULL REFERENCES deliveries (id),
  rows INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE publications (
  dataset TEXT NOT NULL, version TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id), PRIMARY KEY (dataset, version)
) STRICT;

CREATE TABLE elimination_lists (
  id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, path TEXT NOT NULL, records INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('proposed')), proposed_on TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id)
) STRICT;

CREATE TABLE sips (
  id TEXT PRIMARY KEY, record_class TEXT NOT NULL, annee_scolaire TEXT NOT NULL, path TEXT NOT NULL,
  sha512 TEXT NOT NULL, records INTEGER NOT NULL, run_id TEXT NOT NULL REFERENCES runs (id)
) STRICT;

-- Which records went into a package: all those of a snapshot, once.
CREATE TABLE sip_items (
  sip_id TEXT NOT NULL REFERENCES sips (id), snapshot TEXT PRIMARY KEY REFERENCES snapshots (path),
  records INTEGER NOT NULL
) STRICT;

CREATE TABLE journal (
  seq INTEGER PRIMARY KEY, at TEXT NOT NULL, logical_date TEXT NOT NULL, run_id TEXT NOT NULL,
  kind TEXT NOT NULL, payload TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL UNIQUE
) STRICT;

CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER publications_no_update BEFORE UPDATE ON publications BEGIN SELECT RAISE(ABORT, 'publications are append-only'); END;
CREATE TRIGGER publications_no_delete BEFORE DELETE ON publications BEGIN SELECT RAISE(ABORT, 'publications are append-only'); END;
CREATE TRIGGER sips_no_update BEFORE UPDATE ON sips BEGIN SELECT RAISE(ABORT, 'packages are append-only'); END;
CREATE TRIGGER sips_no_delete BEFORE DELETE ON sips BEGIN SELECT RAISE(ABORT, 'packages are append-only'); END;
CREATE TRIGGER lists_no_delete BEFORE DELETE ON elimination_lists BEGIN SELECT RAISE(ABORT, 'lists are kept for ever'); END;

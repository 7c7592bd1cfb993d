-- Version 2: editions of the nomenclatures, each kept as it came. The last imported one on or before a
-- run's date governs it.
CREATE TABLE editions (
  seq INTEGER PRIMARY KEY, table_name TEXT NOT NULL, sha256 TEXT NOT NULL, file TEXT NOT NULL,
  path TEXT NOT NULL, imported_on TEXT NOT NULL, codes INTEGER NOT NULL
) STRICT;
CREATE TRIGGER editions_no_update BEFORE UPDATE ON editions BEGIN SELECT RAISE(ABORT, 'editions are append-only'); END;
CREATE TRIGGER editions_no_delete BEFORE DELETE ON editions BEGIN SELECT RAISE(ABORT, 'editions are append-only'); END;

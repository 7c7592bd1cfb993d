-- Version 8: the register of publications. For each version: of whom, which rows, at which date, by which zoning,
-- what is masked, under which policy, and the digest of all the files that left.
CREATE TABLE publication_facts (
  dataset TEXT NOT NULL, version TEXT NOT NULL,
  sums_sha256 TEXT NOT NULL CHECK (length(sums_sha256) = 64),
  source_table TEXT NOT NULL, school_year TEXT NOT NULL, population TEXT NOT NULL, state TEXT NOT NULL,
  row_filter TEXT NOT NULL, zoning TEXT NOT NULL, mask_sha256 TEXT NOT NULL CHECK (length(mask_sha256) = 64),
  figures INTEGER NOT NULL CHECK (figures >= 0), masked INTEGER NOT NULL CHECK (masked BETWEEN 0 AND figures),
  policy TEXT NOT NULL,
  PRIMARY KEY (dataset, version),
  FOREIGN KEY (dataset, version) REFERENCES publications (dataset, version)
) STRICT;
CREATE TRIGGER publication_facts_no_update BEFORE UPDATE ON publication_facts
BEGIN SELECT RAISE(ABORT, 'publications are append-only'); END;
CREATE TRIGGER publication_facts_no_delete BEFORE DELETE ON publication_facts
BEGIN SELECT RAISE(ABORT, 'publications are append-only'); END;

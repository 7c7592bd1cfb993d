-- Version 5: rows of several producers lie in one snapshot and go into several packages of one set,
-- made together. Never more rows than the snapshot has: a record is packaged once.
CREATE TABLE sip_items_5 (
  sip_id TEXT NOT NULL REFERENCES sips (id), snapshot TEXT NOT NULL REFERENCES snapshots (path),
  records INTEGER NOT NULL CHECK (records > 0),
  PRIMARY KEY (sip_id, snapshot)
) STRICT;
INSERT INTO sip_items_5 SELECT sip_id, snapshot, records FROM sip_items;
DROP TABLE sip_items;
ALTER TABLE sip_items_5 RENAME TO sip_items;
CREATE INDEX sip_items_snapshot ON sip_items (snapshot);
CREATE TRIGGER sip_items_once BEFORE INSERT ON sip_items
WHEN (SELECT coalesce(sum(records), 0) FROM sip_items WHERE snapshot = new.snapshot) + new.records
  > (SELECT rows FROM snapshots WHERE path = new.snapshot)
BEGIN SELECT RAISE(ABORT, 'a record is packaged once'); END;

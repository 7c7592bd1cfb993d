-- Version 6: deposits of packages, and what the archive answered. What a package holds outlives the
-- local copy of it: `sip_items` no longer refers to a snapshot that must stay.
DROP TRIGGER sip_items_once;
CREATE TABLE sip_items_6 (
  sip_id TEXT NOT NULL REFERENCES sips (id), snapshot TEXT NOT NULL, records INTEGER NOT NULL CHECK (records > 0),
  PRIMARY KEY (sip_id, snapshot)
) STRICT;
INSERT INTO sip_items_6 SELECT sip_id, snapshot, records FROM sip_items;
DROP TABLE sip_items;
ALTER TABLE sip_items_6 RENAME TO sip_items;
CREATE INDEX sip_items_snapshot ON sip_items (snapshot);

-- Every answer of the archive, in order; the last one governs, and nothing follows one that archives.
CREATE TABLE sip_replies (
  seq INTEGER PRIMARY KEY, sip_id TEXT NOT NULL REFERENCES sips (id),
  sha512 TEXT NOT NULL CHECK (length(sha512) = 128 AND sha512 NOT GLOB '*[^0-9a-f]*'),
  verdict TEXT NOT NULL CHECK (verdict IN ('archived', 'received', 'incomplete', 'refused', 'undecided')),
  message_id TEXT NOT NULL, replied_at TEXT NOT NULL,
  on_day TEXT NOT NULL CHECK (on_day IS date(on_day)), UNIQUE (sip_id, sha512)
) STRICT;

-- What the archive calls our units and objects.
CREATE TABLE sip_identifiers (
  reply INTEGER NOT NULL REFERENCES sip_replies (seq), kind TEXT NOT NULL CHECK (kind IN ('unit', 'object')),
  xml_id TEXT NOT NULL, system_id TEXT NOT NULL CHECK (system_id <> ''), PRIMARY KEY (reply, kind, xml_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW sip_verdicts (sip_id, verdict, sha512) AS
SELECT sip_id, verdict, sha512 FROM sip_replies r
WHERE seq = (SELECT max(seq) FROM sip_replies WHERE sip_id = r.sip_id);

-- How far the deposit of a package is. A package has one identifier and goes to one target.
CREATE TABLE deposits (
  sip_id TEXT PRIMARY KEY REFERENCES sips (id), target TEXT NOT NULL CHECK (target <> ''),
  sha512 TEXT NOT NULL UNIQUE, state TEXT NOT NULL CHECK (state IN ('planned', 'sending', 'sent', 'replied')),
  since TEXT, operation TEXT CHECK (operation <> ''), reply_sha512 TEXT, sent_at TEXT,
  CHECK ((state = 'sending') = (since IS NOT NULL)),
  CHECK ((state IN ('sent', 'replied')) = (operation IS NOT NULL)),
  CHECK ((state IN ('sent', 'replied')) = (sent_at IS NOT NULL)),
  CHECK ((state = 'replied') = (reply_sha512 IS NOT NULL))
) STRICT;

CREATE TRIGGER sip_items_known BEFORE INSERT ON sip_items
WHEN NOT EXISTS (SELECT 1 FROM snapshots WHERE path = NEW.snapshot)
BEGIN SELECT RAISE(ABORT, 'a package holds what the tables hold'); END;
-- What the archive refused may be packaged anew.
CREATE TRIGGER sip_items_once BEFORE INSERT ON sip_items
WHEN (SELECT coalesce(sum(i.records), 0) FROM sip_items i LEFT JOIN sip_verdicts v ON v.sip_id = i.sip_id
    WHERE i.snapshot = NEW.snapshot AND v.verdict IS NOT 'refused') + NEW.records
  > (SELECT rows FROM snapshots WHERE path = NEW.snapshot)
BEGIN SELECT RAISE(ABORT, 'a record is packaged once'); END;
CREATE TRIGGER sip_replies_last BEFORE INSERT ON sip_replies
WHEN EXISTS (SELECT 1 FROM sip_replies WHERE sip_id = NEW.sip_id AND verdict = 'archived')
BEGIN SELECT RAISE(ABORT, 'the archive holds this package already'); END;
CREATE TRIGGER deposits_order BEFORE UPDATE ON deposits
WHEN NEW.sip_id <> OLD.sip_id OR NEW.sha512 <> OLD.sha512
  OR (NEW.target <> OLD.target AND OLD.state <> 'planned')
  OR (OLD.state IN ('sent', 'replied') AND (NEW.state NOT IN ('sent', 'replied') OR NEW.operation <> OLD.operation))
BEGIN SELECT RAISE(ABORT, 'what was sent is not sent again'); END;
CREATE TRIGGER deposits_package BEFORE INSERT ON deposits
WHEN NEW.sha512 IS NOT (SELECT sha512 FROM sips WHERE id = NEW.sip_id)
BEGIN SELECT RAISE(ABORT, 'this is not the package that was made'); END;

-- A packaged state goes by an execution under visa, whole, once the archive holds each of its records.
CREATE TRIGGER snapshots_archived BEFORE DELETE ON snapshots
WHEN EXISTS (SELECT 1 FROM sip_items WHERE snapshot = OLD.path) AND (
  (SELECT coalesce(sum(i.records), 0) FROM sip_items i JOIN sip_verdicts v ON v.sip_id = i.sip_id
    WHERE i.snapshot = OLD.path AND v.verdict = 'archived') IS NOT OLD.rows
  OR NOT EXISTS (SELECT 1 FROM elimination_targets t JOIN elimination_states s ON s.list_id = t.list_id
    WHERE t.path = OLD.path AND s.state = 'executing'))
BEGIN SELECT RAISE(ABORT, 'a packaged record stays until the archive holds it and a visa lets it go'); END;
CREATE TRIGGER snapshots_packaged BEFORE UPDATE ON snapshots
WHEN EXISTS (SELECT 1 FROM sip_items WHERE snapshot = OLD.path)
BEGIN SELECT RAISE(ABORT, 'a packaged state is not rewritten'); END;

CREATE TRIGGER sip_items_no_update BEFORE UPDATE ON sip_items BEGIN SELECT RAISE(ABORT, 'packages are append-only'); END;
CREATE TRIGGER sip_items_no_delete BEFORE DELETE ON sip_items BEGIN SELECT RAISE(ABORT, 'packages are append-only'); END;
CREATE TRIGGER sip_replies_no_update BEFORE UPDATE ON sip_replies BEGIN SELECT RAISE(ABORT, 'replies are append-only'); END;
CREATE TRIGGER sip_replies_no_delete BEFORE DELETE ON sip_replies BEGIN SELECT RAISE(ABORT, 'replies are append-only'); END;
CREATE TRIGGER sip_identifiers_no_update BEFORE UPDATE ON sip_identifiers BEGIN SELECT RAISE(ABORT, 'replies are append-only'); END;
CREATE TRIGGER sip_identifiers_no_delete BEFORE DELETE ON sip_identifiers BEGIN SELECT RAISE(ABORT, 'replies are append-only'); END;
CREATE TRIGGER deposits_no_delete BEFORE DELETE ON deposits BEGIN SELECT RAISE(ABORT, 'deposits are kept for ever'); END;

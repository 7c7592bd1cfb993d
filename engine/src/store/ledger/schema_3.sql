-- Version 3: the elimination workflow and the holds. The state of a list is that of its last event;
-- a list without events is simulated: the lists of version 2 were made by the night, nobody had
-- proposed them. The rules below are those of `elimination/state.rs`, which says them in French; a
-- test compares the two, event by event.
ALTER TABLE elimination_lists DROP COLUMN status;
CREATE TRIGGER lists_no_update BEFORE UPDATE ON elimination_lists BEGIN SELECT RAISE(ABORT, 'lists are kept as proposed'); END;

CREATE TABLE elimination_events (
  seq INTEGER PRIMARY KEY, list_id TEXT NOT NULL REFERENCES elimination_lists (id),
  event TEXT NOT NULL, state TEXT NOT NULL,
  actor TEXT NOT NULL CHECK (actor <> '' AND actor NOT GLOB '*[^a-z0-9_-]*'), role TEXT NOT NULL,
  witness TEXT CHECK (witness <> '' AND witness <> actor AND witness NOT GLOB '*[^a-z0-9_-]*'),
  on_day TEXT NOT NULL CHECK (on_day IS date(on_day)), until_day TEXT CHECK (until_day IS date(until_day)),
  at TEXT NOT NULL, payload TEXT NOT NULL CHECK (json_valid(payload)),
  CHECK ((event = 'attested') = (witness IS NOT NULL)),
  CHECK ((event = 'approved') = (until_day IS NOT NULL)),
  CHECK (until_day >= on_day)
) STRICT;
CREATE INDEX elimination_events_of_list ON elimination_events (list_id, seq);

CREATE VIEW elimination_states (list_id, state, on_day) AS
SELECT l.id, coalesce(e.state, 'simulated'), coalesce(e.on_day, l.proposed_on)
FROM elimination_lists l LEFT JOIN elimination_events e
  ON e.seq = (SELECT max(seq) FROM elimination_events WHERE list_id = l.id);

CREATE VIEW elimination_moves (event, before, after) AS VALUES
  ('proposed', 'simulated', 'proposed'),
  ('signed', 'proposed', 'signed'),
  ('submitted', 'signed', 'submitted'),
  ('returned', 'submitted', 'returned'),
  ('visaed', 'submitted', 'visaed'),
  ('visaed_partial', 'submitted', 'visaed_partial'),
  ('refused', 'submitted', 'refused'),
  ('approved', 'visaed', 'cooling_off'), ('approved', 'visaed_partial', 'cooling_off'),
  ('started', 'cooling_off', 'executing'),
  ('executed', 'executing', 'executed'),
  ('partly_failed', 'executing', 'partly_failed'),
  ('attested', 'executed', 'attested'), ('attested', 'partly_failed', 'attested'),
  ('recalled', 'proposed', 'returned'), ('recalled', 'signed', 'returned'), ('recalled', 'submitted', 'returned'),
  ('recalled', 'visaed', 'returned'), ('recalled', 'visaed_partial', 'returned'), ('recalled', 'cooling_off', 'returned');

CREATE VIEW elimination_roles (event, role) AS VALUES
  ('proposed', 'agent'), ('signed', 'producteur'), ('submitted', 'agent'), ('submitted', 'producteur'),
  ('returned', 'archives'), ('visaed', 'archives'), ('visaed_partial', 'archives'), ('refused', 'archives'),
  ('approved', 'producteur'), ('started', 'executant'), ('executed', 'executant'), ('partly_failed', 'executant'),
  ('attested', 'executant'), ('recalled', 'agent'), ('recalled', 'producteur'), ('recalled', 'archives');

-- What one person may not do together on one list.
CREATE VIEW elimination_apart (event, other) AS
WITH answer (event) AS (VALUES ('returned'), ('visaed'), ('visaed_partial'), ('refused')),
  service (event) AS (VALUES ('proposed'), ('signed'), ('submitted'), ('approved'), ('started'), ('executed'), ('partly_failed'), ('attested')),
  pairs (event, other) AS (VALUES ('signed', 'proposed'), ('approved', 'proposed') UNION ALL SELECT a.event, s.event FROM answer a, service s)
SELECT event, other FROM pairs UNION ALL SELECT other, event FROM pairs;

-- Signed files, kept whole: what the events below rest on.
CREATE TABLE elimination_documents (
  list_id TEXT NOT NULL REFERENCES elimination_lists (id),
  kind TEXT NOT NULL CHECK (kind IN ('proposal', 'visa', 'execution', 'attestation')),
  sha256 TEXT NOT NULL UNIQUE, document TEXT NOT NULL CHECK (json_valid(document)),
  PRIMARY KEY (list_id, kind),
  CHECK (json_extract(document, '$.kind') IS kind)
) STRICT;

CREATE VIEW elimination_requires (event, kind, decision) AS VALUES
  ('signed', 'proposal', NULL),
  ('returned', 'visa', 'returned'), ('visaed', 'visa', 'visa'), ('visaed_partial', 'visa', 'partial'), ('refused', 'visa', 'refused'),
  ('approved', 'execution', NULL), ('attested', 'attestation', NULL);

-- A signed file binds the list as it was proposed: same name, digest, file, rules and holds.
CREATE TRIGGER documents_bind BEFORE INSERT ON elimination_documents
WHEN json_extract(NEW.document, '$.statement.list') IS NOT (SELECT json(payload) FROM elimination_events WHERE list_id = NEW.list_id AND event = 'proposed')
  OR (NEW.kind IN ('execution', 'attestation') AND json_extract(NEW.document, '$.statement.visa_sha256') IS NOT
    (SELECT sha256 FROM elimination_documents WHERE list_id = NEW.list_id AND kind = 'visa'))
BEGIN SELECT RAISE(ABORT, 'the document is signed for another list or visa'); END;

CREATE TRIGGER events_order BEFORE INSERT ON elimination_events
WHEN NOT EXISTS (
  SELECT 1 FROM elimination_states s JOIN elimination_moves m ON m.before = s.state
  WHERE s.list_id = NEW.list_id AND m.event = NEW.event AND m.after = NEW.state)
BEGIN SELECT RAISE(ABORT, 'the list is not in a state for this event'); END;

CREATE TRIGGER events_role BEFORE INSERT ON elimination_events
WHEN NOT EXISTS (SELECT 1 FROM elimination_roles WHERE event = NEW.event AND role = NEW.role)
BEGIN SELECT RAISE(ABORT, 'the event is not for this role'); END;

CREATE TRIGGER events_two_persons BEFORE INSERT ON elimination_events
WHEN EXISTS (
  SELECT 1 FROM elimination_events e JOIN elimination_apart a ON a.event = NEW.event AND a.other = e.event
  WHERE e.list_id = NEW.list_id AND e.actor = NEW.actor)
BEGIN SELECT RAISE(ABORT, 'two persons are needed'); END;

CREATE TRIGGER events_dates BEFORE INSERT ON elimination_events
WHEN NEW.on_day < (SELECT max(on_day) FROM elimination_events WHERE list_id = NEW.list_id)
  OR (NEW.event = 'started' AND NEW.on_day < (SELECT max(until_day) FROM elimination_events WHERE list_id = NEW.list_id))
BEGIN SELECT RAISE(ABORT, 'the event comes too early'); END;

CREATE TRIGGER events_proposed BEFORE INSERT ON elimination_events
WHEN NEW.event = 'proposed' AND NOT EXISTS (
  SELECT 1 FROM elimination_lists l WHERE l.id = NEW.list_id
    AND json_extract(NEW.payload, '$.id') = l.id AND json_extract(NEW.payload, '$.digest') = l.digest)
BEGIN SELECT RAISE(ABORT, 'the proposal is about another list'); END;

CREATE TRIGGER events_signed BEFORE INSERT ON elimination_events
WHEN EXISTS (
  SELECT 1 FROM elimination_requires r WHERE r.event = NEW.event AND NOT EXISTS (
    SELECT 1 FROM elimination_documents d WHERE d.list_id = NEW.list_id AND d.kind = r.kind
      AND json_extract(d.document, '$.signatures[0].person') = NEW.actor
      AND json_extract(d.document, '$.signatures[1].person') IS NEW.witness
      AND json_extract(d.document, '$.statement.cooling_off_until') IS NEW.until_day
      AND (r.decision IS NULL OR json_extract(d.document, '$.statement.decision') = r.decision)))
BEGIN SELECT RAISE(ABORT, 'no signed document of this person for this event'); END;

-- The last look before anything goes: a visa for exactly this list, and nothing else under way.
CREATE TRIGGER events_started BEFORE INSERT ON elimination_events
WHEN NEW.event = 'started' AND (
  NOT EXISTS (
    SELECT 1 FROM elimination_documents d JOIN elimination_lists l ON l.id = d.list_id
    WHERE d.list_id = NEW.list_id AND d.kind = 'visa' AND json_extract(d.document, '$.statement.list.digest') = l.digest
      AND json_extract(d.document, '$.statement.decision') IN ('visa', 'partial'))
  OR EXISTS (SELECT 1 FROM elimination_states WHERE state = 'executing')
  OR json_type(NEW.payload, '$.targets') IS NOT 'integer' OR json_extract(NEW.payload, '$.targets') < 1)
BEGIN SELECT RAISE(ABORT, 'no execution without its visa, its plan, and the end of the one before'); END;

CREATE TRIGGER events_ended BEFORE INSERT ON elimination_events
WHEN NEW.event IN ('executed', 'partly_failed') AND (
  (SELECT count(*) FROM elimination_targets WHERE list_id = NEW.list_id) IS NOT
    (SELECT json_extract(payload, '$.targets') FROM elimination_events WHERE list_id = NEW.list_id AND event = 'started')
  OR EXISTS (SELECT 1 FROM elimination_targets WHERE list_id = NEW.list_id AND done = 0 AND failure IS NULL)
  OR (NEW.event = 'partly_failed') IS NOT EXISTS (SELECT 1 FROM elimination_targets WHERE list_id = NEW.list_id AND failure IS NOT NULL))
BEGIN SELECT RAISE(ABORT, 'the plan is not carried out'); END;

CREATE TRIGGER events_recalled BEFORE INSERT ON elimination_events
WHEN NEW.event = 'recalled' AND trim(coalesce(json_extract(NEW.payload, '$.reason'), '')) = ''
BEGIN SELECT RAISE(ABORT, 'a list is recalled for a reason'); END;

-- Numbers only grow: the last event is the one that came last.
CREATE TRIGGER events_last AFTER INSERT ON elimination_events
WHEN NEW.seq < (SELECT max(seq) FROM elimination_events)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- What an execution removes or rewrites: written once when it starts, then ticked off.
CREATE TABLE elimination_targets (
  list_id TEXT NOT NULL REFERENCES elimination_lists (id), ordinal INTEGER NOT NULL,
  path TEXT NOT NULL CHECK (
    (path GLOB 'received/?*' OR path GLOB 'tables/?*' OR path GLOB 'quarantine/?*')
    AND path NOT GLOB '*..*' AND path NOT GLOB '*//*' AND path NOT GLOB '*\*'),
  kind TEXT NOT NULL CHECK (kind IN ('table', 'delivery', 'quarantine')),
  action TEXT NOT NULL CHECK (action IN ('remove', 'rewrite')), new_path TEXT,
  bytes INTEGER NOT NULL CHECK (bytes >= 0), records INTEGER NOT NULL CHECK (records >= 0),
  done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)), failure TEXT CHECK (failure <> ''),
  PRIMARY KEY (list_id, ordinal), UNIQUE (list_id, path),
  CHECK ((action = 'rewrite') = (new_path IS NOT NULL)), CHECK (done = 0 OR failure IS NULL)
) STRICT;

CREATE TRIGGER targets_frozen BEFORE INSERT ON elimination_targets
WHEN NEW.done <> 0 OR NEW.failure IS NOT NULL
  OR (SELECT state FROM elimination_states WHERE list_id = NEW.list_id) IS NOT 'executing'
  OR (SELECT count(*) FROM elimination_targets WHERE list_id = NEW.list_id) >=
    (SELECT json_extract(payload, '$.targets') FROM elimination_events WHERE list_id = NEW.list_id AND event = 'started')
BEGIN SELECT RAISE(ABORT, 'the plan of an execution is written when it starts'); END;

-- A failed target may still be done by a later try of the same execution; done is for ever.
CREATE TRIGGER targets_tick BEFORE UPDATE ON elimination_targets
WHEN OLD.done = 1 OR (SELECT state FROM elimination_states WHERE list_id = OLD.list_id) IS NOT 'executing'
  OR NEW.list_id <> OLD.list_id OR NEW.ordinal <> OLD.ordinal OR NEW.path <> OLD.path OR NEW.kind <> OLD.kind
  OR NEW.action <> OLD.action OR NEW.new_path IS NOT OLD.new_path OR NEW.bytes <> OLD.bytes OR NEW.records <> OLD.records
BEGIN SELECT RAISE(ABORT, 'a target is only ticked off, once'); END;

-- What the law wants remembered of an eliminated record: that it was on the list. The digest is
-- salted, because the names of records can be guessed. One record is eliminated once.
CREATE TABLE tombstones (
  digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
  list_id TEXT NOT NULL REFERENCES elimination_lists (id), row INTEGER NOT NULL CHECK (row > 0)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tombstones_order BEFORE INSERT ON tombstones
WHEN (SELECT state FROM elimination_events WHERE list_id = NEW.list_id ORDER BY seq DESC LIMIT 1) IS NOT 'executing'
BEGIN SELECT RAISE(ABORT, 'only an execution leaves tombstones'); END;

-- Holds (gels): placed whole, then only reassessed or lifted.
CREATE TABLE gels (
  id TEXT PRIMARY KEY, reason TEXT NOT NULL CHECK (trim(reason) <> ''), owner TEXT NOT NULL CHECK (trim(owner) <> ''),
  scope TEXT NOT NULL CHECK (trim(scope) <> ''), from_day TEXT NOT NULL CHECK (from_day IS date(from_day)),
  until_day TEXT CHECK (until_day IS date(until_day)), reassess_on TEXT CHECK (reassess_on IS date(reassess_on)),
  placed_by TEXT NOT NULL CHECK (trim(placed_by) <> ''), placed_on TEXT NOT NULL CHECK (placed_on IS date(placed_on)),
  at TEXT NOT NULL, CHECK (until_day > from_day)
) STRICT;

CREATE TABLE gel_events (
  seq INTEGER PRIMARY KEY, gel_id TEXT NOT NULL REFERENCES gels (id),
  event TEXT NOT NULL CHECK (event IN ('reassessed', 'lifted')), actor TEXT NOT NULL CHECK (trim(actor) <> ''),
  on_day TEXT NOT NULL CHECK (on_day IS date(on_day)), reassess_on TEXT CHECK (reassess_on IS date(reassess_on)),
  reason TEXT NOT NULL CHECK (trim(reason) <> ''), at TEXT NOT NULL,
  CHECK (event = 'reassessed' OR reassess_on IS NULL)
) STRICT;
CREATE TRIGGER gel_events_order BEFORE INSERT ON gel_events
WHEN EXISTS (SELECT 1 FROM gel_events WHERE gel_id = NEW.gel_id AND event = 'lifted')
  OR NEW.on_day < (SELECT placed_on FROM gels WHERE id = NEW.gel_id)
BEGIN SELECT RAISE(ABORT, 'the hold is already lifted, or not yet placed'); END;

CREATE TRIGGER events_no_update BEFORE UPDATE ON elimination_events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON elimination_events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER documents_no_update BEFORE UPDATE ON elimination_documents BEGIN SELECT RAISE(ABORT, 'signed documents are kept for ever'); END;
CREATE TRIGGER documents_no_delete BEFORE DELETE ON elimination_documents BEGIN SELECT RAISE(ABORT, 'signed documents are kept for ever'); END;
CREATE TRIGGER targets_no_delete BEFORE DELETE ON elimination_targets BEGIN SELECT RAISE(ABORT, 'plans are kept for ever'); END;
CREATE TRIGGER tombstones_no_update BEFORE UPDATE ON tombstones BEGIN SELECT RAISE(ABORT, 'tombstones are kept for ever'); END;
CREATE TRIGGER tombstones_no_delete BEFORE DELETE ON tombstones BEGIN SELECT RAISE(ABORT, 'tombstones are kept for ever'); END;
CREATE TRIGGER gels_no_update BEFORE UPDATE ON gels BEGIN SELECT RAISE(ABORT, 'holds are append-only'); END;
CREATE TRIGGER gels_no_delete BEFORE DELETE ON gels BEGIN SELECT RAISE(ABORT, 'holds are append-only'); END;
CREATE TRIGGER gel_events_no_update BEFORE UPDATE ON gel_events BEGIN SELECT RAISE(ABORT, 'holds are append-only'); END;
CREATE TRIGGER gel_events_no_delete BEFORE DELETE ON gel_events BEGIN SELECT RAISE(ABORT, 'holds are append-only'); END;

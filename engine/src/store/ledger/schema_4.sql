-- Version 4: the tris. A population is recorded first; the public value that draws among it comes
-- after, once. Neither is ever changed, so that nobody can try populations or values until one suits.
CREATE TABLE tris (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  plan TEXT NOT NULL, plan_version TEXT NOT NULL, plan_digest TEXT NOT NULL,
  population_root TEXT NOT NULL, population_sha256 TEXT NOT NULL, path TEXT NOT NULL UNIQUE,
  records INTEGER NOT NULL CHECK (records > 0),
  recorded_on TEXT NOT NULL CHECK (recorded_on IS date(recorded_on)),
  person TEXT NOT NULL CHECK (trim(person) <> ''),
  -- Number of the last draw before it.
  after_draw INTEGER NOT NULL,
  UNIQUE (plan_digest, population_root)
) STRICT;

CREATE TABLE tri_draws (
  seq INTEGER PRIMARY KEY, tri_id TEXT NOT NULL UNIQUE REFERENCES tris (id),
  public_value TEXT NOT NULL CHECK (trim(public_value) <> ''),
  origin TEXT NOT NULL CHECK (trim(origin) <> ''),
  manifest_sha256 TEXT NOT NULL, kept INTEGER NOT NULL CHECK (kept >= 0),
  drawn_on TEXT NOT NULL CHECK (drawn_on IS date(drawn_on)),
  person TEXT NOT NULL CHECK (trim(person) <> '')
) STRICT;

CREATE TRIGGER tris_order BEFORE INSERT ON tris
WHEN NEW.after_draw IS NOT (SELECT coalesce(max(seq), 0) FROM tri_draws)
BEGIN SELECT RAISE(ABORT, 'a population is recorded after the draws there are'); END;
CREATE TRIGGER tri_draws_last BEFORE INSERT ON tri_draws
WHEN (SELECT seq FROM tris WHERE id = NEW.tri_id) IS NOT
  (SELECT max(seq) FROM tris WHERE plan = (SELECT plan FROM tris WHERE id = NEW.tri_id))
BEGIN SELECT RAISE(ABORT, 'another population of the plan was recorded since'); END;
CREATE TRIGGER tri_draws_value BEFORE INSERT ON tri_draws
WHEN EXISTS (SELECT 1 FROM tri_draws d JOIN tris t ON t.id = NEW.tri_id
  WHERE d.public_value = NEW.public_value AND d.seq <= t.after_draw)
BEGIN SELECT RAISE(ABORT, 'the value was known before the population'); END;
CREATE TRIGGER tri_draws_day BEFORE INSERT ON tri_draws
WHEN NEW.drawn_on < (SELECT recorded_on FROM tris WHERE id = NEW.tri_id)
BEGIN SELECT RAISE(ABORT, 'the draw comes before its population'); END;

CREATE TRIGGER tris_no_update BEFORE UPDATE ON tris BEGIN SELECT RAISE(ABORT, 'tris are kept for ever'); END;
CREATE TRIGGER tris_no_delete BEFORE DELETE ON tris BEGIN SELECT RAISE(ABORT, 'tris are kept for ever'); END;
CREATE TRIGGER tri_draws_no_update BEFORE UPDATE ON tri_draws BEGIN SELECT RAISE(ABORT, 'tris are kept for ever'); END;
CREATE TRIGGER tri_draws_no_delete BEFORE DELETE ON tri_draws BEGIN SELECT RAISE(ABORT, 'tris are kept for ever'); END;

-- Version 7: what was sent to open data portals, one row a step.
CREATE TABLE portal_steps (
  portal TEXT NOT NULL, dataset TEXT NOT NULL, step TEXT NOT NULL,
  remote TEXT NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (portal, dataset, step)
) STRICT;

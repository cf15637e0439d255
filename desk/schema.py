"""
The tables of the desk's database.

A change of them needs a new SCHEMA_VERSION and a way to bring an old file there.
"""

SCHEMA_VERSION = 2
APPLICATION_ID = 0x4F426567  # "OBeg" in the file's header: this database is a desk's

# What brings a file of each older version to the next one.
UPGRADES = {
    1: """
ALTER TABLE tags ADD COLUMN heartbeat_s INTEGER NOT NULL DEFAULT 600;
ALTER TABLE tags ADD COLUMN night TEXT;
ALTER TABLE tags ADD COLUMN due_ms INTEGER;
ALTER TABLE tags ADD COLUMN silent_ms INTEGER;
CREATE INDEX tags_by_due ON tags (due_ms) WHERE silent_ms IS NULL;
UPDATE tags SET due_ms = heard_ms
""",
}
# In `tags`: `night` is a JSON list, or NULL; `due_ms`: from when on it is silent unless it is heard (silence.py), NULL:
# it was never heard; `silent_ms`: when it was found silent, NULL: it is not.
# `reuses` holds messages whose counters were used before, so that `messages` can keep its UNIQUE.
# A row of `incidents` is an incidents.Incident: `flags` is a comma-separated list.
SCHEMA = """
CREATE TABLE tags (
    tag TEXT PRIMARY KEY, generation INTEGER NOT NULL,
    up BLOB NOT NULL, down BLOB NOT NULL, broker BLOB NOT NULL,
    name TEXT NOT NULL DEFAULT '', added_ms INTEGER NOT NULL, revoked_ms INTEGER,
    mark_epoch INTEGER NOT NULL DEFAULT -1, mark_seq INTEGER NOT NULL DEFAULT -1,
    nonces BLOB NOT NULL DEFAULT x'', heard_ms INTEGER, battery_mv INTEGER,
    heartbeat_s INTEGER NOT NULL DEFAULT 600, night TEXT, due_ms INTEGER, silent_ms INTEGER
);
CREATE INDEX tags_by_due ON tags (due_ms) WHERE silent_ms IS NULL;
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY, tag TEXT NOT NULL REFERENCES tags, first BLOB NOT NULL, digest BLOB,
    level INTEGER NOT NULL, rev INTEGER NOT NULL, said_rev INTEGER NOT NULL, presses INTEGER NOT NULL,
    test INTEGER NOT NULL, flags TEXT NOT NULL, tag_flags INTEGER NOT NULL, battery_mv INTEGER,
    place TEXT, cell TEXT, opened_ms INTEGER NOT NULL, rang_ms INTEGER NOT NULL, cancel_ms INTEGER
);
CREATE INDEX incidents_by_first ON incidents (tag, first);
CREATE INDEX incidents_unsaid ON incidents (id) WHERE said_rev < rev AND digest IS NOT NULL;
CREATE TABLE messages (
    tag TEXT NOT NULL REFERENCES tags, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
    kind INTEGER NOT NULL, token BLOB NOT NULL, received_ms INTEGER NOT NULL, verdict TEXT NOT NULL,
    void INTEGER NOT NULL DEFAULT 0, incident INTEGER REFERENCES incidents,
    UNIQUE (tag, epoch, seq)
);
CREATE TABLE reuses (
    tag TEXT NOT NULL REFERENCES tags, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
    kind INTEGER NOT NULL, token BLOB NOT NULL, received_ms INTEGER NOT NULL, verdict TEXT NOT NULL,
    incident INTEGER REFERENCES incidents,
    UNIQUE (tag, epoch, seq, digest)
);
CREATE TABLE acts (
    incident INTEGER NOT NULL REFERENCES incidents, act TEXT NOT NULL, who TEXT NOT NULL,
    at_ms INTEGER NOT NULL, level INTEGER NOT NULL, rev INTEGER NOT NULL
);
CREATE INDEX acts_by_incident ON acts (incident);
"""

-- +goose Up

ALTER TABLE sub_account ADD COLUMN pool INTEGER NOT NULL DEFAULT 0;

ALTER TABLE provider ADD COLUMN burst INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider ADD COLUMN max_connections INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider ADD COLUMN max_per_session INTEGER NOT NULL DEFAULT 0;

-- patience is in milliseconds.
ALTER TABLE pool ADD COLUMN lists TEXT NOT NULL DEFAULT '';
ALTER TABLE pool ADD COLUMN failover INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN overflow INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN patience INTEGER NOT NULL DEFAULT 0;

-- mailbox is -1 for the whole provider.
CREATE TABLE pause (
  provider INTEGER NOT NULL,
  mailbox  INTEGER NOT NULL,
  account  INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (provider, mailbox)
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_event (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  provider INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  text     TEXT NOT NULL
) STRICT;
CREATE INDEX provider_event_list ON provider_event (provider, id);

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  action  TEXT NOT NULL,
  object  TEXT NOT NULL,
  text    TEXT NOT NULL
) STRICT;
CREATE INDEX audit_list ON audit (account, id);

-- Event ids counted from 1970 until here, and count from 2020 from here on.
UPDATE event SET id = id - (1577836800000 << 22) WHERE id >= (1577836800000 << 22);

-- The events of one provider, by type as event_list.
CREATE INDEX event_provider ON event (account, provider, type, id, sub_account) WHERE evidence = 0;

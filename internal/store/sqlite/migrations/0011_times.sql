-- +goose Up

-- The counters by time: kind is a store.Timed, minute the beginning of its step
-- in minutes since 1970, key what store.TimeRow.Key says.
CREATE TABLE stat_time (
  account     INTEGER NOT NULL,
  kind        INTEGER NOT NULL,
  minute      INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  provider    INTEGER NOT NULL,
  key         INTEGER NOT NULL,
  n           INTEGER NOT NULL,
  PRIMARY KEY (account, kind, minute, sub_account, provider, key)
) STRICT, WITHOUT ROWID;

-- What an agent says of itself beside its name: position and lag of its log,
-- and mail that it could not tell whose it is; JSON.
ALTER TABLE agent ADD COLUMN state TEXT NOT NULL DEFAULT '';

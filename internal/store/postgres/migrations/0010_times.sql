-- +goose Up

-- The counters by time: kind is a store.Timed, minute the beginning of its step
-- in minutes since 1970, key what store.TimeRow.Key says. Slots are those of
-- stat_day; what waited is in slot 0.
CREATE TABLE stat_time (
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  provider    bigint   NOT NULL,
  n           bigint   NOT NULL,
  minute      integer  NOT NULL,
  key         integer  NOT NULL,
  kind        smallint NOT NULL,
  slot        smallint NOT NULL,
  PRIMARY KEY (account, kind, minute, sub_account, provider, key, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);

-- What an agent says of itself beside its name: position and lag of its log,
-- and mail that it could not tell whose it is; JSON.
ALTER TABLE agent ADD COLUMN state text NOT NULL DEFAULT '';

-- +goose Up

-- Mails that came back. raw is compressed (store.EncodeRaw); id is a UUID of
-- version 7, so ids ascend with the time of receipt.
CREATE TABLE report (
  id              BLOB NOT NULL PRIMARY KEY,
  hash            BLOB NOT NULL UNIQUE,
  received        INTEGER NOT NULL,
  account         INTEGER NOT NULL,
  sub_account     INTEGER NOT NULL,
  message         BLOB,
  provider        INTEGER NOT NULL,
  envelope        TEXT NOT NULL,
  kind            TEXT NOT NULL,
  recipient       TEXT NOT NULL,
  verdict         TEXT NOT NULL,
  reason          TEXT NOT NULL,
  rule            TEXT NOT NULL,
  code            INTEGER NOT NULL,
  enhanced        TEXT NOT NULL,
  text            TEXT NOT NULL,
  queue           TEXT NOT NULL,
  status          TEXT NOT NULL,
  note            TEXT NOT NULL,
  reclassified    TEXT NOT NULL,
  reclassified_at INTEGER NOT NULL,
  raw             BLOB NOT NULL
) STRICT;
CREATE INDEX report_list ON report (account, id);
CREATE INDEX report_message ON report (message) WHERE message IS NOT NULL;

-- +goose Up

-- Small records that hold on every node until a time (store.Marks).
CREATE TABLE mark (
  name    TEXT PRIMARY KEY,
  data    BLOB NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mark_expires ON mark (expires);

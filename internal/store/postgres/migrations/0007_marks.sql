-- +goose Up

-- Small records that hold on every node until a time (store.Marks).
CREATE TABLE mark (
  name    text PRIMARY KEY,
  data    bytea NOT NULL,
  expires bigint NOT NULL
);
CREATE INDEX mark_expires ON mark (expires);

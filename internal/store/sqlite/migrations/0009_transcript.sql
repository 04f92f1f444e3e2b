-- +goose Up

-- What was said in each relay attempt, in the form of store.EncodeTranscript.
CREATE TABLE transcript (
  message BLOB NOT NULL,
  n       INTEGER NOT NULL,
  body    BLOB NOT NULL,
  PRIMARY KEY (message, n)
) STRICT, WITHOUT ROWID;

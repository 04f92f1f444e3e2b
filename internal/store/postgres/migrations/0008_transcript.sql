-- +goose Up

-- What was said in each relay attempt, in the form of store.EncodeTranscript.
CREATE TABLE transcript (
  message uuid    NOT NULL,
  n       integer NOT NULL,
  body    bytea   NOT NULL,
  PRIMARY KEY (message, n)
);

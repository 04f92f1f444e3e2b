-- +goose Up

-- What lists and searches need of a content without reading it. Contents that
-- were stored before have none: they are shown, and not found by it.
CREATE TABLE headline (
  content    BLOB PRIMARY KEY,
  account    INTEGER NOT NULL,
  sender     TEXT NOT NULL,
  from_name  TEXT NOT NULL,
  from_email TEXT NOT NULL,
  subject    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX headline_sender ON headline (account, sender, content);

CREATE TABLE content_tag (
  content BLOB NOT NULL,
  tag     TEXT NOT NULL,
  account INTEGER NOT NULL,
  PRIMARY KEY (content, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX content_tag_list ON content_tag (account, tag, content);

-- Finds messages by the ids that mail servers gave them, in buckets as
-- message_to.
CREATE TABLE message_queue (
  bucket  INTEGER NOT NULL,
  hash    INTEGER NOT NULL,
  message BLOB NOT NULL,
  PRIMARY KEY (bucket, hash, message)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO message_queue (bucket, hash, message)
SELECT (row_number() OVER (ORDER BY id) - 1) / 8192, waypost_queue(account, queue), message FROM event WHERE queue <> '';

-- Messages by their outcome, in the order of their ids.
CREATE INDEX event_outcome ON event (account, type, message) WHERE evidence = 0 AND type IN (60, 62, 63, 64);
CREATE INDEX event_outcome_sub ON event (sub_account, type, message) WHERE evidence = 0 AND type IN (60, 62, 63, 64);

-- Messages that were sent with no more known of them: candidates, one or the other
-- too many, never one too few. Those of a sub-account are picked from them.
CREATE TABLE unsettled (
  message BLOB PRIMARY KEY,
  account INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO unsettled (message, account)
SELECT message, account FROM event e WHERE type = 59 AND evidence = 0
AND NOT EXISTS (SELECT 1 FROM event l WHERE l.message = e.message AND l.evidence = 0 AND l.type IN (60, 63, 64));

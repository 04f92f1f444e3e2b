-- +goose Up

-- checks are bits of waypost.RecipientChecks.
ALTER TABLE sub_account ADD COLUMN blocked_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sub_account ADD COLUMN block_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE sub_account ADD COLUMN checks INTEGER NOT NULL DEFAULT 0;

-- Kind 5 are the credentials of SMTP submission, found by their identifier.
ALTER TABLE api_key ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN networks TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN per_hour INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_key ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
CREATE INDEX api_key_list ON api_key (account, id);
CREATE UNIQUE INDEX api_key_submission ON api_key (sub_account, name) WHERE kind = 5;

-- keys is JSON; the keys in it are sealed.
ALTER TABLE sender_domain ADD COLUMN keys TEXT NOT NULL DEFAULT '';
ALTER TABLE sender_domain ADD COLUMN direct_bounce INTEGER NOT NULL DEFAULT 0;

CREATE TABLE template (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  name    TEXT NOT NULL,
  subject TEXT NOT NULL,
  html    TEXT NOT NULL,
  body    TEXT NOT NULL,
  design  TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  UNIQUE (account, name)
) STRICT;

CREATE INDEX suppression_list ON suppression (sub_account, id);
CREATE INDEX suppression_expires ON suppression (expires) WHERE expires <> 0;

CREATE TABLE person (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account    INTEGER NOT NULL,
  email      TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  password   TEXT NOT NULL,
  created    INTEGER NOT NULL,
  last_login INTEGER NOT NULL
) STRICT;
CREATE INDEX person_list ON person (account, id);

CREATE TABLE session (
  token   BLOB PRIMARY KEY,
  data    BLOB NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_expires ON session (expires);

-- The answers of send calls with an Idempotency-Key.
CREATE TABLE replay (
  sub_account INTEGER NOT NULL,
  key         TEXT NOT NULL,
  request     BLOB NOT NULL,
  answer      BLOB NOT NULL,
  expires     INTEGER NOT NULL,
  PRIMARY KEY (sub_account, key)
) STRICT;
CREATE INDEX replay_expires ON replay (expires);

CREATE TABLE webhook (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  account         INTEGER NOT NULL,
  uuid            BLOB NOT NULL,
  url             TEXT NOT NULL,
  enabled         INTEGER NOT NULL,
  wants           INTEGER NOT NULL,
  secret          BLOB,
  created         INTEGER NOT NULL,
  updated         INTEGER NOT NULL,
  state           TEXT NOT NULL,
  failures        INTEGER NOT NULL,
  delivered       INTEGER NOT NULL,
  failed          INTEGER NOT NULL,
  disabled_at     INTEGER NOT NULL,
  disabled_reason TEXT NOT NULL,
  UNIQUE (account, url)
) STRICT;

-- webhook is 0 for the endpoint of a message's own call. A lease is due moved
-- forward. took is in nanoseconds.
CREATE TABLE delivery (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  webhook INTEGER NOT NULL,
  event   INTEGER NOT NULL,
  message BLOB NOT NULL,
  created INTEGER NOT NULL,
  due     INTEGER NOT NULL,
  last_at INTEGER NOT NULL DEFAULT 0,
  took    INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL DEFAULT 0,
  status  INTEGER NOT NULL DEFAULT 0,
  state   INTEGER NOT NULL DEFAULT 0,
  error   TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX delivery_due ON delivery (webhook, due, id) WHERE state = 0;
CREATE INDEX delivery_list ON delivery (account, webhook, id);
CREATE INDEX delivery_dead ON delivery (account, webhook, id) WHERE state = 2;
CREATE INDEX delivery_finished ON delivery (state, last_at) WHERE state <> 0;

-- What the events of a message are counted under; own_webhook: the call named
-- an endpoint.
ALTER TABLE message ADD COLUMN groups TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN own_webhook INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_sub_account ON message (sub_account, id);

-- Finds messages by recipient: hash is of the folded address. One index over
-- all hashes would dirty a page for each message; a bucket of a few thousand
-- messages has few pages, and a look-up asks each bucket.
CREATE TABLE message_to (
  bucket  INTEGER NOT NULL,
  hash    INTEGER NOT NULL,
  message BLOB NOT NULL,
  PRIMARY KEY (bucket, hash, message)
) STRICT, WITHOUT ROWID;
INSERT INTO message_to (bucket, hash, message)
SELECT (row_number() OVER (ORDER BY id) - 1) / 8192, waypost_recipient(recipient), id FROM message;

-- Each filter of the list has an index, by type and then newest first.
ALTER TABLE event ADD COLUMN domain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN visit TEXT NOT NULL DEFAULT '';
UPDATE event SET domain = coalesce((SELECT domain FROM message WHERE message.id = event.message), 0);
DROP INDEX event_list;
DROP INDEX event_provider;
CREATE INDEX event_list ON event (account, type, id) WHERE evidence = 0;
CREATE INDEX event_sub_account ON event (sub_account, type, id) WHERE evidence = 0;
CREATE INDEX event_provider ON event (provider, type, id) WHERE evidence = 0 AND provider <> 0;
CREATE INDEX event_domain ON event (domain, type, id) WHERE evidence = 0 AND domain <> 0;
CREATE INDEX event_code ON event (account, code, type, id) WHERE evidence = 0 AND code <> 0;

-- The counters broken down: kind is a byKind, key what StatRow.Key says, or the
-- number of a mailbox category.
CREATE TABLE stat_by (
  account     INTEGER NOT NULL,
  kind        INTEGER NOT NULL,
  day         INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  provider    INTEGER NOT NULL,
  key         TEXT NOT NULL,
  stat        INTEGER NOT NULL,
  n           INTEGER NOT NULL,
  PRIMARY KEY (account, kind, day, sub_account, provider, key, stat)
) STRICT, WITHOUT ROWID;

CREATE INDEX provider_event_at ON provider_event (at);
CREATE INDEX audit_at ON audit (at);

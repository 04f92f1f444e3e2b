-- +goose Up

-- Times are milliseconds since 1970, 0 for none; ids are integers or 16-byte
-- blobs; JSON is text. Empty text and 0 cost a row nothing, so columns are not
-- null unless absence means something else.

CREATE TABLE account (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE sub_account (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account    INTEGER NOT NULL,
  name       TEXT NOT NULL,
  is_default INTEGER NOT NULL,
  blocked    INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  UNIQUE (account, name)
) STRICT;

CREATE TABLE api_key (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        INTEGER NOT NULL,
  account     INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  provider    INTEGER NOT NULL,
  hash        BLOB NOT NULL UNIQUE,
  hint        TEXT NOT NULL,
  created     INTEGER NOT NULL,
  expires     INTEGER NOT NULL
) STRICT;

CREATE TABLE provider (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  account         INTEGER NOT NULL,
  name            TEXT NOT NULL,
  host            TEXT NOT NULL,
  port            INTEGER NOT NULL,
  security        TEXT NOT NULL,
  auth            TEXT NOT NULL,
  username        TEXT NOT NULL,
  password        BLOB,
  helo            TEXT NOT NULL,
  tls_skip_verify INTEGER NOT NULL,
  plain_auth      INTEGER NOT NULL,
  max_per_hour    INTEGER NOT NULL,
  settings        TEXT NOT NULL,
  retry_permanent INTEGER NOT NULL,
  retry           TEXT NOT NULL,
  created         INTEGER NOT NULL,
  updated         INTEGER NOT NULL,
  UNIQUE (account, name)
) STRICT;

CREATE TABLE pool (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  account  INTEGER NOT NULL,
  name     TEXT NOT NULL,
  strategy INTEGER NOT NULL,
  members  TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created  INTEGER NOT NULL,
  UNIQUE (account, name)
) STRICT;

CREATE TABLE agent (
  provider  INTEGER PRIMARY KEY,
  agent     TEXT NOT NULL,
  version   TEXT NOT NULL,
  hostname  TEXT NOT NULL,
  mta       TEXT NOT NULL,
  last_seen INTEGER NOT NULL
) STRICT;

CREATE TABLE sender_domain (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  account     INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  name        TEXT NOT NULL,
  selector    TEXT NOT NULL,
  key         BLOB,
  records     TEXT NOT NULL,
  created     INTEGER NOT NULL,
  checked     INTEGER NOT NULL,
  next_check  INTEGER NOT NULL,
  UNIQUE (sub_account, name)
) STRICT;
CREATE INDEX sender_domain_next ON sender_domain (next_check);

CREATE TABLE suppression (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  account     INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  email       TEXT NOT NULL,
  reason      INTEGER NOT NULL,
  text        TEXT NOT NULL,
  message     BLOB,
  created     INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  UNIQUE (sub_account, email)
) STRICT;

-- What one API call shares among its recipients, in the form of
-- store.EncodeContent.
CREATE TABLE content (
  id          BLOB PRIMARY KEY,
  account     INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  body        BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- to_email is NULL when it is the recipient.
CREATE TABLE message (
  id          BLOB PRIMARY KEY,
  account     INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  content     BLOB NOT NULL,
  recipient   TEXT NOT NULL,
  to_name     TEXT NOT NULL,
  to_email    TEXT,
  cc          TEXT NOT NULL,
  variables   BLOB,
  domain      INTEGER NOT NULL,
  pool        INTEGER NOT NULL,
  provider    INTEGER NOT NULL,
  mailbox     INTEGER NOT NULL,
  submitted   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One narrow row for each unfinished message, deleted when it is finished: a
-- claim costs the same however many messages exist.
CREATE TABLE queue (
  provider INTEGER NOT NULL,
  mailbox  INTEGER NOT NULL,
  due      INTEGER NOT NULL,
  message  BLOB NOT NULL,
  attempt  INTEGER NOT NULL,
  unknown  INTEGER NOT NULL,
  PRIMARY KEY (provider, mailbox, due, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_message ON queue (message);

CREATE TABLE attempt (
  message  BLOB NOT NULL,
  n        INTEGER NOT NULL,
  provider INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  took     INTEGER NOT NULL,
  result   INTEGER NOT NULL,
  stage    TEXT NOT NULL,
  code     INTEGER NOT NULL,
  enhanced TEXT NOT NULL,
  text     TEXT NOT NULL,
  PRIMARY KEY (message, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  id          INTEGER PRIMARY KEY,
  type        INTEGER NOT NULL,
  account     INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  provider    INTEGER NOT NULL,
  message     BLOB NOT NULL,
  recipient   TEXT NOT NULL,
  at          INTEGER NOT NULL,
  source      TEXT NOT NULL,
  code        INTEGER NOT NULL,
  enhanced    TEXT NOT NULL,
  text        TEXT NOT NULL,
  reason      TEXT NOT NULL,
  rule        TEXT NOT NULL,
  attempt     INTEGER NOT NULL,
  queue       TEXT NOT NULL,
  relay       TEXT NOT NULL,
  late        INTEGER NOT NULL,
  evidence    INTEGER NOT NULL
) STRICT;
CREATE INDEX event_message ON event (message);
CREATE INDEX event_list ON event (account, type, id, sub_account, provider) WHERE evidence = 0;

-- The keys of reported facts: kind 1 is Fact.Key, 2 is Fact.Once.
CREATE TABLE fact_key (
  message BLOB NOT NULL,
  kind    INTEGER NOT NULL,
  key     TEXT NOT NULL,
  PRIMARY KEY (message, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE deferral (
  message  BLOB PRIMARY KEY,
  at       INTEGER NOT NULL,
  code     INTEGER NOT NULL,
  enhanced TEXT NOT NULL,
  text     TEXT NOT NULL,
  count    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- day is the UTC day of Event.At, counted from 1970.
CREATE TABLE stat_day (
  account     INTEGER NOT NULL,
  day         INTEGER NOT NULL,
  sub_account INTEGER NOT NULL,
  provider    INTEGER NOT NULL,
  stat        INTEGER NOT NULL,
  n           INTEGER NOT NULL,
  PRIMARY KEY (account, day, sub_account, provider, stat)
) STRICT, WITHOUT ROWID;

CREATE TABLE limit_bucket (
  provider INTEGER NOT NULL,
  minute   INTEGER NOT NULL,
  mailbox  INTEGER NOT NULL,
  n        INTEGER NOT NULL,
  PRIMARY KEY (provider, minute, mailbox)
) STRICT, WITHOUT ROWID;

-- One row, written by Ping: proof that writing works.
CREATE TABLE pulse (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at INTEGER NOT NULL
) STRICT;
INSERT INTO pulse VALUES (1, 0);

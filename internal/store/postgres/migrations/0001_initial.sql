-- +goose Up

-- Times are milliseconds since 1970, 0 for none; ids are bigint or uuid; JSON
-- is text. Rows of a tenant carry its account, so that a distributed database
-- can place them by it.

-- Each open store draws a node number from here; event ids carry it.
CREATE SEQUENCE node_number MINVALUE 0 MAXVALUE 1023 START 0 CYCLE;

CREATE TABLE account (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name    text   NOT NULL,
  created bigint NOT NULL
);

CREATE TABLE sub_account (
  id         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    bigint  NOT NULL,
  name       text    NOT NULL,
  is_default boolean NOT NULL,
  blocked    boolean NOT NULL,
  created    bigint  NOT NULL,
  UNIQUE (account, name)
);

CREATE TABLE api_key (
  id          bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        smallint NOT NULL,
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  provider    bigint   NOT NULL,
  hash        bytea    NOT NULL UNIQUE,
  hint        text     NOT NULL,
  created     bigint   NOT NULL,
  expires     bigint   NOT NULL
);

CREATE TABLE provider (
  id              bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account         bigint  NOT NULL,
  name            text    NOT NULL,
  host            text    NOT NULL,
  port            integer NOT NULL,
  security        text    NOT NULL,
  auth            text    NOT NULL,
  username        text    NOT NULL,
  password        bytea,
  helo            text    NOT NULL,
  tls_skip_verify boolean NOT NULL,
  plain_auth      boolean NOT NULL,
  max_per_hour    bigint  NOT NULL,
  settings        text    NOT NULL,
  retry_permanent boolean NOT NULL,
  retry           text    NOT NULL,
  created         bigint  NOT NULL,
  updated         bigint  NOT NULL,
  UNIQUE (account, name)
);

CREATE TABLE pool (
  id       bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account  bigint   NOT NULL,
  name     text     NOT NULL,
  strategy smallint NOT NULL,
  members  text     NOT NULL,
  metadata text     NOT NULL,
  created  bigint   NOT NULL,
  UNIQUE (account, name)
);

CREATE TABLE agent (
  provider  bigint PRIMARY KEY,
  agent     text   NOT NULL,
  version   text   NOT NULL,
  hostname  text   NOT NULL,
  mta       text   NOT NULL,
  last_seen bigint NOT NULL
);

CREATE TABLE sender_domain (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account     bigint NOT NULL,
  sub_account bigint NOT NULL,
  name        text   NOT NULL,
  selector    text   NOT NULL,
  key         bytea,
  records     text   NOT NULL,
  created     bigint NOT NULL,
  checked     bigint NOT NULL,
  next_check  bigint NOT NULL,
  UNIQUE (sub_account, name)
);
CREATE INDEX sender_domain_next ON sender_domain (next_check);

CREATE TABLE suppression (
  id          bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  email       text     NOT NULL,
  reason      smallint NOT NULL,
  text        text     NOT NULL,
  message     uuid,
  created     bigint   NOT NULL,
  expires     bigint   NOT NULL,
  UNIQUE (sub_account, email)
);

-- What one API call shares among its recipients, in the form of
-- store.EncodeContent: compressed already, and kept inside its page while it
-- fits.
CREATE TABLE content (
  id          uuid   PRIMARY KEY,
  account     bigint NOT NULL,
  sub_account bigint NOT NULL,
  body        bytea  NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE content ALTER COLUMN body SET STORAGE EXTERNAL;

-- to_email is NULL when it is the recipient.
CREATE TABLE message (
  id          uuid     PRIMARY KEY,
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  content     uuid     NOT NULL,
  domain      bigint   NOT NULL,
  pool        bigint   NOT NULL,
  provider    bigint   NOT NULL,
  submitted   bigint   NOT NULL,
  mailbox     smallint NOT NULL,
  recipient   text     NOT NULL,
  to_name     text     NOT NULL,
  to_email    text,
  cc          text     NOT NULL,
  variables   bytea
);
CREATE INDEX message_recipient ON message (account, recipient, id);

-- One narrow row for each unfinished message, deleted when it is finished. A
-- lease is due moved forward and a mark in lease, 0 while nobody holds it.
-- Rows come and go: vacuum often, and never pause for it.
CREATE TABLE queue (
  message  uuid     PRIMARY KEY,
  account  bigint   NOT NULL,
  provider bigint   NOT NULL,
  due      bigint   NOT NULL,
  lease    bigint   NOT NULL,
  attempt  integer  NOT NULL,
  mailbox  smallint NOT NULL,
  unknown  boolean  NOT NULL
) WITH (
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX queue_lane ON queue (provider, mailbox, due, message);

CREATE TABLE attempt (
  message  uuid     NOT NULL,
  n        integer  NOT NULL,
  provider bigint   NOT NULL,
  at       bigint   NOT NULL,
  took     bigint   NOT NULL,
  result   smallint NOT NULL,
  stage    text     NOT NULL,
  code     integer  NOT NULL,
  enhanced text     NOT NULL,
  text     text     NOT NULL,
  PRIMARY KEY (message, n)
);

-- Ids ascend with time (store.EventID), so a partition by id is one by time.
-- Months are made when a store opens; event_rest takes what no month covers.
CREATE TABLE event (
  id          bigint   NOT NULL,
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  provider    bigint   NOT NULL,
  message     uuid     NOT NULL,
  at          bigint   NOT NULL,
  code        integer  NOT NULL,
  attempt     integer  NOT NULL,
  type        smallint NOT NULL,
  late        boolean  NOT NULL,
  evidence    boolean  NOT NULL,
  source      text     NOT NULL,
  recipient   text     NOT NULL,
  enhanced    text     NOT NULL,
  text        text     NOT NULL,
  reason      text     NOT NULL,
  rule        text     NOT NULL,
  queue       text     NOT NULL,
  relay       text     NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX event_message ON event (message);
CREATE INDEX event_list ON event (account, type, id, sub_account, provider) WHERE NOT evidence;
CREATE TABLE event_rest PARTITION OF event DEFAULT;

-- The keys of reported facts: kind 1 is Fact.Key, 2 is Fact.Once.
CREATE TABLE fact_key (
  message uuid     NOT NULL,
  kind    smallint NOT NULL,
  key     text     NOT NULL,
  PRIMARY KEY (message, kind, key)
);

CREATE TABLE deferral (
  message  uuid    PRIMARY KEY,
  at       bigint  NOT NULL,
  code     integer NOT NULL,
  enhanced text    NOT NULL,
  text     text    NOT NULL,
  count    bigint  NOT NULL
);

-- day is the UTC day of Event.At, counted from 1970. Nodes count in slots of
-- their own, so that they do not wait for each other's commit; readers sum.
CREATE TABLE stat_day (
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  provider    bigint   NOT NULL,
  n           bigint   NOT NULL,
  day         integer  NOT NULL,
  stat        smallint NOT NULL,
  slot        smallint NOT NULL,
  PRIMARY KEY (account, day, sub_account, provider, stat, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);

-- Messages let through in one minute; a claim under a limit holds its
-- provider's row of limiter until it commits.
CREATE TABLE limiter (
  provider bigint PRIMARY KEY
);
CREATE TABLE limit_bucket (
  provider bigint   NOT NULL,
  minute   bigint   NOT NULL,
  n        bigint   NOT NULL,
  mailbox  smallint NOT NULL,
  PRIMARY KEY (provider, minute, mailbox)
) WITH (fillfactor = 50);

-- Each committer writes its row in each of its transactions, so that after a
-- connection broke during COMMIT the row tells what became of it.
CREATE TABLE commit_mark (
  committer bigint PRIMARY KEY,
  mark      bigint NOT NULL
) WITH (fillfactor = 50);

-- One row, written by Ping: proof that writing works.
CREATE TABLE pulse (
  id integer PRIMARY KEY CHECK (id = 1),
  at bigint  NOT NULL
);
INSERT INTO pulse VALUES (1, 0);

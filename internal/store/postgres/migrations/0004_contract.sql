-- +goose Up

-- checks are bits of waypost.RecipientChecks.
ALTER TABLE sub_account
  ADD COLUMN blocked_at   bigint   NOT NULL DEFAULT 0,
  ADD COLUMN block_reason text     NOT NULL DEFAULT '',
  ADD COLUMN checks       smallint NOT NULL DEFAULT 0;

-- Kind 5 are the credentials of SMTP submission, found by their identifier.
ALTER TABLE api_key
  ADD COLUMN name      text    NOT NULL DEFAULT '',
  ADD COLUMN scopes    text    NOT NULL DEFAULT '',
  ADD COLUMN networks  text    NOT NULL DEFAULT '',
  ADD COLUMN per_hour  integer NOT NULL DEFAULT 0,
  ADD COLUMN last_used bigint  NOT NULL DEFAULT 0;
CREATE INDEX api_key_list ON api_key (account, id);
CREATE UNIQUE INDEX api_key_submission ON api_key (sub_account, name) WHERE kind = 5;

-- keys is JSON; the keys in it are sealed.
ALTER TABLE sender_domain
  ADD COLUMN keys          text    NOT NULL DEFAULT '',
  ADD COLUMN direct_bounce boolean NOT NULL DEFAULT false;

CREATE TABLE template (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account bigint NOT NULL,
  name    text   NOT NULL,
  subject text   NOT NULL,
  html    text   NOT NULL,
  body    text   NOT NULL,
  design  text   NOT NULL,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  UNIQUE (account, name)
);

CREATE INDEX suppression_list ON suppression (sub_account, id) INCLUDE (expires, created, reason);
CREATE INDEX suppression_expires ON suppression (expires) WHERE expires <> 0;

CREATE TABLE person (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    bigint NOT NULL,
  email      text   NOT NULL UNIQUE,
  name       text   NOT NULL,
  role       text   NOT NULL,
  password   text   NOT NULL,
  created    bigint NOT NULL,
  last_login bigint NOT NULL
);
CREATE INDEX person_list ON person (account, id);

CREATE TABLE session (
  token   bytea  PRIMARY KEY,
  data    bytea  NOT NULL,
  expires bigint NOT NULL
);
CREATE INDEX session_expires ON session (expires);

-- The answers of send calls with an Idempotency-Key.
CREATE TABLE replay (
  sub_account bigint NOT NULL,
  key         text   NOT NULL,
  request     bytea  NOT NULL,
  answer      bytea  NOT NULL,
  expires     bigint NOT NULL,
  PRIMARY KEY (sub_account, key)
);
CREATE INDEX replay_expires ON replay (expires);

CREATE TABLE webhook (
  id              bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account         bigint  NOT NULL,
  uuid            uuid    NOT NULL,
  url             text    NOT NULL,
  enabled         boolean NOT NULL,
  wants           integer NOT NULL,
  secret          bytea,
  created         bigint  NOT NULL,
  updated         bigint  NOT NULL,
  state           text    NOT NULL,
  failures        integer NOT NULL,
  delivered       bigint  NOT NULL,
  failed          bigint  NOT NULL,
  disabled_at     bigint  NOT NULL,
  disabled_reason text    NOT NULL,
  UNIQUE (account, url)
);

-- webhook is 0 for the endpoint of a message's own call. A lease is due moved
-- forward and the mark of its claim. took is in nanoseconds. Rows come and go as
-- those of queue.
CREATE TABLE delivery (
  id       bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account  bigint   NOT NULL,
  webhook  bigint   NOT NULL,
  event    bigint   NOT NULL,
  message  uuid     NOT NULL,
  created  bigint   NOT NULL,
  due      bigint   NOT NULL,
  last_at  bigint   NOT NULL DEFAULT 0,
  took     bigint   NOT NULL DEFAULT 0,
  attempt  integer  NOT NULL DEFAULT 0,
  status   integer  NOT NULL DEFAULT 0,
  state    smallint NOT NULL DEFAULT 0,
  lease    bigint   NOT NULL DEFAULT 0,
  error    text     NOT NULL DEFAULT ''
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due ON delivery (webhook, due, id) WHERE state = 0;
CREATE INDEX delivery_list ON delivery (account, webhook, id);
CREATE INDEX delivery_dead ON delivery (account, webhook, id) WHERE state = 2;
CREATE INDEX delivery_finished ON delivery (state, last_at) WHERE state <> 0;

-- What the events of a message are counted under; own_webhook: the call named
-- an endpoint. folded is NULL when it is the recipient.
ALTER TABLE message
  ADD COLUMN groups      text    NOT NULL DEFAULT '',
  ADD COLUMN own_webhook boolean NOT NULL DEFAULT false,
  ADD COLUMN folded      text;
UPDATE message SET folded = lower(recipient) WHERE lower(recipient) <> recipient;
DROP INDEX message_recipient;
CREATE INDEX message_recipient ON message (account, coalesce(folded, recipient), id);
CREATE INDEX message_sub_account ON message (sub_account, id);

-- Each filter of the list has an index, by type and then newest first.
ALTER TABLE event
  ADD COLUMN domain bigint NOT NULL DEFAULT 0,
  ADD COLUMN visit  text   NOT NULL DEFAULT '';
UPDATE event SET domain = m.domain FROM message m WHERE m.id = event.message AND m.domain <> 0;
DROP INDEX event_list;
DROP INDEX event_provider;
CREATE INDEX event_list ON event (account, type, id) WHERE NOT evidence;
CREATE INDEX event_evidence ON event (account, id) WHERE evidence;
CREATE INDEX event_sub_account ON event (sub_account, type, id) WHERE NOT evidence;
CREATE INDEX event_provider ON event (provider, type, id) WHERE NOT evidence AND provider <> 0;
CREATE INDEX event_domain ON event (domain, type, id) WHERE NOT evidence AND domain <> 0;
CREATE INDEX event_code ON event (account, code, type, id) WHERE NOT evidence AND code <> 0;

-- The counters broken down: kind is a byKind, key what StatRow.Key says.
-- Slots are those of stat_day.
CREATE TABLE stat_by (
  account     bigint   NOT NULL,
  sub_account bigint   NOT NULL,
  provider    bigint   NOT NULL,
  n           bigint   NOT NULL,
  day         integer  NOT NULL,
  kind        smallint NOT NULL,
  stat        smallint NOT NULL,
  slot        smallint NOT NULL,
  key         text     NOT NULL COLLATE "C",
  PRIMARY KEY (account, kind, day, sub_account, provider, key, stat, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);

CREATE INDEX provider_event_at ON provider_event (at);
CREATE INDEX audit_at ON audit (at);

-- When the holder of a lease claimed it.
ALTER TABLE queue ADD COLUMN claimed bigint NOT NULL DEFAULT 0;

-- +goose Up

ALTER TABLE sub_account ADD COLUMN pool bigint NOT NULL DEFAULT 0;

ALTER TABLE provider
  ADD COLUMN burst           boolean NOT NULL DEFAULT false,
  ADD COLUMN max_connections integer NOT NULL DEFAULT 0,
  ADD COLUMN max_per_session integer NOT NULL DEFAULT 0;

-- patience is in milliseconds.
ALTER TABLE pool
  ADD COLUMN lists    text    NOT NULL DEFAULT '',
  ADD COLUMN failover boolean NOT NULL DEFAULT false,
  ADD COLUMN overflow bigint  NOT NULL DEFAULT 0,
  ADD COLUMN patience bigint  NOT NULL DEFAULT 0;

-- mailbox is -1 for the whole provider.
CREATE TABLE pause (
  provider bigint   NOT NULL,
  account  bigint   NOT NULL,
  at       bigint   NOT NULL,
  mailbox  smallint NOT NULL,
  reason   text     NOT NULL,
  PRIMARY KEY (provider, mailbox)
);

CREATE TABLE provider_event (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  provider bigint NOT NULL,
  at       bigint NOT NULL,
  kind     text   NOT NULL,
  text     text   NOT NULL
);
CREATE INDEX provider_event_list ON provider_event (provider, id);

CREATE TABLE audit (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account bigint NOT NULL,
  at      bigint NOT NULL,
  actor   text   NOT NULL,
  action  text   NOT NULL,
  object  text   NOT NULL,
  text    text   NOT NULL
);
CREATE INDEX audit_list ON audit (account, id);

-- Event ids counted from 1970 until here, and count from 2020 from here on.
-- Events stored already move to event_rest, and their partitions go.
-- +goose StatementBegin
DO $$
DECLARE part regclass;
BEGIN
  CREATE TEMPORARY TABLE moved ON COMMIT DROP AS SELECT * FROM event;
  UPDATE moved SET id = id - (1577836800000 << 22) WHERE id >= 1577836800000 << 22;
  FOR part IN SELECT inhrelid FROM pg_inherits
    WHERE inhparent = 'event'::regclass AND inhrelid <> 'event_rest'::regclass
  LOOP
    EXECUTE format('DROP TABLE %s', part);
  END LOOP;
  TRUNCATE event_rest;
  INSERT INTO event SELECT * FROM moved;
END $$;
-- +goose StatementEnd

-- The events of one provider, by type as event_list.
CREATE INDEX event_provider ON event (account, provider, type, id, sub_account) WHERE NOT evidence;

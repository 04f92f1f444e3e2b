-- +goose Up

-- Mails that came back. raw is compressed already (store.EncodeRaw); id is a
-- UUID of version 7, so ids ascend with the time of receipt.
CREATE TABLE report (
  id              uuid    PRIMARY KEY,
  hash            bytea   NOT NULL UNIQUE,
  received        bigint  NOT NULL,
  account         bigint  NOT NULL,
  sub_account     bigint  NOT NULL,
  message         uuid,
  provider        bigint  NOT NULL,
  envelope        text    NOT NULL,
  kind            text    NOT NULL,
  recipient       text    NOT NULL,
  verdict         text    NOT NULL,
  reason          text    NOT NULL,
  rule            text    NOT NULL,
  code            integer NOT NULL,
  enhanced        text    NOT NULL,
  text            text    NOT NULL,
  queue           text    NOT NULL,
  status          text    NOT NULL,
  note            text    NOT NULL,
  reclassified    text    NOT NULL,
  reclassified_at bigint  NOT NULL,
  raw             bytea   NOT NULL
);
ALTER TABLE report ALTER COLUMN raw SET STORAGE EXTERNAL;
CREATE INDEX report_list ON report (account, id);
CREATE INDEX report_message ON report (message) WHERE message IS NOT NULL;

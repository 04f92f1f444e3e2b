-- +goose Up

-- What lists and searches need of a content without reading it. Contents that
-- were stored before have none: they are shown, and not found by it.
CREATE TABLE headline (
  content    uuid   PRIMARY KEY,
  account    bigint NOT NULL,
  sender     text   NOT NULL,
  from_name  text   NOT NULL,
  from_email text   NOT NULL,
  subject    text   NOT NULL
);
CREATE INDEX headline_sender ON headline (account, sender, content);

CREATE TABLE content_tag (
  content uuid   NOT NULL,
  tag     text   NOT NULL,
  account bigint NOT NULL,
  PRIMARY KEY (content, tag)
);
CREATE INDEX content_tag_list ON content_tag (account, tag, content);

-- Events by the ids that mail servers gave their messages.
CREATE INDEX event_queue ON event (account, queue) WHERE queue <> '';

-- Messages by their outcome, in the order of their ids.
CREATE INDEX event_outcome ON event (account, type, message) WHERE NOT evidence AND type IN (60, 62, 63, 64);
CREATE INDEX event_outcome_sub ON event (sub_account, type, message) WHERE NOT evidence AND type IN (60, 62, 63, 64);

-- Messages that were sent with no more known of them: candidates, one or the other
-- too many, never one too few. Those of a sub-account are picked from them. Rows come and go as those of queue.
CREATE TABLE unsettled (
  message uuid   PRIMARY KEY,
  account bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
INSERT INTO unsettled (message, account)
SELECT message, account FROM event e WHERE type = 59 AND NOT evidence
AND NOT EXISTS (SELECT FROM event l WHERE l.message = e.message AND NOT l.evidence AND l.type IN (60, 63, 64))
ON CONFLICT DO NOTHING;

-- +goose Up

-- store.MessageIDKey of the Message-ID that a call brought, NULL when it brought
-- none, as nearly all do.
ALTER TABLE content ADD COLUMN own_id bytea;
CREATE INDEX content_own_id ON content (own_id) WHERE own_id IS NOT NULL;

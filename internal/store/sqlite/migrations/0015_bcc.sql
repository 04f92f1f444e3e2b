-- +goose Up

-- The blind copies of an entry of "to", as JSON like cc: shown to who sent the
-- mail, and never in it.
ALTER TABLE message ADD COLUMN bcc TEXT NOT NULL DEFAULT '';

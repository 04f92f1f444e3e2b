-- +goose Up

-- All that a list of suppressions is filtered by, so that long walks and counts
-- read no rows.
DROP INDEX suppression_list;
CREATE INDEX suppression_list ON suppression (sub_account, id, expires, created, reason, email);

-- +goose Up

-- clean is 0 while a process works on the database, and 1 after an orderly end.
ALTER TABLE pulse ADD COLUMN clean INTEGER NOT NULL DEFAULT 1;

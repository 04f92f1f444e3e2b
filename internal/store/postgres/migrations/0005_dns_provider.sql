-- +goose Up
ALTER TABLE sender_domain ADD COLUMN dns_provider text NOT NULL DEFAULT '';

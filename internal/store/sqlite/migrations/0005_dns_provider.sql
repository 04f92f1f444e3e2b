-- +goose Up
ALTER TABLE sender_domain ADD COLUMN dns_provider TEXT NOT NULL DEFAULT '';

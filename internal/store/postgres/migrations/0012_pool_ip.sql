-- +goose Up

-- A pool that names the pseudo IP and no provider stands for all providers of
-- its account; warmup is in hours, as the customer gave it.
ALTER TABLE pool
  ADD COLUMN names_ip boolean NOT NULL DEFAULT false,
  ADD COLUMN warmup integer NOT NULL DEFAULT 0;
UPDATE pool SET names_ip = true WHERE metadata LIKE '%"IP\_%' OR members IN ('', '[]', 'null') AND metadata NOT LIKE '%TPSP\_%';

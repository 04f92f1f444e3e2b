-- +goose Up

-- A pool that names the pseudo IP and no provider stands for all providers of
-- its account; warmup is in hours, as the customer gave it.
ALTER TABLE pool ADD COLUMN names_ip INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN warmup INTEGER NOT NULL DEFAULT 0;
UPDATE pool SET names_ip = 1 WHERE metadata LIKE '%"IP\_%' ESCAPE '\' OR members IN ('', '[]', 'null') AND metadata NOT LIKE '%TPSP\_%' ESCAPE '\';

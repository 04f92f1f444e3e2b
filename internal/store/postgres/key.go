package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// querier is what a pool and a transaction have in common.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// keyBounds are the stored forms of a key's scopes and networks.
func keyBounds(k *waypost.APIKey) (scopes, networks string, err error) {
	scopes, err = asJSON(k.Scopes, len(k.Scopes))
	if err == nil {
		networks, err = asJSON(k.Networks, len(k.Networks))
	}
	return scopes, networks, err
}

func insertKey(ctx context.Context, q querier, k *waypost.APIKey) error {
	scopes, networks, err := keyBounds(k)
	if err != nil {
		return err
	}
	return q.QueryRow(ctx, `INSERT INTO api_key (kind, account, sub_account, provider, hash, hint, created, expires, name, scopes,
networks, per_hour, last_used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id`,
		int16(k.Kind), k.Account, k.SubAccount, k.Provider, k.Hash[:], clean(k.Hint), millis(k.Created), millis(k.Expires),
		clean(k.Name), scopes, networks, k.PerHour, millis(k.LastUsed)).Scan(&k.ID)
}

const keyColumns = `id, kind, account, sub_account, provider, hash, hint, created, expires, name, scopes, networks, per_hour, last_used`

func scanKey(row pgx.CollectableRow) (k waypost.APIKey, err error) {
	var hash []byte
	var created, expires, used int64
	var scopes, networks string
	err = row.Scan(&k.ID, (*int16)(&k.Kind), &k.Account, &k.SubAccount, &k.Provider, &hash, &k.Hint, &created, &expires,
		&k.Name, &scopes, &networks, &k.PerHour, &used)
	if err != nil {
		return k, err
	}
	copy(k.Hash[:], hash)
	k.Created, k.Expires, k.LastUsed = moment(created), moment(expires), moment(used)
	return k, errors.Join(store.DecodeJSON(scopes, &k.Scopes), store.DecodeJSON(networks, &k.Networks))
}

// Key finds a key by its hash, expired or not.
func (d *DB) Key(ctx context.Context, hash [32]byte) (waypost.APIKey, error) {
	return one(ctx, d, "key", scanKey, `SELECT `+keyColumns+` FROM api_key WHERE hash = $1`, hash[:])
}

// SubmissionKey finds a submission credential by its identifier.
func (d *DB) SubmissionKey(ctx context.Context, subAccount int64, name string) (waypost.APIKey, error) {
	return one(ctx, d, "submission credential", scanKey,
		`SELECT `+keyColumns+` FROM api_key WHERE sub_account = $1 AND name = $2 AND kind = 5`, subAccount, clean(name))
}

// Keys lists keys; Search is part of the name.
func (d *DB) Keys(ctx context.Context, account int64, kind waypost.KeyKind, p store.Page) ([]waypost.APIKey, error) {
	limit, offset, search := page(p)
	return list(ctx, d, "list keys", scanKey, `SELECT `+keyColumns+` FROM api_key WHERE account = $1
AND (kind = $2 OR $2 = 0) AND kind <> $3 AND ($4 = '' OR strpos(lower(name), lower($4)) > 0) ORDER BY id LIMIT $5 OFFSET $6`,
		account, int16(kind), int16(waypost.KeyDashboard), search, limit, offset)
}

// CreateKey stores a key.
func (d *DB) CreateKey(ctx context.Context, k *waypost.APIKey) error {
	return wrap(ctx, "create a key", insertKey(ctx, d.pool, k))
}

// UpdateKey stores what people may change of a key.
func (d *DB) UpdateKey(ctx context.Context, k *waypost.APIKey) error {
	scopes, networks, err := keyBounds(k)
	if err != nil {
		return err
	}
	return d.change(ctx, fmt.Sprintf("update key %d", k.ID), `UPDATE api_key SET name = $3, scopes = $4, networks = $5, per_hour = $6,
expires = $7 WHERE id = $1 AND account = $2`, k.ID, k.Account, clean(k.Name), scopes, networks, k.PerHour, millis(k.Expires))
}

// DeleteKey ends a key.
func (d *DB) DeleteKey(ctx context.Context, account, id int64) error {
	return d.change(ctx, fmt.Sprintf("delete key %d", id), `DELETE FROM api_key WHERE id = $1 AND account = $2`, id, account)
}

// TouchKeys notes when keys were used last. Of what several nodes noted the
// latest stays; the rows are locked in one order.
func (d *DB) TouchKeys(ctx context.Context, used map[int64]time.Time) error {
	if len(used) == 0 {
		return ctx.Err()
	}
	ids := slices.Sorted(maps.Keys(used))
	at := make([]int64, len(ids))
	for i, id := range ids {
		at[i] = millis(used[id])
	}
	_, err := d.pool.Exec(ctx, `WITH v AS MATERIALIZED (
  SELECT k.id, u.at FROM unnest($1::bigint[], $2::bigint[]) AS u(id, at) JOIN api_key k ON k.id = u.id
  WHERE k.last_used < u.at ORDER BY k.id FOR UPDATE OF k
) UPDATE api_key k SET last_used = v.at FROM v WHERE k.id = v.id AND k.last_used < v.at`, ids, at)
	return wrap(ctx, "note the use of keys", err)
}

// RotateKey stores a provider's fresh ingestion key, and ends those before it.
// The provider's row is locked, so that of two rotations one is the last.
func (d *DB) RotateKey(ctx context.Context, account, provider int64, fresh *waypost.APIKey, oldUntil time.Time) error {
	k := *fresh
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, `SELECT id FROM provider WHERE id = $1 AND account = $2 FOR UPDATE`, provider, account).Scan(&id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE api_key SET expires = $1 WHERE provider = $2 AND kind = $3 AND (expires = 0 OR expires > $1)`,
			oldUntil.UnixMilli(), provider, int16(waypost.KeyIngestion)); err != nil {
			return err
		}
		k.Kind, k.Account, k.Provider = waypost.KeyIngestion, account, provider
		return insertKey(ctx, tx, &k)
	})
	if err != nil {
		return wrap(ctx, fmt.Sprintf("rotate the key of provider %d", provider), err)
	}
	*fresh = k
	return nil
}

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// keyBounds are the stored forms of a key's scopes and networks.
func keyBounds(k *waypost.APIKey) (scopes, networks string, err error) {
	scopes, err = listJSON(k.Scopes)
	if err == nil {
		networks, err = listJSON(k.Networks)
	}
	return scopes, networks, err
}

// listJSON is the stored form of a list that is mostly empty.
func listJSON[T any](v []T) (string, error) {
	if len(v) == 0 {
		return "", nil
	}
	return store.EncodeJSON(v)
}

func (t *tx) createKey(k *waypost.APIKey) error {
	scopes, networks, err := keyBounds(k)
	if err != nil {
		return err
	}
	k.ID, err = t.insert(`INSERT INTO api_key (kind, account, sub_account, provider, hash, hint, created, expires, name, scopes, networks,
per_hour, last_used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		int64(k.Kind), k.Account, k.SubAccount, k.Provider, k.Hash[:], k.Hint, millis(k.Created), millis(k.Expires),
		k.Name, scopes, networks, k.PerHour, millis(k.LastUsed))
	return err
}

const selectKey = `SELECT id, kind, account, sub_account, provider, hash, hint, created, expires, name, scopes, networks, per_hour,
last_used FROM api_key`

func scanKey(row scanner, k *waypost.APIKey) error {
	var hash []byte
	var created, expires, used int64
	var scopes, networks string
	if err := row.Scan(&k.ID, &k.Kind, &k.Account, &k.SubAccount, &k.Provider, &hash, &k.Hint, &created, &expires, &k.Name,
		&scopes, &networks, &k.PerHour, &used); err != nil {
		return err
	}
	copy(k.Hash[:], hash)
	k.Created, k.Expires, k.LastUsed = moment(created), moment(expires), moment(used)
	return errors.Join(store.DecodeJSON(scopes, &k.Scopes), store.DecodeJSON(networks, &k.Networks))
}

// CreateKey implements [store.Directory].
func (d *DB) CreateKey(ctx context.Context, k *waypost.APIKey) error {
	return d.do(ctx, "create a key", 0, func(tx *tx) error { return tx.createKey(k) })
}

// Key implements [store.Directory].
func (d *DB) Key(ctx context.Context, hash [32]byte) (waypost.APIKey, error) {
	return one(ctx, d, "find a key", scanKey, selectKey+" WHERE hash = $1", hash[:])
}

// SubmissionKey implements [store.Directory].
func (d *DB) SubmissionKey(ctx context.Context, subAccount int64, name string) (waypost.APIKey, error) {
	return one(ctx, d, "find a submission credential", scanKey, selectKey+" WHERE sub_account = $1 AND name = $2 AND kind = 5", subAccount, name)
}

// Keys implements [store.Directory]. Search is part of the name.
func (d *DB) Keys(ctx context.Context, account int64, kind waypost.KeyKind, p store.Page) ([]waypost.APIKey, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list keys", scanKey, selectKey+` WHERE account = $1 AND name LIKE $2 ESCAPE '\' AND kind <> $5
AND ($6 = 0 OR kind = $6) ORDER BY id LIMIT $3 OFFSET $4`, account, like, limit, offset, int64(waypost.KeyDashboard), int64(kind))
}

// UpdateKey implements [store.Directory].
func (d *DB) UpdateKey(ctx context.Context, k *waypost.APIKey) error {
	scopes, networks, err := keyBounds(k)
	if err != nil {
		return err
	}
	return d.do(ctx, fmt.Sprintf("update key %d", k.ID), 0, func(tx *tx) error {
		n, err := tx.exec(`UPDATE api_key SET name = $1, scopes = $2, networks = $3, per_hour = $4, expires = $5 WHERE id = $6 AND account = $7`,
			k.Name, scopes, networks, k.PerHour, millis(k.Expires), k.ID, k.Account)
		return found(n, taken(err))
	})
}

// DeleteKey implements [store.Directory].
func (d *DB) DeleteKey(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete key %d", id), 0, func(tx *tx) error {
		return found(tx.exec("DELETE FROM api_key WHERE id = $1 AND account = $2", id, account))
	})
}

// TouchKeys implements [store.Directory].
func (d *DB) TouchKeys(ctx context.Context, used map[int64]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	return d.do(ctx, "note the use of keys", 50*len(used), func(tx *tx) error {
		for id, at := range used {
			if _, err := tx.exec("UPDATE api_key SET last_used = $1 WHERE id = $2 AND last_used < $1", millis(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// RotateKey implements [store.Directory].
func (d *DB) RotateKey(ctx context.Context, account, provider int64, fresh *waypost.APIKey, oldUntil time.Time) error {
	return d.do(ctx, fmt.Sprintf("rotate the key of provider %d", provider), 0, func(tx *tx) error {
		if err := tx.exists("SELECT EXISTS (SELECT 1 FROM provider WHERE id = $1 AND account = $2)", provider, account); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE api_key SET expires = $1 WHERE provider = $2 AND kind = $3 AND (expires = 0 OR expires > $1)",
			oldUntil.UnixMilli(), provider, int64(waypost.KeyIngestion)); err != nil {
			return err
		}
		fresh.Kind, fresh.Account, fresh.Provider = waypost.KeyIngestion, account, provider
		return tx.createKey(fresh)
	})
}

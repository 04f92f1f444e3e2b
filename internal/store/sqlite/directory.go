package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const insertSubAccount = `INSERT INTO sub_account (account, name, is_default, blocked, pool, created) VALUES ($1, $2, $3, $4, $5, $6)`

// Install implements [store.Directory].
func (d *DB) Install(ctx context.Context, in *store.Installation) error {
	return d.do(ctx, "install", 0, func(tx *tx) error {
		var n int
		if _, err := tx.row("SELECT count(*) FROM account", nil, &n); err != nil {
			return err
		}
		if n > 0 {
			return store.ErrExists
		}
		var err error
		a, s := &in.Account, &in.SubAccount
		if a.ID, err = tx.insert("INSERT INTO account (name, created) VALUES ($1, $2)", a.Name, millis(a.Created)); err != nil {
			return err
		}
		s.Account = a.ID
		if s.ID, err = tx.insert(insertSubAccount, s.Account, s.Name, s.Default, s.Blocked, s.Pool, millis(s.Created)); err != nil {
			return err
		}
		for _, k := range in.Keys {
			k.Account = a.ID
			if k.Kind == waypost.KeySubAccount {
				k.SubAccount = s.ID
			}
			if err := tx.createKey(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// Installed implements [store.Directory].
func (d *DB) Installed(ctx context.Context) (bool, error) {
	return one(ctx, d, "look for an account", func(row scanner, yes *bool) error { return row.Scan(yes) },
		"SELECT EXISTS (SELECT 1 FROM account)")
}

func (t *tx) createKey(k *waypost.APIKey) (err error) {
	k.ID, err = t.insert(
		`INSERT INTO api_key (kind, account, sub_account, provider, hash, hint, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		int64(k.Kind), k.Account, k.SubAccount, k.Provider, k.Hash[:], k.Hint, millis(k.Created), millis(k.Expires))
	return err
}

// CreateKey implements [store.Directory].
func (d *DB) CreateKey(ctx context.Context, k *waypost.APIKey) error {
	return d.do(ctx, "create a key", 0, func(tx *tx) error { return tx.createKey(k) })
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

// Key implements [store.Directory].
func (d *DB) Key(ctx context.Context, hash [32]byte) (waypost.APIKey, error) {
	return one(ctx, d, "find a key", func(row scanner, k *waypost.APIKey) error {
		var created, expires int64
		k.Hash = hash
		if err := row.Scan(&k.ID, &k.Kind, &k.Account, &k.SubAccount, &k.Provider, &k.Hint, &created, &expires); err != nil {
			return err
		}
		k.Created, k.Expires = moment(created), moment(expires)
		return nil
	}, "SELECT id, kind, account, sub_account, provider, hint, created, expires FROM api_key WHERE hash = $1", hash[:])
}

const selectSubAccount = "SELECT id, account, name, is_default, blocked, pool, created FROM sub_account"

func scanSubAccount(row scanner, s *waypost.SubAccount) error {
	var created int64
	err := row.Scan(&s.ID, &s.Account, &s.Name, &s.Default, &s.Blocked, &s.Pool, &created)
	s.Created = moment(created)
	return err
}

// SubAccount implements [store.Directory].
func (d *DB) SubAccount(ctx context.Context, account, id int64) (waypost.SubAccount, error) {
	return one(ctx, d, "find a sub-account", scanSubAccount, selectSubAccount+" WHERE id = $1 AND account = $2", id, account)
}

// page is how every list of names ends.
const page = ` AND name LIKE $2 ESCAPE '\' ORDER BY id LIMIT $3 OFFSET $4`

// SubAccounts implements [store.Directory].
func (d *DB) SubAccounts(ctx context.Context, account int64, p store.Page) ([]waypost.SubAccount, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list sub-accounts", scanSubAccount, selectSubAccount+" WHERE account = $1"+page, account, like, limit, offset)
}

// AgentSeen implements [store.Directory].
func (d *DB) AgentSeen(ctx context.Context, a waypost.Agent) error {
	return d.do(ctx, "note an agent", 0, func(tx *tx) error {
		_, err := tx.exec(`INSERT OR REPLACE INTO agent (provider, agent, version, hostname, mta, last_seen) VALUES ($1, $2, $3, $4, $5, $6)`,
			a.Provider, a.ID, a.Version, a.Hostname, a.MTA, millis(a.LastSeen))
		return err
	})
}

// Agent implements [store.Directory].
func (d *DB) Agent(ctx context.Context, provider int64) (waypost.Agent, error) {
	return one(ctx, d, "find an agent", func(row scanner, a *waypost.Agent) error {
		var seen int64
		err := row.Scan(&a.Provider, &a.ID, &a.Version, &a.Hostname, &a.MTA, &seen)
		a.LastSeen = moment(seen)
		return err
	}, "SELECT provider, agent, version, hostname, mta, last_seen FROM agent WHERE provider = $1", provider)
}

package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const insertProvider = `INSERT INTO provider (account, name, host, port, security, auth, username, password, helo, tls_skip_verify,
plain_auth, max_per_hour, settings, retry_permanent, retry, created, updated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`

// CreateProvider implements [store.Directory].
func (d *DB) CreateProvider(ctx context.Context, p *waypost.Provider, key *waypost.APIKey, pool *waypost.Pool) error {
	settings, err := store.EncodeJSON(p.Settings)
	if err != nil {
		return err
	}
	retry, err := store.EncodeJSON(p.Retry)
	if err != nil {
		return err
	}
	return d.do(ctx, fmt.Sprintf("create provider %q", p.Name), 0, func(tx *tx) error {
		p.ID, err = tx.insert(insertProvider, p.Account, p.Name, p.Host, p.Port, p.Security, p.Auth, p.Username, []byte(p.Password),
			p.HELO, p.TLSSkipVerify, p.PlainAuth, p.MaxPerHour, settings, p.RetryPermanent, retry, millis(p.Created), millis(p.Updated))
		if err != nil {
			return err
		}
		if key != nil {
			key.Account, key.Provider = p.Account, p.ID
			if err := tx.createKey(key); err != nil {
				return err
			}
		}
		if pool == nil {
			return nil
		}
		pool.Members = []waypost.PoolMember{{Provider: p.ID, Weight: 100}}
		pool.Metadata = fmt.Sprintf(`{"TPSP_%d":"100"}`, p.ID)
		return tx.createFreePool(pool)
	})
}

const selectProvider = `SELECT id, account, name, host, port, security, auth, username, password, helo, tls_skip_verify,
plain_auth, max_per_hour, settings, retry_permanent, retry, created, updated FROM provider`

func scanProvider(row scanner, p *waypost.Provider) error {
	var password []byte
	var settings, retry string
	var created, updated int64
	if err := row.Scan(&p.ID, &p.Account, &p.Name, &p.Host, &p.Port, &p.Security, &p.Auth, &p.Username, &password, &p.HELO,
		&p.TLSSkipVerify, &p.PlainAuth, &p.MaxPerHour, &settings, &p.RetryPermanent, &retry, &created, &updated); err != nil {
		return err
	}
	p.Password, p.Created, p.Updated = password, moment(created), moment(updated)
	if err := store.DecodeJSON(settings, &p.Settings); err != nil {
		return err
	}
	return store.DecodeJSON(retry, &p.Retry)
}

// Provider implements [store.Directory].
func (d *DB) Provider(ctx context.Context, account, id int64) (waypost.Provider, error) {
	return one(ctx, d, "find a provider", scanProvider, selectProvider+" WHERE id = $1 AND account = $2", id, account)
}

// AnyProvider implements [store.Directory].
func (d *DB) AnyProvider(ctx context.Context, id int64) (waypost.Provider, error) {
	return one(ctx, d, "find a provider", scanProvider, selectProvider+" WHERE id = $1", id)
}

// Providers implements [store.Directory].
func (d *DB) Providers(ctx context.Context, account int64, p store.Page) ([]waypost.Provider, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list providers", scanProvider, selectProvider+" WHERE account = $1"+page, account, like, limit, offset)
}

func (t *tx) createPool(p *waypost.Pool, members string) (err error) {
	p.ID, err = t.insert(`INSERT INTO pool (account, name, strategy, members, metadata, created) VALUES ($1, $2, $3, $4, $5, $6)`,
		p.Account, p.Name, int64(p.Strategy), members, p.Metadata, millis(p.Created))
	return err
}

// createFreePool stores a pool under the first name that is free: its own, or
// with the suffix -2, -3 and so on.
func (t *tx) createFreePool(p *waypost.Pool) error {
	members, err := store.EncodeJSON(p.Members)
	if err != nil {
		return err
	}
	for base, n := p.Name, 2; ; n++ {
		var taken bool
		if _, err := t.row("SELECT EXISTS (SELECT 1 FROM pool WHERE account = $1 AND name = $2)", []any{p.Account, p.Name}, &taken); err != nil {
			return err
		}
		if !taken {
			return t.createPool(p, members)
		}
		p.Name = fmt.Sprintf("%s-%d", base, n)
	}
}

// CreatePool implements [store.Directory].
func (d *DB) CreatePool(ctx context.Context, p *waypost.Pool) error {
	members, err := store.EncodeJSON(p.Members)
	if err != nil {
		return err
	}
	return d.do(ctx, fmt.Sprintf("create pool %q", p.Name), 0, func(tx *tx) error { return tx.createPool(p, members) })
}

const selectPool = "SELECT id, account, name, strategy, members, metadata, created FROM pool"

func scanPool(row scanner, p *waypost.Pool) error {
	var members string
	var created int64
	if err := row.Scan(&p.ID, &p.Account, &p.Name, &p.Strategy, &members, &p.Metadata, &created); err != nil {
		return err
	}
	p.Created = moment(created)
	return store.DecodeJSON(members, &p.Members)
}

// Pool implements [store.Directory].
func (d *DB) Pool(ctx context.Context, account, id int64) (waypost.Pool, error) {
	return one(ctx, d, "find a pool", scanPool, selectPool+" WHERE id = $1 AND account = $2", id, account)
}

// PoolByName implements [store.Directory].
func (d *DB) PoolByName(ctx context.Context, account int64, name string) (waypost.Pool, error) {
	return one(ctx, d, "find a pool", scanPool, selectPool+" WHERE account = $1 AND name = $2", account, name)
}

// Pools implements [store.Directory].
func (d *DB) Pools(ctx context.Context, account int64, p store.Page) ([]waypost.Pool, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list pools", scanPool, selectPool+" WHERE account = $1"+page, account, like, limit, offset)
}

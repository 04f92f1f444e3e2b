package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const insertProvider = `INSERT INTO provider (account, name, host, port, security, auth, username, password, helo, tls_skip_verify,
plain_auth, max_per_hour, burst, max_connections, max_per_session, settings, retry_permanent, retry, updated, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`

// providerArgs are the values of a provider from its name to its update.
func providerArgs(p *waypost.Provider) ([]any, error) {
	settings, err := store.EncodeJSON(p.Settings)
	if err != nil {
		return nil, err
	}
	retry, err := store.EncodeJSON(p.Retry)
	if err != nil {
		return nil, err
	}
	return []any{
		p.Account, p.Name, p.Host, p.Port, p.Security, p.Auth, p.Username, []byte(p.Password), p.HELO, p.TLSSkipVerify, p.PlainAuth,
		p.MaxPerHour, p.Burst, p.MaxConnections, p.MaxPerSession, settings, p.RetryPermanent, retry, millis(p.Updated),
	}, nil
}

// CreateProvider implements [store.Directory].
func (d *DB) CreateProvider(ctx context.Context, p *waypost.Provider, key *waypost.APIKey, pool *waypost.Pool) error {
	args, err := providerArgs(p)
	if err != nil {
		return err
	}
	args = append(args, millis(p.Created))
	return d.do(ctx, fmt.Sprintf("create provider %q", p.Name), 0, func(tx *tx) error {
		if p.ID, err = tx.insert(insertProvider, args...); err != nil {
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

const updateProvider = `UPDATE provider SET name = $2, host = $3, port = $4, security = $5, auth = $6, username = $7, password = $8,
helo = $9, tls_skip_verify = $10, plain_auth = $11, max_per_hour = $12, burst = $13, max_connections = $14, max_per_session = $15,
settings = $16, retry_permanent = $17, retry = $18, updated = $19 WHERE account = $1 AND id = $20`

// UpdateProvider implements [store.Directory].
func (d *DB) UpdateProvider(ctx context.Context, p *waypost.Provider) error {
	args, err := providerArgs(p)
	if err != nil {
		return err
	}
	args = append(args, p.ID)
	return d.do(ctx, fmt.Sprintf("update provider %q", p.Name), 0, func(tx *tx) error {
		n, err := tx.exec(updateProvider, args...)
		return found(n, taken(err))
	})
}

// DeleteProvider implements [store.Directory].
func (d *DB) DeleteProvider(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete provider %d", id), 0, func(tx *tx) error {
		if err := found(tx.exec("DELETE FROM provider WHERE id = $1 AND account = $2", id, account)); err != nil {
			return err
		}
		for _, query := range []string{
			"DELETE FROM api_key WHERE provider = $1",
			"DELETE FROM agent WHERE provider = $1",
			"DELETE FROM pause WHERE provider = $1",
			"DELETE FROM limit_bucket WHERE provider = $1",
		} {
			if _, err := tx.exec(query, id); err != nil {
				return err
			}
		}
		delete(tx.db.ledgers, id)
		return tx.leavePools(account, id)
	})
}

// CountProviders implements [store.Directory].
func (d *DB) CountProviders(ctx context.Context, account int64) (int, error) {
	return one(ctx, d, "count providers", func(row scanner, n *int) error { return row.Scan(n) },
		"SELECT count(*) FROM provider WHERE account = $1", account)
}

const selectProvider = `SELECT id, account, name, host, port, security, auth, username, password, helo, tls_skip_verify, plain_auth,
max_per_hour, burst, max_connections, max_per_session, settings, retry_permanent, retry, created, updated FROM provider`

func scanProvider(row scanner, p *waypost.Provider) error {
	var password []byte
	var settings, retry string
	var created, updated int64
	if err := row.Scan(&p.ID, &p.Account, &p.Name, &p.Host, &p.Port, &p.Security, &p.Auth, &p.Username, &password, &p.HELO,
		&p.TLSSkipVerify, &p.PlainAuth, &p.MaxPerHour, &p.Burst, &p.MaxConnections, &p.MaxPerSession, &settings,
		&p.RetryPermanent, &retry, &created, &updated); err != nil {
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

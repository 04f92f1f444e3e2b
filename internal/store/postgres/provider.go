package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// CreateProvider stores a provider, its ingestion key and its pool.
func (d *DB) CreateProvider(ctx context.Context, p *waypost.Provider, key *waypost.APIKey, pool *waypost.Pool) error {
	provider, k := *p, *key
	var q waypost.Pool
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		args, err := providerArgs(&provider)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, insertProvider, append(args, millis(p.Created))...).Scan(&provider.ID); err != nil {
			return err
		}
		k.Kind, k.Account, k.Provider = waypost.KeyIngestion, provider.Account, provider.ID
		if err := insertKey(ctx, tx, &k); err != nil || pool == nil {
			return err
		}
		q = *pool
		q.Account = provider.Account
		q.Members = []waypost.PoolMember{{Provider: provider.ID, Weight: 100}}
		q.Metadata = fmt.Sprintf(`{"TPSP_%d":"100"}`, provider.ID) // D-12
		q.Name, err = firstFreeName(q.Name, func(name string) error {
			q.Name = name
			return insertPool(ctx, tx, &q)
		})
		return err
	})
	if err != nil {
		return wrap(ctx, "create provider "+p.Name, err)
	}
	*p, *key = provider, k
	if pool != nil {
		*pool = q
	}
	return nil
}

const (
	insertProvider = `INSERT INTO provider (account, name, host, port, security, auth, username, password, helo, tls_skip_verify,
plain_auth, max_per_hour, burst, max_connections, max_per_session, settings, retry_permanent, retry, updated, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) RETURNING id`
	updateProvider = `UPDATE provider SET name = $2, host = $3, port = $4, security = $5, auth = $6, username = $7, password = $8,
helo = $9, tls_skip_verify = $10, plain_auth = $11, max_per_hour = $12, burst = $13, max_connections = $14,
max_per_session = $15, settings = $16, retry_permanent = $17, retry = $18, updated = $19 WHERE account = $1 AND id = $20`
)

// providerArgs are the values of a provider from its account to its update.
func providerArgs(p *waypost.Provider) ([]any, error) {
	settings, err := asJSON(p.Settings, len(p.Settings))
	if err != nil {
		return nil, err
	}
	retry, err := asJSON(p.Retry, len(p.Retry))
	if err != nil {
		return nil, err
	}
	return []any{
		p.Account, clean(p.Name), clean(p.Host), p.Port, clean(p.Security), clean(p.Auth), clean(p.Username), []byte(p.Password),
		clean(p.HELO), p.TLSSkipVerify, p.PlainAuth, p.MaxPerHour, p.Burst, p.MaxConnections, p.MaxPerSession, settings,
		p.RetryPermanent, retry, millis(p.Updated),
	}, nil
}

// UpdateProvider stores everything of a provider but its creation.
func (d *DB) UpdateProvider(ctx context.Context, p *waypost.Provider) error {
	args, err := providerArgs(p)
	if err != nil {
		return err
	}
	return d.change(ctx, "update provider "+p.Name, updateProvider, append(args, p.ID)...)
}

// change runs a statement that must change a row; ErrNotFound when it did not.
func (d *DB) change(ctx context.Context, act, sql string, args ...any) error {
	tag, err := d.pool.Exec(ctx, sql, args...)
	return wrap(ctx, act, changed(tag, err))
}

// DeleteProvider removes a provider with what belongs to it.
func (d *DB) DeleteProvider(ctx context.Context, account, id int64) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if err := changed(tx.Exec(ctx, `DELETE FROM provider WHERE id = $1 AND account = $2`, id, account)); err != nil {
			return err
		}
		var b pgx.Batch
		for _, table := range []string{"api_key", "agent", "pause", "limiter", "limit_bucket"} {
			b.Queue(`DELETE FROM `+table+` WHERE provider = $1`, id)
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		return leavePools(ctx, tx, account, id)
	})
	return wrap(ctx, fmt.Sprintf("delete provider %d", id), err)
}

// CountProviders counts the providers of an account.
func (d *DB) CountProviders(ctx context.Context, account int64) (n int, err error) {
	err = d.pool.QueryRow(ctx, `SELECT count(*) FROM provider WHERE account = $1`, account).Scan(&n)
	return n, wrap(ctx, "count providers", err)
}

const providerColumns = `id, account, name, host, port, security, auth, username, password, helo, tls_skip_verify, plain_auth,
max_per_hour, burst, max_connections, max_per_session, settings, retry_permanent, retry, created, updated`

func scanProvider(row pgx.CollectableRow) (p waypost.Provider, err error) {
	var settings, retry string
	var created, updated int64
	err = row.Scan(&p.ID, &p.Account, &p.Name, &p.Host, &p.Port, &p.Security, &p.Auth, &p.Username, (*[]byte)(&p.Password),
		&p.HELO, &p.TLSSkipVerify, &p.PlainAuth, &p.MaxPerHour, &p.Burst, &p.MaxConnections, &p.MaxPerSession, &settings,
		&p.RetryPermanent, &retry, &created, &updated)
	if err != nil {
		return p, err
	}
	p.Created, p.Updated = moment(created), moment(updated)
	return p, errors.Join(store.DecodeJSON(settings, &p.Settings), store.DecodeJSON(retry, &p.Retry))
}

// Provider finds a provider of an account.
func (d *DB) Provider(ctx context.Context, account, id int64) (waypost.Provider, error) {
	return one(ctx, d, fmt.Sprintf("provider %d", id), scanProvider,
		`SELECT `+providerColumns+` FROM provider WHERE id = $2 AND account = $1`, account, id)
}

// AnyProvider finds a provider of whatever account.
func (d *DB) AnyProvider(ctx context.Context, id int64) (waypost.Provider, error) {
	return one(ctx, d, fmt.Sprintf("provider %d", id), scanProvider,
		`SELECT `+providerColumns+` FROM provider WHERE id = $1`, id)
}

// Providers lists the providers of an account.
func (d *DB) Providers(ctx context.Context, account int64, p store.Page) ([]waypost.Provider, error) {
	return listPage(ctx, d, "list providers", scanProvider, providerColumns, "provider", "account", account, p)
}

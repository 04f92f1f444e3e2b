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
		if err := insertProvider(ctx, tx, &provider); err != nil {
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
		var err error
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

func insertProvider(ctx context.Context, q querier, p *waypost.Provider) error {
	settings, err := asJSON(p.Settings, len(p.Settings))
	if err != nil {
		return err
	}
	retry, err := asJSON(p.Retry, len(p.Retry))
	if err != nil {
		return err
	}
	return q.QueryRow(ctx, `INSERT INTO provider (account, name, host, port, security, auth, username, password, helo,
tls_skip_verify, plain_auth, max_per_hour, settings, retry_permanent, retry, created, updated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING id`,
		p.Account, clean(p.Name), clean(p.Host), p.Port, clean(p.Security), clean(p.Auth), clean(p.Username), []byte(p.Password),
		clean(p.HELO), p.TLSSkipVerify, p.PlainAuth, p.MaxPerHour, settings, p.RetryPermanent, retry,
		millis(p.Created), millis(p.Updated)).Scan(&p.ID)
}

const providerColumns = `id, account, name, host, port, security, auth, username, password, helo, tls_skip_verify, plain_auth,
max_per_hour, settings, retry_permanent, retry, created, updated`

func scanProvider(row pgx.CollectableRow) (p waypost.Provider, err error) {
	var settings, retry string
	var created, updated int64
	err = row.Scan(&p.ID, &p.Account, &p.Name, &p.Host, &p.Port, &p.Security, &p.Auth, &p.Username, (*[]byte)(&p.Password),
		&p.HELO, &p.TLSSkipVerify, &p.PlainAuth, &p.MaxPerHour, &settings, &p.RetryPermanent, &retry, &created, &updated)
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

// insertPool answers pgx.ErrNoRows when the name is taken.
func insertPool(ctx context.Context, q querier, p *waypost.Pool) error {
	members, err := asJSON(p.Members, len(p.Members))
	if err != nil {
		return err
	}
	return q.QueryRow(ctx, `INSERT INTO pool (account, name, strategy, members, metadata, created)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, name) DO NOTHING RETURNING id`,
		p.Account, clean(p.Name), int16(p.Strategy), members, clean(p.Metadata), millis(p.Created)).Scan(&p.ID)
}

// CreatePool stores a pool.
func (d *DB) CreatePool(ctx context.Context, p *waypost.Pool) error {
	err := insertPool(ctx, d.pool, p)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrExists
	}
	return wrap(ctx, "create pool "+p.Name, err)
}

const poolColumns = `id, account, name, strategy, members, metadata, created`

func scanPool(row pgx.CollectableRow) (p waypost.Pool, err error) {
	var members string
	var created int64
	err = row.Scan(&p.ID, &p.Account, &p.Name, (*int16)(&p.Strategy), &members, &p.Metadata, &created)
	if err != nil {
		return p, err
	}
	p.Created = moment(created)
	return p, store.DecodeJSON(members, &p.Members)
}

// Pool finds a pool of an account.
func (d *DB) Pool(ctx context.Context, account, id int64) (waypost.Pool, error) {
	return one(ctx, d, fmt.Sprintf("pool %d", id), scanPool,
		`SELECT `+poolColumns+` FROM pool WHERE id = $2 AND account = $1`, account, id)
}

// PoolByName finds a pool of an account by its name.
func (d *DB) PoolByName(ctx context.Context, account int64, name string) (waypost.Pool, error) {
	return one(ctx, d, "pool "+name, scanPool,
		`SELECT `+poolColumns+` FROM pool WHERE account = $1 AND name = $2`, account, clean(name))
}

// Pools lists the pools of an account.
func (d *DB) Pools(ctx context.Context, account int64, p store.Page) ([]waypost.Pool, error) {
	return listPage(ctx, d, "list pools", scanPool, poolColumns, "pool", "account", account, p)
}

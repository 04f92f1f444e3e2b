package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// installLock is the key of the advisory lock under which Install checks that
// it is the first.
const installLock = 0x77617971

// Install creates the account, its default sub-account and their keys.
func (d *DB) Install(ctx context.Context, in *store.Installation) error {
	account, sub := in.Account, in.SubAccount
	keys := make([]waypost.APIKey, len(in.Keys))
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(installLock)); err != nil {
			return err
		}
		var installed bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM account)`).Scan(&installed); err != nil {
			return err
		}
		if installed {
			return store.ErrExists
		}
		err := tx.QueryRow(ctx, `INSERT INTO account (name, created) VALUES ($1, $2) RETURNING id`,
			clean(account.Name), millis(account.Created)).Scan(&account.ID)
		if err != nil {
			return err
		}
		sub.Account = account.ID
		err = tx.QueryRow(ctx, `INSERT INTO sub_account (account, name, is_default, blocked, pool, created)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
			sub.Account, clean(sub.Name), sub.Default, sub.Blocked, sub.Pool, millis(sub.Created)).Scan(&sub.ID)
		if err != nil {
			return err
		}
		for i, k := range in.Keys {
			keys[i] = *k
			keys[i].Account = account.ID
			if k.Kind == waypost.KeySubAccount {
				keys[i].SubAccount = sub.ID
			}
			if err := insertKey(ctx, tx, &keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return wrap(ctx, "install", err)
	}
	in.Account, in.SubAccount = account, sub
	for i := range keys {
		*in.Keys[i] = keys[i]
	}
	return nil
}

// Installed tells whether there is an account.
func (d *DB) Installed(ctx context.Context) (installed bool, err error) {
	err = d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM account)`).Scan(&installed)
	return installed, wrap(ctx, "look for an account", err)
}

// querier is what a pool and a transaction have in common.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func insertKey(ctx context.Context, q querier, k *waypost.APIKey) error {
	return q.QueryRow(ctx, `INSERT INTO api_key (kind, account, sub_account, provider, hash, hint, created, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
		int16(k.Kind), k.Account, k.SubAccount, k.Provider, k.Hash[:], clean(k.Hint), millis(k.Created), millis(k.Expires)).
		Scan(&k.ID)
}

// Key finds a key by its hash, expired or not.
func (d *DB) Key(ctx context.Context, hash [32]byte) (waypost.APIKey, error) {
	return one(ctx, d, "key", func(row pgx.CollectableRow) (k waypost.APIKey, err error) {
		var created, expires int64
		err = row.Scan(&k.ID, (*int16)(&k.Kind), &k.Account, &k.SubAccount, &k.Provider, &k.Hint, &created, &expires)
		k.Hash, k.Created, k.Expires = hash, moment(created), moment(expires)
		return k, err
	}, `SELECT id, kind, account, sub_account, provider, hint, created, expires FROM api_key WHERE hash = $1`, hash[:])
}

// CreateKey stores a key.
func (d *DB) CreateKey(ctx context.Context, k *waypost.APIKey) error {
	return wrap(ctx, "create a key", insertKey(ctx, d.pool, k))
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

const subAccountColumns = `id, account, name, is_default, blocked, pool, created`

func scanSubAccount(row pgx.CollectableRow) (s waypost.SubAccount, err error) {
	var created int64
	err = row.Scan(&s.ID, &s.Account, &s.Name, &s.Default, &s.Blocked, &s.Pool, &created)
	s.Created = moment(created)
	return s, err
}

// SubAccount finds a sub-account of an account.
func (d *DB) SubAccount(ctx context.Context, account, id int64) (waypost.SubAccount, error) {
	return one(ctx, d, fmt.Sprintf("sub-account %d", id), scanSubAccount,
		`SELECT `+subAccountColumns+` FROM sub_account WHERE id = $2 AND account = $1`, account, id)
}

// SubAccounts lists the sub-accounts of an account.
func (d *DB) SubAccounts(ctx context.Context, account int64, p store.Page) ([]waypost.SubAccount, error) {
	return listPage(ctx, d, "list sub-accounts", scanSubAccount, subAccountColumns, "sub_account", "account", account, p)
}

// listPage reads a page of an owner's rows whose name holds the search text,
// in the order of creation.
func listPage[T any](ctx context.Context, d *DB, act string, scan pgx.RowToFunc[T], columns, table, owner string, id int64, p store.Page) ([]T, error) {
	limit, offset, search := page(p)
	return list(ctx, d, act, scan, `SELECT `+columns+` FROM `+table+` WHERE `+owner+` = $1
AND ($2 = '' OR strpos(lower(name), lower($2)) > 0) ORDER BY id LIMIT $3 OFFSET $4`, id, search, limit, offset)
}

// AgentSeen notes a report of a provider's agent.
func (d *DB) AgentSeen(ctx context.Context, a waypost.Agent) error {
	_, err := d.pool.Exec(ctx, `INSERT INTO agent (provider, agent, version, hostname, mta, last_seen)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (provider) DO UPDATE SET agent = excluded.agent, version = excluded.version,
hostname = excluded.hostname, mta = excluded.mta, last_seen = excluded.last_seen`,
		a.Provider, clean(a.ID), clean(a.Version), clean(a.Hostname), clean(a.MTA), millis(a.LastSeen))
	return wrap(ctx, "note an agent", err)
}

// Agent is the last report noted of a provider's agent.
func (d *DB) Agent(ctx context.Context, provider int64) (waypost.Agent, error) {
	return one(ctx, d, fmt.Sprintf("agent of provider %d", provider), func(row pgx.CollectableRow) (a waypost.Agent, err error) {
		var seen int64
		err = row.Scan(&a.Provider, &a.ID, &a.Version, &a.Hostname, &a.MTA, &seen)
		a.LastSeen = moment(seen)
		return a, err
	}, `SELECT provider, agent, version, hostname, mta, last_seen FROM agent WHERE provider = $1`, provider)
}

// firstFreeName inserts with name, name-2, name-3 … until one is free; insert
// answers pgx.ErrNoRows for one that is taken.
func firstFreeName(name string, insert func(string) error) (string, error) {
	const most = 10_000
	try := name
	for n := 2; ; n++ {
		err := insert(try)
		if !errors.Is(err, pgx.ErrNoRows) || n > most {
			return try, err
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

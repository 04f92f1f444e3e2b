package postgres

import (
	"context"
	"errors"
	"fmt"

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
		if err := insertSubAccount(ctx, tx, &sub); err != nil {
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

// FirstAccount finds the account that Install made.
func (d *DB) FirstAccount(ctx context.Context) (waypost.Account, error) {
	return one(ctx, d, "the account", func(row pgx.CollectableRow) (a waypost.Account, err error) {
		var created int64
		err = row.Scan(&a.ID, &a.Name, &created)
		a.Created = moment(created)
		return a, err
	}, `SELECT id, name, created FROM account ORDER BY id LIMIT 1`)
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
	state, err := store.EncodeJSON(&a.State)
	if err != nil {
		return err
	}
	_, err = d.pool.Exec(ctx, `INSERT INTO agent (provider, agent, version, hostname, mta, last_seen, state)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (provider) DO UPDATE SET agent = excluded.agent, version = excluded.version,
hostname = excluded.hostname, mta = excluded.mta, last_seen = excluded.last_seen, state = excluded.state`,
		a.Provider, clean(a.ID), clean(a.Version), clean(a.Hostname), clean(a.MTA), millis(a.LastSeen), clean(state))
	return wrap(ctx, "note an agent", err)
}

// Agent is the last report noted of a provider's agent.
func (d *DB) Agent(ctx context.Context, provider int64) (waypost.Agent, error) {
	return one(ctx, d, fmt.Sprintf("agent of provider %d", provider), func(row pgx.CollectableRow) (a waypost.Agent, err error) {
		var seen int64
		var state string
		if err := row.Scan(&a.Provider, &a.ID, &a.Version, &a.Hostname, &a.MTA, &seen, &state); err != nil {
			return a, err
		}
		a.LastSeen = moment(seen)
		return a, store.DecodeJSON(state, &a.State)
	}, `SELECT provider, agent, version, hostname, mta, last_seen, state FROM agent WHERE provider = $1`, provider)
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

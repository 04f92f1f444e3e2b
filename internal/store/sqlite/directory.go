package sqlite

import (
	"context"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

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
		if err := tx.createSubAccount(s); err != nil {
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

// FirstAccount implements [store.Directory].
func (d *DB) FirstAccount(ctx context.Context) (waypost.Account, error) {
	return one(ctx, d, "find the account", func(row scanner, a *waypost.Account) error {
		var created int64
		err := row.Scan(&a.ID, &a.Name, &created)
		a.Created = moment(created)
		return err
	}, "SELECT id, name, created FROM account ORDER BY id LIMIT 1")
}

// page is how every list of names ends.
const page = ` AND name LIKE $2 ESCAPE '\' ORDER BY id LIMIT $3 OFFSET $4`

// AgentSeen implements [store.Directory].
func (d *DB) AgentSeen(ctx context.Context, a waypost.Agent) error {
	state, err := store.EncodeJSON(&a.State)
	if err != nil {
		return err
	}
	return d.do(ctx, "note an agent", 0, func(tx *tx) error {
		_, err := tx.exec(`INSERT OR REPLACE INTO agent (provider, agent, version, hostname, mta, last_seen, state) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			a.Provider, a.ID, a.Version, a.Hostname, a.MTA, millis(a.LastSeen), state)
		return err
	})
}

// Agent implements [store.Directory].
func (d *DB) Agent(ctx context.Context, provider int64) (waypost.Agent, error) {
	return one(ctx, d, "find an agent", func(row scanner, a *waypost.Agent) error {
		var seen int64
		var state string
		if err := row.Scan(&a.Provider, &a.ID, &a.Version, &a.Hostname, &a.MTA, &seen, &state); err != nil {
			return err
		}
		a.LastSeen = moment(seen)
		return store.DecodeJSON(state, &a.State)
	}, "SELECT provider, agent, version, hostname, mta, last_seen, state FROM agent WHERE provider = $1", provider)
}

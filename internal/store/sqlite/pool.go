package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// poolArgs are the values of a pool but for its name.
func poolArgs(p *waypost.Pool) ([]any, error) {
	members, err := store.EncodeJSON(p.Members)
	if err != nil {
		return nil, err
	}
	lists, err := store.EncodeJSON(p.Lists)
	if err != nil {
		return nil, err
	}
	return []any{
		p.Account, int64(p.Strategy), members, lists, p.Metadata, p.Failover, p.Overflow, p.Patience.Milliseconds(), p.NamesIP, p.Warmup,
	}, nil
}

func (t *tx) createPool(p *waypost.Pool, args []any) (err error) {
	p.ID, err = t.insert(`INSERT INTO pool (account, strategy, members, lists, metadata, failover, overflow, patience, names_ip, warmup, name, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, append(slices.Clip(args), p.Name, millis(p.Created))...)
	return err
}

// createFreePool stores a pool under the first name that is free: its own, or
// with the suffix -2, -3 and so on.
func (t *tx) createFreePool(p *waypost.Pool) error {
	args, err := poolArgs(p)
	if err != nil {
		return err
	}
	for base, n := p.Name, 2; ; n++ {
		var taken bool
		if _, err := t.row("SELECT EXISTS (SELECT 1 FROM pool WHERE account = $1 AND name = $2)", []any{p.Account, p.Name}, &taken); err != nil {
			return err
		}
		if !taken {
			return t.createPool(p, args)
		}
		p.Name = fmt.Sprintf("%s-%d", base, n)
	}
}

// CreatePool implements [store.Directory].
func (d *DB) CreatePool(ctx context.Context, p *waypost.Pool) error {
	args, err := poolArgs(p)
	if err != nil {
		return err
	}
	return d.do(ctx, fmt.Sprintf("create pool %q", p.Name), 0, func(tx *tx) error { return tx.createPool(p, args) })
}

// UpdatePool implements [store.Directory].
func (d *DB) UpdatePool(ctx context.Context, p *waypost.Pool) error {
	args, err := poolArgs(p)
	if err != nil {
		return err
	}
	args = append(args, p.Name, p.ID)
	return d.do(ctx, fmt.Sprintf("update pool %q", p.Name), 0, func(tx *tx) error {
		n, err := tx.exec(`UPDATE pool SET strategy = $2, members = $3, lists = $4, metadata = $5, failover = $6, overflow = $7,
patience = $8, names_ip = $9, warmup = $10, name = $11 WHERE account = $1 AND id = $12`, args...)
		return found(n, taken(err))
	})
}

// DeletePool implements [store.Directory].
func (d *DB) DeletePool(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete pool %d", id), 0, func(tx *tx) error {
		if err := found(tx.exec("DELETE FROM pool WHERE id = $1 AND account = $2", id, account)); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE pool SET overflow = 0 WHERE account = $1 AND overflow = $2", account, id); err != nil {
			return err
		}
		_, err := tx.exec("UPDATE sub_account SET pool = 0 WHERE account = $1 AND pool = $2", account, id)
		return err
	})
}

// SetDefaultPool implements [store.Directory].
func (d *DB) SetDefaultPool(ctx context.Context, account, subAccount, pool int64) error {
	return d.do(ctx, "set the default pool", 0, func(tx *tx) error {
		if err := tx.ownPool(account, pool); err != nil {
			return err
		}
		return found(tx.exec("UPDATE sub_account SET pool = $1 WHERE id = $2 AND account = $3", pool, subAccount, account))
	})
}

// ownPool is ErrNotFound when a pool is not one of the account's; 0 is none,
// and fine.
func (t *tx) ownPool(account, pool int64) error {
	return t.exists("SELECT $1 = 0 OR EXISTS (SELECT 1 FROM pool WHERE id = $1 AND account = $2)", pool, account)
}

// exists is ErrNotFound when the query answers 0.
func (t *tx) exists(query string, args ...any) error {
	var yes bool
	if _, err := t.row(query, args, &yes); err != nil {
		return err
	}
	if !yes {
		return store.ErrNotFound
	}
	return nil
}

// leavePools takes a provider out of the pools of an account.
func (t *tx) leavePools(account, provider int64) error {
	rows, err := t.rows(selectPool+" WHERE account = $1", account)
	if err != nil {
		return err
	}
	pools, err := collect(rows, "read pools", scanPool)
	if err != nil {
		return err
	}
	for i := range pools {
		p := &pools[i]
		if !store.LeavePool(p, provider) {
			continue
		}
		args, err := poolArgs(p)
		if err != nil {
			return err
		}
		if _, err := t.exec("UPDATE pool SET members = $1, lists = $2 WHERE id = $3", args[2], args[3], p.ID); err != nil {
			return err
		}
	}
	return nil
}

const selectPool = `SELECT id, account, name, strategy, members, lists, metadata, failover, overflow, patience, names_ip, warmup, created FROM pool`

func scanPool(row scanner, p *waypost.Pool) error {
	var members, lists string
	var patience, created int64
	if err := row.Scan(&p.ID, &p.Account, &p.Name, &p.Strategy, &members, &lists, &p.Metadata, &p.Failover, &p.Overflow, &patience,
		&p.NamesIP, &p.Warmup, &created); err != nil {
		return err
	}
	p.Patience, p.Created = milliseconds(patience), moment(created)
	if err := store.DecodeJSON(lists, &p.Lists); err != nil {
		return err
	}
	return store.DecodeJSON(members, &p.Members)
}

// AnyPool implements [store.Directory].
func (d *DB) AnyPool(ctx context.Context, id int64) (waypost.Pool, error) {
	return one(ctx, d, "find a pool", scanPool, selectPool+" WHERE id = $1", id)
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

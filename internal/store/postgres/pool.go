package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// poolArgs are the values of a pool from its account to its warm-up.
func poolArgs(p *waypost.Pool) ([]any, error) {
	members, err := asJSON(p.Members, len(p.Members))
	if err != nil {
		return nil, err
	}
	lists, err := asJSON(p.Lists, len(p.Lists))
	if err != nil {
		return nil, err
	}
	return []any{
		p.Account, clean(p.Name), int16(p.Strategy), members, lists, clean(p.Metadata), p.Failover, p.Overflow, p.Patience.Milliseconds(),
		p.NamesIP, p.Warmup,
	}, nil
}

// insertPool answers pgx.ErrNoRows when the name is taken.
func insertPool(ctx context.Context, q querier, p *waypost.Pool) error {
	args, err := poolArgs(p)
	if err != nil {
		return err
	}
	return q.QueryRow(ctx, `INSERT INTO pool (account, name, strategy, members, lists, metadata, failover, overflow, patience, names_ip, warmup, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (account, name) DO NOTHING RETURNING id`,
		append(args, millis(p.Created))...).Scan(&p.ID)
}

// CreatePool stores a pool.
func (d *DB) CreatePool(ctx context.Context, p *waypost.Pool) error {
	err := insertPool(ctx, d.pool, p)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrExists
	}
	return wrap(ctx, "create pool "+p.Name, err)
}

// UpdatePool stores everything of a pool but its creation.
func (d *DB) UpdatePool(ctx context.Context, p *waypost.Pool) error {
	args, err := poolArgs(p)
	if err != nil {
		return err
	}
	return d.change(ctx, "update pool "+p.Name, `UPDATE pool SET name = $2, strategy = $3, members = $4, lists = $5, metadata = $6,
failover = $7, overflow = $8, patience = $9, names_ip = $10, warmup = $11 WHERE account = $1 AND id = $12`, append(args, p.ID)...)
}

// DeletePool removes a pool, as overflow and default of others too.
func (d *DB) DeletePool(ctx context.Context, account, id int64) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if err := changed(tx.Exec(ctx, `DELETE FROM pool WHERE id = $1 AND account = $2`, id, account)); err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(`UPDATE pool SET overflow = 0 WHERE account = $1 AND overflow = $2`, account, id)
		b.Queue(`UPDATE sub_account SET pool = 0 WHERE account = $1 AND pool = $2`, account, id)
		return tx.SendBatch(ctx, &b).Close()
	})
	return wrap(ctx, fmt.Sprintf("delete pool %d", id), err)
}

// SetDefaultPool makes a pool the default of a sub-account. The pool's row is
// locked against a deletion at the same time.
func (d *DB) SetDefaultPool(ctx context.Context, account, subAccount, pool int64) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if err := ownPool(ctx, tx, account, pool); err != nil {
			return err
		}
		return changed(tx.Exec(ctx, `UPDATE sub_account SET pool = $1 WHERE id = $2 AND account = $3`, pool, subAccount, account))
	})
	return wrap(ctx, "set the default pool", err)
}

// ownPool locks a pool of an account; pgx.ErrNoRows when it has none of that
// id. 0 is none, and fine.
func ownPool(ctx context.Context, tx pgx.Tx, account, pool int64) error {
	if pool == 0 {
		return nil
	}
	return tx.QueryRow(ctx, `SELECT id FROM pool WHERE id = $1 AND account = $2 FOR SHARE`, pool, account).Scan(&pool)
}

// changed is ErrNotFound when a statement changed no row.
func changed(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	return err
}

// leavePools takes a provider out of the pools of an account.
func leavePools(ctx context.Context, tx pgx.Tx, account, provider int64) error {
	rows, err := tx.Query(ctx, `SELECT `+poolColumns+` FROM pool WHERE account = $1 ORDER BY id FOR UPDATE`, account)
	if err != nil {
		return err
	}
	pools, err := pgx.CollectRows(rows, scanPool)
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
		if _, err := tx.Exec(ctx, `UPDATE pool SET members = $1, lists = $2 WHERE id = $3`, args[3], args[4], p.ID); err != nil {
			return err
		}
	}
	return nil
}

const poolColumns = `id, account, name, strategy, members, lists, metadata, failover, overflow, patience, names_ip, warmup, created`

func scanPool(row pgx.CollectableRow) (p waypost.Pool, err error) {
	var members, lists string
	var patience, created int64
	err = row.Scan(&p.ID, &p.Account, &p.Name, (*int16)(&p.Strategy), &members, &lists, &p.Metadata, &p.Failover, &p.Overflow,
		&patience, &p.NamesIP, &p.Warmup, &created)
	if err != nil {
		return p, err
	}
	p.Patience, p.Created = time.Duration(patience)*time.Millisecond, moment(created)
	return p, errors.Join(store.DecodeJSON(members, &p.Members), store.DecodeJSON(lists, &p.Lists))
}

// AnyPool finds a pool of whatever account.
func (d *DB) AnyPool(ctx context.Context, id int64) (waypost.Pool, error) {
	return one(ctx, d, fmt.Sprintf("pool %d", id), scanPool, `SELECT `+poolColumns+` FROM pool WHERE id = $1`, id)
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

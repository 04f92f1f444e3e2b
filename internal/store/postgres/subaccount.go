package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const subAccountColumns = `id, account, name, is_default, blocked, pool, created, blocked_at, block_reason, checks`

func scanSubAccount(row pgx.CollectableRow) (s waypost.SubAccount, err error) {
	var created, blocked int64
	err = row.Scan(&s.ID, &s.Account, &s.Name, &s.Default, &s.Blocked, &s.Pool, &created, &blocked, &s.BlockReason, (*int16)(&s.Checks))
	s.Created, s.BlockedAt = moment(created), moment(blocked)
	return s, err
}

func insertSubAccount(ctx context.Context, q querier, s *waypost.SubAccount) error {
	return q.QueryRow(ctx, `INSERT INTO sub_account (account, name, is_default, blocked, pool, created, blocked_at, block_reason, checks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		s.Account, clean(s.Name), s.Default, s.Blocked, s.Pool, millis(s.Created), millis(s.BlockedAt), clean(s.BlockReason),
		int16(s.Checks)).Scan(&s.ID)
}

// CreateSubAccount stores a sub-account and its first key.
func (d *DB) CreateSubAccount(ctx context.Context, s *waypost.SubAccount, key *waypost.APIKey) error {
	sub, k := *s, *key
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if err := insertSubAccount(ctx, tx, &sub); err != nil {
			return err
		}
		k.Account, k.SubAccount = sub.Account, sub.ID
		return insertKey(ctx, tx, &k)
	})
	if err != nil {
		return wrap(ctx, "create sub-account "+s.Name, err)
	}
	*s, *key = sub, k
	return nil
}

// UpdateSubAccount stores the name, the block and the checks.
func (d *DB) UpdateSubAccount(ctx context.Context, s *waypost.SubAccount) error {
	return d.change(ctx, "update sub-account "+s.Name, `UPDATE sub_account SET name = $3, blocked = $4, blocked_at = $5, block_reason = $6,
checks = $7 WHERE id = $1 AND account = $2`,
		s.ID, s.Account, clean(s.Name), s.Blocked, millis(s.BlockedAt), clean(s.BlockReason), int16(s.Checks))
}

// DeleteSubAccount removes a sub-account and what belongs to it but its mail.
func (d *DB) DeleteSubAccount(ctx context.Context, account, id int64) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		var isDefault bool
		err := tx.QueryRow(ctx, `SELECT is_default FROM sub_account WHERE id = $1 AND account = $2 FOR UPDATE`, id, account).Scan(&isDefault)
		switch {
		case err != nil:
			return err
		case isDefault:
			return store.ErrExists
		}
		var b pgx.Batch
		for _, table := range []string{"api_key", "sender_domain", "suppression", "replay"} {
			b.Queue(`DELETE FROM `+table+` WHERE sub_account = $1`, id)
		}
		b.Queue(`DELETE FROM sub_account WHERE id = $1`, id)
		return tx.SendBatch(ctx, &b).Close()
	})
	return wrap(ctx, fmt.Sprintf("delete sub-account %d", id), err)
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

package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func (t *tx) createSubAccount(s *waypost.SubAccount) (err error) {
	s.ID, err = t.insert(`INSERT INTO sub_account (account, name, is_default, blocked, pool, created, blocked_at, block_reason, checks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, s.Account, s.Name, s.Default, s.Blocked, s.Pool, millis(s.Created),
		millis(s.BlockedAt), s.BlockReason, int64(s.Checks))
	return err
}

// CreateSubAccount implements [store.Directory].
func (d *DB) CreateSubAccount(ctx context.Context, s *waypost.SubAccount, key *waypost.APIKey) error {
	return d.do(ctx, fmt.Sprintf("create sub-account %q", s.Name), 0, func(tx *tx) error {
		if err := tx.createSubAccount(s); err != nil {
			return err
		}
		key.Account, key.SubAccount = s.Account, s.ID
		return tx.createKey(key)
	})
}

// UpdateSubAccount implements [store.Directory].
func (d *DB) UpdateSubAccount(ctx context.Context, s *waypost.SubAccount) error {
	return d.do(ctx, fmt.Sprintf("update sub-account %q", s.Name), 0, func(tx *tx) error {
		n, err := tx.exec(`UPDATE sub_account SET name = $1, blocked = $2, blocked_at = $3, block_reason = $4, checks = $5
WHERE id = $6 AND account = $7`, s.Name, s.Blocked, millis(s.BlockedAt), s.BlockReason, int64(s.Checks), s.ID, s.Account)
		return found(n, taken(err))
	})
}

// DeleteSubAccount implements [store.Directory].
func (d *DB) DeleteSubAccount(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete sub-account %d", id), 0, func(tx *tx) error {
		var isDefault bool
		there, err := tx.row("SELECT is_default FROM sub_account WHERE id = $1 AND account = $2", []any{id, account}, &isDefault)
		switch {
		case err != nil:
			return err
		case !there:
			return store.ErrNotFound
		case isDefault:
			return store.ErrExists
		}
		for _, query := range []string{
			"DELETE FROM api_key WHERE sub_account = $1",
			"DELETE FROM sender_domain WHERE sub_account = $1",
			"DELETE FROM suppression WHERE sub_account = $1",
			"DELETE FROM replay WHERE sub_account = $1",
			"DELETE FROM sub_account WHERE id = $1",
		} {
			if _, err := tx.exec(query, id); err != nil {
				return err
			}
		}
		return nil
	})
}

const selectSubAccount = "SELECT id, account, name, is_default, blocked, pool, created, blocked_at, block_reason, checks FROM sub_account"

func scanSubAccount(row scanner, s *waypost.SubAccount) error {
	var created, blocked int64
	err := row.Scan(&s.ID, &s.Account, &s.Name, &s.Default, &s.Blocked, &s.Pool, &created, &blocked, &s.BlockReason, &s.Checks)
	s.Created, s.BlockedAt = moment(created), moment(blocked)
	return err
}

// SubAccount implements [store.Directory].
func (d *DB) SubAccount(ctx context.Context, account, id int64) (waypost.SubAccount, error) {
	return one(ctx, d, "find a sub-account", scanSubAccount, selectSubAccount+" WHERE id = $1 AND account = $2", id, account)
}

// SubAccounts implements [store.Directory].
func (d *DB) SubAccounts(ctx context.Context, account int64, p store.Page) ([]waypost.SubAccount, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list sub-accounts", scanSubAccount, selectSubAccount+" WHERE account = $1"+page, account, like, limit, offset)
}

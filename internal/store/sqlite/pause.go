package sqlite

import (
	"context"

	"github.com/waypost-mail/waypost"
)

// SetPause implements [store.Surgery]. ErrNotFound when the provider is not of
// the account.
func (d *DB) SetPause(ctx context.Context, p waypost.Pause) error {
	return d.do(ctx, "pause", 0, func(tx *tx) error {
		return found(tx.exec(`INSERT INTO pause (account, provider, mailbox, reason, at)
SELECT account, id, $3, $4, $5 FROM provider WHERE account = $1 AND id = $2
ON CONFLICT (provider, mailbox) DO UPDATE SET account = excluded.account, reason = excluded.reason, at = excluded.at`,
			p.Account, p.Provider, int64(p.Mailbox), p.Reason, millis(p.At)))
	})
}

// DeletePause implements [store.Surgery].
func (d *DB) DeletePause(ctx context.Context, account, provider int64, mailbox waypost.Mailbox) error {
	return d.do(ctx, "end a pause", 0, func(tx *tx) error {
		return found(tx.exec("DELETE FROM pause WHERE account = $1 AND provider = $2 AND mailbox = $3", account, provider, int64(mailbox)))
	})
}

// Pauses implements [store.Surgery].
func (d *DB) Pauses(ctx context.Context, account int64) ([]waypost.Pause, error) {
	return list(ctx, d, "list pauses", func(row scanner, p *waypost.Pause) error {
		var at int64
		err := row.Scan(&p.Account, &p.Provider, &p.Mailbox, &p.Reason, &at)
		p.At = moment(at)
		return err
	}, "SELECT account, provider, mailbox, reason, at FROM pause WHERE $1 = 0 OR account = $1 ORDER BY provider, mailbox", account)
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
)

// SetPause stores a pause; ErrNotFound when the provider is not of the account.
func (d *DB) SetPause(ctx context.Context, p waypost.Pause) error {
	return d.change(ctx, "pause", `INSERT INTO pause (account, provider, mailbox, reason, at)
SELECT account, id, $3, $4, $5 FROM provider WHERE account = $1 AND id = $2
ON CONFLICT (provider, mailbox) DO UPDATE SET account = excluded.account, reason = excluded.reason, at = excluded.at`,
		p.Account, p.Provider, int16(p.Mailbox), clean(p.Reason), millis(p.At))
}

// DeletePause ends a pause.
func (d *DB) DeletePause(ctx context.Context, account, provider int64, mailbox waypost.Mailbox) error {
	return d.change(ctx, "end a pause", `DELETE FROM pause WHERE account = $1 AND provider = $2 AND mailbox = $3`,
		account, provider, int16(mailbox))
}

// Pauses lists the pauses of an account, or of all.
func (d *DB) Pauses(ctx context.Context, account int64) ([]waypost.Pause, error) {
	return list(ctx, d, "list pauses", func(row pgx.CollectableRow) (p waypost.Pause, err error) {
		var at int64
		err = row.Scan(&p.Account, &p.Provider, (*int16)(&p.Mailbox), &p.Reason, &at)
		p.At = moment(at)
		return p, err
	}, `SELECT account, provider, mailbox, reason, at FROM pause WHERE $1 = 0 OR account = $1 ORDER BY provider, mailbox`, account)
}

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
)

// ChangeDomain changes a domain under the lock of its row.
func (d *DB) ChangeDomain(ctx context.Context, subAccount, id int64, change func(*waypost.SenderDomain) error) (waypost.SenderDomain, error) {
	var out waypost.SenderDomain
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+domainColumns+` FROM sender_domain WHERE id = $2 AND sub_account = $1 FOR UPDATE`, subAccount, id)
		if err != nil {
			return err
		}
		dom, err := pgx.CollectExactlyOneRow(rows, scanDomain)
		if err != nil {
			return err
		}
		kept := dom
		if err := change(&dom); err != nil {
			return err
		}
		dom.Account, dom.SubAccount, dom.ID, dom.Created = kept.Account, kept.SubAccount, kept.ID, kept.Created
		args, err := domainArgs(&dom)
		if err != nil {
			return err
		}
		out = dom
		_, err = tx.Exec(ctx, `UPDATE sender_domain SET selector = $1, key = $2, records = $3, checked = $4, next_check = $5, keys = $6,
direct_bounce = $7, dns_provider = $8, name = $9 WHERE id = $10`, append(args, clean(dom.Name), id)...)
		return err
	})
	if err != nil {
		return waypost.SenderDomain{}, wrap(ctx, fmt.Sprintf("change domain %d", id), err)
	}
	return out, nil
}

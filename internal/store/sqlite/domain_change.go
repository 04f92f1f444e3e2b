package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// ChangeDomain implements [store.Domains]. The committer runs one transaction
// at a time, so nothing comes between reading and writing.
func (d *DB) ChangeDomain(ctx context.Context, subAccount, id int64, change func(*waypost.SenderDomain) error) (waypost.SenderDomain, error) {
	var out waypost.SenderDomain
	err := d.do(ctx, fmt.Sprintf("change domain %d", id), 0, func(tx *tx) error {
		s, err := tx.stmt(selectDomain + " WHERE id = $1 AND sub_account = $2")
		if err != nil {
			return err
		}
		rows, err := s.QueryContext(context.Background(), id, subAccount)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		if !rows.Next() {
			if err := rows.Err(); err != nil {
				return err
			}
			return store.ErrNotFound
		}
		var dom waypost.SenderDomain
		if err := scanDomain(rows, &dom); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
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
		_, err = tx.exec(`UPDATE sender_domain SET selector = $1, key = $2, records = $3, checked = $4, next_check = $5, keys = $6,
direct_bounce = $7, dns_provider = $8, name = $9 WHERE id = $10`, append(args, dom.Name, id)...)
		out = dom
		return taken(err)
	})
	if err != nil {
		return waypost.SenderDomain{}, err
	}
	return out, nil
}

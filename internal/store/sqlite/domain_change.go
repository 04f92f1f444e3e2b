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
		records, err := store.EncodeJSON(dom.Records)
		if err != nil {
			return err
		}
		_, err = tx.exec("UPDATE sender_domain SET name = $1, selector = $2, key = $3, records = $4, checked = $5, next_check = $6 WHERE id = $7",
			dom.Name, dom.Selector, []byte(dom.Key), records, millis(dom.CheckedAt), millis(dom.NextCheck), id)
		out = dom
		return taken(err)
	})
	if err != nil {
		return waypost.SenderDomain{}, err
	}
	return out, nil
}

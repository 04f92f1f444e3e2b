package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// CreateDomain implements [store.Domains].
func (d *DB) CreateDomain(ctx context.Context, dom *waypost.SenderDomain) error {
	args, err := domainArgs(dom)
	if err != nil {
		return err
	}
	args = append(args, dom.Account, dom.SubAccount, dom.Name, millis(dom.Created))
	return d.do(ctx, fmt.Sprintf("create domain %q", dom.Name), 0, func(tx *tx) error {
		dom.ID, err = tx.insert(`INSERT INTO sender_domain (selector, key, records, checked, next_check, keys, direct_bounce, dns_provider,
account, sub_account, name, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, args...)
		return err
	})
}

// domainArgs are the values of a domain from its selector on.
func domainArgs(dom *waypost.SenderDomain) ([]any, error) {
	records, err := store.EncodeJSON(dom.Records)
	if err != nil {
		return nil, err
	}
	keys, err := listJSON(dom.Keys)
	if err != nil {
		return nil, err
	}
	return []any{dom.Selector, []byte(dom.Key), records, millis(dom.CheckedAt), millis(dom.NextCheck), keys, dom.DirectBounce, dom.DNSProvider}, nil
}

// CountDomains implements [store.Domains].
func (d *DB) CountDomains(ctx context.Context, subAccount int64) (int, error) {
	return one(ctx, d, "count domains", func(row scanner, n *int) error { return row.Scan(n) },
		"SELECT count(*) FROM sender_domain WHERE sub_account = $1", subAccount)
}

const selectDomain = `SELECT id, account, sub_account, name, selector, key, records, created, checked, next_check, keys, direct_bounce,
dns_provider FROM sender_domain`

func scanDomain(row scanner, d *waypost.SenderDomain) error {
	var key []byte
	var records, keys string
	var created, checked, next int64
	if err := row.Scan(&d.ID, &d.Account, &d.SubAccount, &d.Name, &d.Selector, &key, &records, &created, &checked, &next,
		&keys, &d.DirectBounce, &d.DNSProvider); err != nil {
		return err
	}
	d.Key, d.Created, d.CheckedAt, d.NextCheck = key, moment(created), moment(checked), moment(next)
	return errors.Join(store.DecodeJSON(records, &d.Records), store.DecodeJSON(keys, &d.Keys))
}

// Domain implements [store.Domains].
func (d *DB) Domain(ctx context.Context, subAccount, id int64) (waypost.SenderDomain, error) {
	return one(ctx, d, "find a domain", scanDomain, selectDomain+" WHERE id = $1 AND sub_account = $2", id, subAccount)
}

// DomainByName implements [store.Domains].
func (d *DB) DomainByName(ctx context.Context, subAccount int64, name string) (waypost.SenderDomain, error) {
	return one(ctx, d, "find a domain", scanDomain, selectDomain+" WHERE sub_account = $1 AND name = $2", subAccount, name)
}

// AnyDomain implements [store.Domains].
func (d *DB) AnyDomain(ctx context.Context, id int64) (waypost.SenderDomain, error) {
	return one(ctx, d, "find a domain", scanDomain, selectDomain+" WHERE id = $1", id)
}

// Domains implements [store.Domains].
func (d *DB) Domains(ctx context.Context, subAccount int64, p store.Page) ([]waypost.SenderDomain, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list domains", scanDomain, selectDomain+" WHERE sub_account = $1"+page, subAccount, like, limit, offset)
}

// DomainsDue implements [store.Domains].
func (d *DB) DomainsDue(ctx context.Context, now time.Time, limit int) ([]waypost.SenderDomain, error) {
	return list(ctx, d, "list domains to check", scanDomain,
		selectDomain+" WHERE next_check <= $1 ORDER BY next_check LIMIT $2", now.UnixMilli(), limit)
}

// DeleteDomain implements [store.Domains].
func (d *DB) DeleteDomain(ctx context.Context, subAccount, id int64) error {
	return d.do(ctx, "delete a domain", 0, func(tx *tx) error {
		return found(tx.exec("DELETE FROM sender_domain WHERE id = $1 AND sub_account = $2", id, subAccount))
	})
}

// found is ErrNotFound when a statement changed no row.
func found(rows int64, err error) error {
	if err == nil && rows == 0 {
		return store.ErrNotFound
	}
	return err
}

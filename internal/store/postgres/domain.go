package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// domainArgs are the values of a domain from its selector on.
func domainArgs(dom *waypost.SenderDomain) ([]any, error) {
	records, err := asJSON(dom.Records, len(dom.Records))
	if err != nil {
		return nil, err
	}
	keys, err := asJSON(dom.Keys, len(dom.Keys))
	if err != nil {
		return nil, err
	}
	return []any{
		clean(dom.Selector), []byte(dom.Key), records, millis(dom.CheckedAt), millis(dom.NextCheck), keys, dom.DirectBounce,
		clean(dom.DNSProvider),
	}, nil
}

// CreateDomain stores a sender domain.
func (d *DB) CreateDomain(ctx context.Context, dom *waypost.SenderDomain) error {
	args, err := domainArgs(dom)
	if err != nil {
		return err
	}
	err = d.pool.QueryRow(ctx, `INSERT INTO sender_domain (selector, key, records, checked, next_check, keys, direct_bounce, dns_provider,
account, sub_account, name, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
		append(args, dom.Account, dom.SubAccount, clean(dom.Name), millis(dom.Created))...).Scan(&dom.ID)
	return wrap(ctx, "create domain "+dom.Name, err)
}

// CountDomains counts the domains of a sub-account.
func (d *DB) CountDomains(ctx context.Context, subAccount int64) (n int, err error) {
	err = d.pool.QueryRow(ctx, `SELECT count(*) FROM sender_domain WHERE sub_account = $1`, subAccount).Scan(&n)
	return n, wrap(ctx, "count domains", err)
}

const domainColumns = `id, account, sub_account, name, selector, key, records, created, checked, next_check, keys, direct_bounce, dns_provider`

func scanDomain(row pgx.CollectableRow) (dom waypost.SenderDomain, err error) {
	var records, keys string
	var created, checked, next int64
	err = row.Scan(&dom.ID, &dom.Account, &dom.SubAccount, &dom.Name, &dom.Selector, (*[]byte)(&dom.Key), &records,
		&created, &checked, &next, &keys, &dom.DirectBounce, &dom.DNSProvider)
	if err != nil {
		return dom, err
	}
	dom.Created, dom.CheckedAt, dom.NextCheck = moment(created), moment(checked), moment(next)
	return dom, errors.Join(store.DecodeJSON(records, &dom.Records), store.DecodeJSON(keys, &dom.Keys))
}

// Domain finds a domain of a sub-account.
func (d *DB) Domain(ctx context.Context, subAccount, id int64) (waypost.SenderDomain, error) {
	return one(ctx, d, fmt.Sprintf("domain %d", id), scanDomain,
		`SELECT `+domainColumns+` FROM sender_domain WHERE id = $2 AND sub_account = $1`, subAccount, id)
}

// DomainByName finds a domain of a sub-account by its name.
func (d *DB) DomainByName(ctx context.Context, subAccount int64, name string) (waypost.SenderDomain, error) {
	return one(ctx, d, "domain "+name, scanDomain,
		`SELECT `+domainColumns+` FROM sender_domain WHERE sub_account = $1 AND name = $2`, subAccount, clean(name))
}

// Domains lists the domains of a sub-account.
func (d *DB) Domains(ctx context.Context, subAccount int64, p store.Page) ([]waypost.SenderDomain, error) {
	return listPage(ctx, d, "list domains", scanDomain, domainColumns, "sender_domain", "sub_account", subAccount, p)
}

// AnyDomain finds a domain of whatever sub-account.
func (d *DB) AnyDomain(ctx context.Context, id int64) (waypost.SenderDomain, error) {
	return one(ctx, d, fmt.Sprintf("domain %d", id), scanDomain,
		`SELECT `+domainColumns+` FROM sender_domain WHERE id = $1`, id)
}

// DomainsDue lists the domains that are to be checked, the longest due first.
func (d *DB) DomainsDue(ctx context.Context, now time.Time, limit int) ([]waypost.SenderDomain, error) {
	return list(ctx, d, "list domains due", scanDomain,
		`SELECT `+domainColumns+` FROM sender_domain WHERE next_check <= $1 ORDER BY next_check LIMIT $2`, now.UnixMilli(), max(limit, 0))
}

// DeleteDomain deletes a domain of a sub-account.
func (d *DB) DeleteDomain(ctx context.Context, subAccount, id int64) error {
	tag, err := d.pool.Exec(ctx, `DELETE FROM sender_domain WHERE id = $2 AND sub_account = $1`, subAccount, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = store.ErrNotFound
	}
	return wrap(ctx, fmt.Sprintf("delete domain %d", id), err)
}

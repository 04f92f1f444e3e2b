package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// AddProviderEvent notes a change of a provider's state.
func (d *DB) AddProviderEvent(ctx context.Context, e *waypost.ProviderEvent) error {
	return wrap(ctx, "note a provider event", d.pool.QueryRow(ctx,
		`INSERT INTO provider_event (provider, at, kind, text) VALUES ($1, $2, $3, $4) RETURNING id`,
		e.Provider, millis(e.At), clean(string(e.Kind)), clean(e.Text)).Scan(&e.ID))
}

// ProviderEvents lists the newest first. It does not search.
func (d *DB) ProviderEvents(ctx context.Context, provider int64, p store.Page) ([]waypost.ProviderEvent, error) {
	limit, offset, _ := page(p)
	return list(ctx, d, "list provider events", func(row pgx.CollectableRow) (e waypost.ProviderEvent, err error) {
		var at int64
		err = row.Scan(&e.ID, &e.Provider, &at, (*string)(&e.Kind), &e.Text)
		e.At = moment(at)
		return e, err
	}, `SELECT id, provider, at, kind, text FROM provider_event WHERE provider = $1 ORDER BY id DESC LIMIT $2 OFFSET $3`,
		provider, limit, offset)
}

// AddAudit notes who changed what.
func (d *DB) AddAudit(ctx context.Context, a *waypost.Audit) error {
	return wrap(ctx, "note a change", d.pool.QueryRow(ctx,
		`INSERT INTO audit (account, at, actor, action, object, text) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		a.Account, millis(a.At), clean(a.Actor), clean(a.Action), clean(a.Object), clean(a.Text)).Scan(&a.ID))
}

// Audits lists the newest first. It does not search.
func (d *DB) Audits(ctx context.Context, account int64, p store.Page) ([]waypost.Audit, error) {
	limit, offset, _ := page(p)
	return list(ctx, d, "list changes", func(row pgx.CollectableRow) (a waypost.Audit, err error) {
		var at int64
		err = row.Scan(&a.ID, &a.Account, &at, &a.Actor, &a.Action, &a.Object, &a.Text)
		a.At = moment(at)
		return a, err
	}, `SELECT id, account, at, actor, action, object, text FROM audit WHERE account = $1 ORDER BY id DESC LIMIT $2 OFFSET $3`,
		account, limit, offset)
}

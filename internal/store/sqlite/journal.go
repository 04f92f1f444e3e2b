package sqlite

import (
	"context"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// AddProviderEvent implements [store.Journal].
func (d *DB) AddProviderEvent(ctx context.Context, e *waypost.ProviderEvent) error {
	return d.do(ctx, "note a provider event", 0, func(tx *tx) (err error) {
		e.ID, err = tx.insert("INSERT INTO provider_event (provider, at, kind, text) VALUES ($1, $2, $3, $4)",
			e.Provider, millis(e.At), string(e.Kind), e.Text)
		return err
	})
}

// ProviderEvents implements [store.Journal]. It does not search.
func (d *DB) ProviderEvents(ctx context.Context, provider int64, p store.Page) ([]waypost.ProviderEvent, error) {
	limit, offset, _ := pageArgs(p)
	return list(ctx, d, "list provider events", func(row scanner, e *waypost.ProviderEvent) error {
		var at int64
		err := row.Scan(&e.ID, &e.Provider, &at, &e.Kind, &e.Text)
		e.At = moment(at)
		return err
	}, "SELECT id, provider, at, kind, text FROM provider_event WHERE provider = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
		provider, limit, offset)
}

// AddAudit implements [store.Journal].
func (d *DB) AddAudit(ctx context.Context, a *waypost.Audit) error {
	return d.do(ctx, "note a change", 0, func(tx *tx) (err error) {
		a.ID, err = tx.insert("INSERT INTO audit (account, at, actor, action, object, text) VALUES ($1, $2, $3, $4, $5, $6)",
			a.Account, millis(a.At), a.Actor, a.Action, a.Object, a.Text)
		return err
	})
}

// Audits implements [store.Journal]. It does not search.
func (d *DB) Audits(ctx context.Context, account int64, p store.Page) ([]waypost.Audit, error) {
	limit, offset, _ := pageArgs(p)
	return list(ctx, d, "list changes", func(row scanner, a *waypost.Audit) error {
		var at int64
		err := row.Scan(&a.ID, &a.Account, &at, &a.Actor, &a.Action, &a.Object, &a.Text)
		a.At = moment(at)
		return err
	}, "SELECT id, account, at, actor, action, object, text FROM audit WHERE account = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
		account, limit, offset)
}

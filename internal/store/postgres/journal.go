package postgres

import (
	"context"
	"errors"
	"time"

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

// Audits lists the newest first. Within Look, entries are picked off an index
// first, and then judged.
func (d *DB) Audits(ctx context.Context, q store.AuditQuery) (store.AuditPage, error) {
	f := &filter{}
	picked := pickAudits(f, &q)
	if q.Look > 0 {
		picked += " LIMIT " + f.arg(q.Look)
	}
	f.conds = nil
	judgeAudits(f, &q)
	limit := min(max(q.Limit, 1), 1000)
	all, err := list(ctx, d, "list changes", scanAudit, `SELECT id, account, at, actor, action, object, text FROM (`+picked+`) AS picked`+f.where()+
		` ORDER BY id DESC LIMIT `+f.arg(limit+1)+` OFFSET `+f.arg(max(q.Offset, 0)), append([]any{planned}, f.args...)...)
	page := store.AuditPage{Entries: all[:min(len(all), limit)]}
	if len(all) > limit {
		page.Next = all[limit-1].ID
	}
	if err != nil || page.Next != 0 || q.Look <= 0 {
		return page, err
	}
	f = &filter{}
	page.Next, err = one(ctx, d, "list changes", pgx.RowTo[int64],
		`SELECT id FROM (`+pickAudits(f, &q)+` LIMIT 1 OFFSET `+f.arg(q.Look-1)+`) AS edge`, append([]any{planned}, f.args...)...)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return page, err
}

func scanAudit(row pgx.CollectableRow) (a waypost.Audit, err error) {
	var at int64
	err = row.Scan(&a.ID, &a.Account, &at, &a.Actor, &a.Action, &a.Object, &a.Text)
	a.At = moment(at)
	return a, err
}

// auditSlack is how far apart an entry's time and its place may be: entries
// are noted by many at once.
const auditSlack = time.Minute

// pickAudits selects the entries that the best index of a query gives, newest
// first.
func pickAudits(f *filter, q *store.AuditQuery) string {
	f.and("account = ?", q.Account)
	for _, c := range []struct{ cond, value string }{
		{"object = ?", q.Object}, {"actor = ?", q.Actor}, {"action = ?", q.Action},
	} {
		if c.value != "" { // the first one given has the fewest entries, mostly
			f.and(c.cond, clean(c.value))
			break
		}
	}
	if !q.From.IsZero() {
		f.and("id >= coalesce((SELECT id FROM audit WHERE at >= ? ORDER BY at LIMIT 1), 9223372036854775807)", millis(q.From.Add(-auditSlack)))
	}
	if !q.To.IsZero() {
		f.and("id <= coalesce((SELECT id FROM audit WHERE at < ? ORDER BY at DESC LIMIT 1), 0)", millis(q.To.Add(auditSlack)))
	}
	if q.Before != 0 {
		f.and("id < ?", q.Before)
	}
	return `SELECT * FROM audit` + f.where() + ` ORDER BY id DESC`
}

// judgeAudits are all conditions of a query on an entry.
func judgeAudits(f *filter, q *store.AuditQuery) {
	for _, c := range []struct{ cond, value string }{{"actor = ?", q.Actor}, {"action = ?", q.Action}, {"object = ?", q.Object}} {
		if c.value != "" {
			f.and(c.cond, clean(c.value))
		}
	}
	if !q.From.IsZero() {
		f.and("at >= ?", ceilMillis(q.From))
	}
	if !q.To.IsZero() {
		f.and("at < ?", ceilMillis(q.To))
	}
	if q.Search != "" {
		f.and("strpos(lower(concat_ws(chr(10), actor, action, object, text)), lower(?)) > 0", clean(q.Search))
	}
}

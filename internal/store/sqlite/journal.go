package sqlite

import (
	"context"
	"errors"
	"time"

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

// Audits implements [store.Journal]. Within Look, entries are picked off an
// index first, and then judged.
func (d *DB) Audits(ctx context.Context, q store.AuditQuery) (store.AuditPage, error) {
	f := &filter{}
	picked := pickAudits(f, &q)
	if q.Look > 0 {
		picked += " LIMIT " + f.arg(q.Look)
	}
	f.conds = nil
	judgeAudits(f, &q)
	limit := min(max(q.Limit, 1), 1000)
	all, err := list(ctx, d, "list changes", scanAudit, "SELECT id, account, at, actor, action, object, text FROM ("+picked+")"+f.where()+
		" ORDER BY id DESC LIMIT "+f.arg(limit+1)+" OFFSET "+f.arg(max(q.Offset, 0)), f.args...)
	page := store.AuditPage{Entries: all[:min(len(all), limit)]}
	if len(all) > limit {
		page.Next = all[limit-1].ID
	}
	if err != nil || page.Next != 0 || q.Look <= 0 {
		return page, err
	}
	f = &filter{}
	page.Next, err = one(ctx, d, "list changes", func(row scanner, id *int64) error { return row.Scan(id) },
		"SELECT id FROM ("+pickAudits(f, &q)+" LIMIT 1 OFFSET "+f.arg(q.Look-1)+")", f.args...)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return page, err
}

func scanAudit(row scanner, a *waypost.Audit) error {
	var at int64
	err := row.Scan(&a.ID, &a.Account, &at, &a.Actor, &a.Action, &a.Object, &a.Text)
	a.At = moment(at)
	return err
}

// auditSlack is how far apart an entry's time and its place may be: entries
// are noted by many at once.
const auditSlack = time.Minute

// pickAudits selects the entries that the best index of a query gives, newest
// first.
func pickAudits(f *filter, q *store.AuditQuery) string {
	index := "NOT INDEXED" // in the order of their ids: nearly all are of one account
	f.and("account = ?", q.Account)
	for _, c := range []struct{ index, cond, value string }{
		{"audit_object", "object = ?", q.Object}, {"audit_actor", "actor = ?", q.Actor}, {"audit_action", "action = ?", q.Action},
	} {
		if c.value != "" { // the first one given has the fewest entries, mostly
			f.and(c.cond, c.value)
			index = "INDEXED BY " + c.index
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
	return "SELECT * FROM audit " + index + f.where() + " ORDER BY id DESC"
}

// judgeAudits are all conditions of a query on an entry.
func judgeAudits(f *filter, q *store.AuditQuery) {
	for _, c := range []struct{ cond, value string }{{"actor = ?", q.Actor}, {"action = ?", q.Action}, {"object = ?", q.Object}} {
		if c.value != "" {
			f.and(c.cond, c.value)
		}
	}
	if !q.From.IsZero() {
		f.and("at >= ?", ceilMillis(q.From))
	}
	if !q.To.IsZero() {
		f.and("at < ?", ceilMillis(q.To))
	}
	if q.Search != "" {
		part := f.arg(q.Search)
		f.conds = append(f.conds, "(instr(lower(text), lower("+part+")) > 0 OR instr(lower(object), lower("+part+")) > 0 OR instr(lower(action), lower("+part+")) > 0 OR instr(lower(actor), lower("+part+")) > 0)")
	}
}

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const eventColumns = `e.id, e.type, e.account, e.sub_account, e.provider, e.message, e.recipient, e.at, e.source, e.code,
e.enhanced, e.text, e.reason, e.rule, e.attempt, e.queue, e.relay, e.late, e.evidence, e.visit`

func scanEvent(row pgx.CollectableRow) (e waypost.Event, err error) {
	var at int64
	var visit string
	err = row.Scan(&e.ID, (*int16)(&e.Type), &e.Account, &e.SubAccount, &e.Provider, into(&e.Message), &e.Recipient, &at,
		(*string)(&e.Source), &e.Code, &e.Enhanced, &e.Text, (*string)(&e.Reason), &e.Rule, &e.Attempt,
		(*string)(&e.Queue), &e.Relay, &e.Late, &e.Evidence, &visit)
	if err != nil || visit == "" {
		e.At = moment(at)
		return e, err
	}
	e.At, e.Visit = moment(at), &waypost.Visit{}
	return e, store.DecodeJSON(visit, e.Visit)
}

// planned has a statement planned for its very values: which index is right
// depends on how rare a value is, and the partial ones are only found then.
const planned = pgx.QueryExecModeCacheDescribe

// kinds are the types that a query selects.
func kinds(q *store.EventQuery) []int16 {
	types := q.Types
	if len(types) == 0 {
		types = waypost.EventTypes()
	}
	seen := map[waypost.EventType]bool{}
	var out []int16
	for _, t := range types {
		if !seen[t] {
			out = append(out, int16(t))
		}
		seen[t] = true
	}
	return out
}

// eventFilter is the condition of a query but for its types and page.
func eventFilter(q *store.EventQuery) *filter {
	f := &filter{}
	f.and("e.account = ?", q.Account)
	f.conds = append(f.conds, "NOT e.evidence")
	for _, c := range []struct {
		cond string
		v    int64
	}{
		{"e.sub_account = ?", q.SubAccount},
		{"e.provider = ?", q.Provider},
		{"e.domain = ?", q.Domain},
		{"e.code = ?", int64(q.Code)},
		{"e.id > ?", q.After},
	} {
		if c.v != 0 {
			f.and(c.cond, c.v)
		}
	}
	if !q.Message.IsZero() {
		f.and("e.message = ?", uuid(q.Message))
	}
	if !q.From.IsZero() {
		f.and("e.id >= ?", idAt(q.From))
	}
	if !q.To.IsZero() {
		f.and("e.id < ?", idAt(q.To))
	}
	return f
}

// byRecipient joins the messages to a recipient, which their index finds.
func byRecipient(f *filter, q *store.EventQuery) string {
	to := f.arg(clean(q.Recipient))
	f.and("m.account = ?", q.Account)
	f.conds = append(f.conds, "coalesce(m.folded, m.recipient) = "+to,
		"(e.recipient = "+to+" OR e.recipient = m.recipient OR lower(e.recipient) = "+to+")")
	return " FROM message m JOIN event e ON e.message = m.id"
}

// ListEvents lists events, newest first. It takes the ids of each type's newest
// and then the newest of these: every type is one descending walk of an index,
// and only the events of the page are read whole.
func (d *DB) ListEvents(ctx context.Context, q store.EventQuery) ([]waypost.Event, error) {
	f := eventFilter(&q)
	if q.Before != 0 {
		f.and("e.id < ?", q.Before)
	}
	types, limit, offset := kinds(&q), min(max(q.Limit, 1), 1000), max(q.Offset, 0)
	var sql string
	switch {
	case q.Recipient != "":
		from := byRecipient(f, &q)
		f.and("e.type = ANY(?)", types)
		sql = `SELECT ` + eventColumns + from + f.where()
	case !q.Message.IsZero():
		f.and("e.type = ANY(?)", types)
		sql = `SELECT ` + eventColumns + ` FROM event e` + f.where()
	default:
		ids := `SELECT t.type, n.id FROM unnest(` + f.arg(types) + `::smallint[]) AS t(type) CROSS JOIN LATERAL (
  SELECT e.id FROM event e` + f.where() + ` AND e.type = t.type ORDER BY e.id DESC LIMIT ` + f.arg(limit+offset) + `) n
ORDER BY n.id DESC` + f.page(limit, offset)
		sql, offset = `SELECT `+eventColumns+` FROM (`+ids+`) p JOIN event e ON e.id = p.id AND e.type = p.type AND e.account = `+f.arg(q.Account)+` AND NOT e.evidence`, 0
	}
	return list(ctx, d, "list events", scanEvent, sql+` ORDER BY e.id DESC`+f.page(limit, offset), append([]any{planned}, f.args...)...)
}

// maxCounted is how far events are counted.
const maxCounted = 100_000

// CountEvents counts what a query selects, whatever its page.
func (d *DB) CountEvents(ctx context.Context, q store.EventQuery) (n int, err error) {
	f, from := eventFilter(&q), " FROM event e"
	if q.Recipient != "" {
		from = byRecipient(f, &q)
	}
	f.and("e.type = ANY(?)", kinds(&q))
	err = d.pool.QueryRow(ctx, `SELECT count(*) FROM (SELECT`+from+f.where()+` LIMIT `+f.arg(maxCounted)+`) AS bounded`,
		append([]any{planned}, f.args...)...).Scan(&n)
	return n, wrap(ctx, "count events", err)
}

// Event finds one event of an account. Ids are in the lists by type only.
func (d *DB) Event(ctx context.Context, account, id int64) (waypost.Event, error) {
	return one(ctx, d, fmt.Sprintf("event %d", id), scanEvent, `SELECT `+eventColumns+` FROM event e
WHERE e.account = $1 AND e.id = $2 AND NOT e.evidence AND e.type = ANY($3)
UNION ALL
SELECT `+eventColumns+` FROM event e WHERE e.account = $1 AND e.id = $2 AND e.evidence`, account, id, kinds(&store.EventQuery{}))
}

// idAt is the lowest event id of a time.
func idAt(t time.Time) int64 { return store.EventID(ceilMillis(t), 0, 0) }

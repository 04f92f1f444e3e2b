package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const selectEvent = `SELECT id, type, account, sub_account, provider, message, recipient, at, source, code, enhanced, text, reason,
rule, attempt, queue, relay, late, evidence FROM event`

func scanEvent(row scanner, e *waypost.Event) error {
	var message []byte
	var at int64
	if err := row.Scan(&e.ID, &e.Type, &e.Account, &e.SubAccount, &e.Provider, &message, &e.Recipient, &at, &e.Source, &e.Code,
		&e.Enhanced, &e.Text, &e.Reason, &e.Rule, &e.Attempt, &e.Queue, &e.Relay, &e.Late, &e.Evidence); err != nil {
		return err
	}
	copy(e.Message[:], message)
	e.At = moment(at)
	return nil
}

// ListEvents implements [store.Events]. The ids of each type are read off the
// index event_list, or event_provider when a provider is asked for, newest
// first, and merged; only the events of the page are read from the table. A
// filter by recipient alone has no index: it looks at the account's events
// from the newest until the page is full.
func (d *DB) ListEvents(ctx context.Context, q store.EventQuery) ([]waypost.Event, error) {
	query, args := listQuery(q)
	return list(ctx, d, "list events", scanEvent, query, args...)
}

// listQuery makes the query of a list. Its shape depends on the number of
// types and on which filters are set: few shapes are ever used.
func listQuery(q store.EventQuery) (string, []any) {
	limit, offset := min(max(q.Limit, 1), 1000), max(q.Offset, 0)
	low, high := int64(0), int64(math.MaxInt64) // ids in [low, high)
	if !q.From.IsZero() {
		low = firstID(q.From)
	}
	if !q.To.IsZero() {
		high = firstID(q.To)
	}
	if q.Before > 0 {
		high = min(high, q.Before)
	}
	args := []any{q.Account, low, high, offset + limit}
	var filter strings.Builder
	where := func(column string, value any) {
		args = append(args, value)
		fmt.Fprintf(&filter, " AND %s = $%d", column, len(args))
	}
	if q.SubAccount != 0 {
		where("sub_account", q.SubAccount)
	}
	index := "event_list"
	if q.Provider != 0 {
		index = "event_provider"
		where("provider", q.Provider)
	}
	if q.Recipient != "" {
		where("recipient", q.Recipient)
	}
	types := slices.Compact(slices.Sorted(slices.Values(q.Types)))
	if len(types) == 0 {
		types = waypost.EventTypes()
	}
	var b strings.Builder
	b.WriteString(selectEvent + " WHERE id IN (SELECT id FROM (")
	for i, t := range types {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		args = append(args, int64(t))
		fmt.Fprintf(&b, `SELECT id FROM (SELECT id FROM event INDEXED BY %s
WHERE account = $1 AND type = $%d AND evidence = 0 AND id >= $2 AND id < $3%s ORDER BY id DESC LIMIT $4)`, index, len(args), filter.String())
	}
	args = append(args, limit, offset)
	fmt.Fprintf(&b, ") ORDER BY id DESC LIMIT $%d OFFSET $%d) ORDER BY id DESC", len(args)-1, len(args))
	return b.String(), args
}

// firstID is below every id of an event stored at t or later, and above every
// earlier one.
func firstID(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return store.EventID(ms, 0, 0)
}

// DailyStats implements [store.Stats].
func (d *DB) DailyStats(ctx context.Context, account, subAccount int64, from, to time.Time) ([]store.DayStats, error) {
	type cell struct {
		day  int64
		stat waypost.Stat
		n    int64
	}
	cells, err := list(ctx, d, "read statistics", func(row scanner, c *cell) error { return row.Scan(&c.day, &c.stat, &c.n) },
		`SELECT day, stat, sum(n) FROM stat_day WHERE account = $1 AND day BETWEEN $2 AND $3 AND ($4 = 0 OR sub_account = $4)
GROUP BY day, stat HAVING sum(n) <> 0 ORDER BY day`, account, day(from.UnixMilli()), day(to.UnixMilli()), subAccount)
	var out []store.DayStats
	for _, c := range cells {
		at := time.UnixMilli(c.day * dayMillis).UTC()
		if len(out) == 0 || !out[len(out)-1].Day.Equal(at) {
			out = append(out, store.DayStats{Day: at, Counts: map[waypost.Stat]int64{}})
		}
		out[len(out)-1].Counts[c.stat] = c.n
	}
	return out, err
}

package sqlite

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const selectEvent = `SELECT id, type, account, sub_account, provider, message, recipient, at, source, code, enhanced, text, reason,
rule, attempt, queue, relay, late, evidence, visit FROM event`

func scanEvent(row scanner, e *waypost.Event) error {
	var message []byte
	var at int64
	var visit string
	if err := row.Scan(&e.ID, &e.Type, &e.Account, &e.SubAccount, &e.Provider, &message, &e.Recipient, &at, &e.Source, &e.Code,
		&e.Enhanced, &e.Text, &e.Reason, &e.Rule, &e.Attempt, &e.Queue, &e.Relay, &e.Late, &e.Evidence, &visit); err != nil {
		return err
	}
	copy(e.Message[:], message)
	e.At = moment(at)
	if visit != "" {
		e.Visit = &waypost.Visit{}
	}
	return store.DecodeJSON(visit, e.Visit)
}

// eventIndexes are the indexes by type and id, for the filters that have one;
// the first whose filter is set is walked.
var eventIndexes = []struct {
	name, column string
	value        func(*store.EventQuery) int64
}{
	{"event_code", "code", func(q *store.EventQuery) int64 { return int64(q.Code) }},
	{"event_domain", "domain", func(q *store.EventQuery) int64 { return q.Domain }},
	{"event_provider", "provider", func(q *store.EventQuery) int64 { return q.Provider }},
	{"event_sub_account", "sub_account", func(q *store.EventQuery) int64 { return q.SubAccount }},
}

// eventFilter is the condition of a query but for its types and page, and the
// index to walk.
func eventFilter(q *store.EventQuery) (f *filter, index string) {
	f, index = &filter{conds: []string{"evidence = 0"}}, "event_list"
	f.and("account = ?", q.Account)
	for i := len(eventIndexes) - 1; i >= 0; i-- {
		x := &eventIndexes[i]
		if v := x.value(q); v != 0 {
			f.and(x.column+" = ?", v)
			f.conds = append(f.conds, x.column+" <> 0") // what the index holds
			index = x.name
		}
	}
	low, high := q.After+1, int64(math.MaxInt64) // ids in [low, high)
	if !q.From.IsZero() {
		low = max(low, firstID(q.From))
	}
	if !q.To.IsZero() {
		high = firstID(q.To)
	}
	if q.Before > 0 {
		high = min(high, q.Before)
	}
	f.and("id >= ?", low)
	f.and("id < ?", high)
	return f, index
}

func eventTypes(q *store.EventQuery) []waypost.EventType {
	if len(q.Types) == 0 {
		return waypost.EventTypes()
	}
	return slices.Compact(slices.Sorted(slices.Values(q.Types)))
}

// narrow adds the filters that lead to messages, of which there are few, and
// tells whether there are any. The events of each are then looked at.
func narrow(f *filter, q *store.EventQuery) bool {
	types := eventTypes(q)
	switch {
	case q.Recipient != "":
		at := f.arg(recipientHash(q.Recipient))
		to := f.arg(q.Recipient)
		f.conds = append(f.conds, "message IN ("+messagesTo(at)+")", "(recipient = "+to+" OR waypost_fold(recipient) = "+to+")")
		if !q.Message.IsZero() {
			f.and("message = ?", q.Message[:])
		}
	case !q.Message.IsZero():
		f.and("message = ?", q.Message[:])
	default:
		return false
	}
	f.anyOf("type", len(types), func(i int) any { return int64(types[i]) })
	return true
}

// ListEvents implements [store.Events]. The ids of each type are read off an
// index, newest first, and merged; only the events of the page are read from
// the table. A recipient, or a message, leads to its messages' events.
func (d *DB) ListEvents(ctx context.Context, q store.EventQuery) ([]waypost.Event, error) {
	f, index := eventFilter(&q)
	if narrow(f, &q) {
		return list(ctx, d, "list events", scanEvent, selectEvent+" INDEXED BY event_message"+f.where()+" ORDER BY id DESC"+f.page(q.Limit, q.Offset), f.args...)
	}
	query := walk(f, index, eventTypes(&q), min(max(q.Limit, 1), 1000)+max(q.Offset, 0))
	return list(ctx, d, "list events", scanEvent,
		selectEvent+" WHERE id IN (SELECT id FROM ("+query+") ORDER BY id DESC"+f.page(q.Limit, q.Offset)+") ORDER BY id DESC", f.args...)
}

// walk gives the newest ids of each type, up to limit of each.
func walk(f *filter, index string, types []waypost.EventType, limit int) string {
	where, most := f.where(), f.arg(limit)
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = "SELECT id FROM (SELECT id FROM event INDEXED BY " + index + where + " AND type = " + f.arg(int64(t)) + " ORDER BY id DESC LIMIT " + most + ")"
	}
	return strings.Join(parts, " UNION ALL ")
}

// maxCounted is how far events are counted.
const maxCounted = 100_000

// CountEvents implements [store.Events]. Of a type it first looks whether there
// is one at the bound, which costs less than to count up to it.
func (d *DB) CountEvents(ctx context.Context, q store.EventQuery) (int, error) {
	q.Before = 0 // of the page
	count := func(f *filter, query string) (int, error) {
		return one(ctx, d, "count events", func(row scanner, n *int) error { return row.Scan(n) }, query, f.args...)
	}
	f, index := eventFilter(&q)
	if narrow(f, &q) {
		return count(f, "SELECT count(*) FROM (SELECT 1 FROM event INDEXED BY event_message"+f.where()+" LIMIT "+f.arg(maxCounted)+")")
	}
	total := 0
	for _, t := range eventTypes(&q) {
		f, _ := eventFilter(&q)
		oneOwner(f, &q, index)
		f.and("type = ?", int64(t))
		from := " FROM event INDEXED BY " + index + f.where()
		n, err := count(f, "SELECT EXISTS (SELECT 1"+from+" LIMIT 1 OFFSET "+f.arg(maxCounted-total-1)+")")
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return maxCounted, nil
		}
		f.args = f.args[:len(f.args)-1]
		if n, err = count(f, "SELECT count(*)"+from); err != nil {
			return 0, err
		}
		if total += n; total >= maxCounted { // more came meanwhile
			return maxCounted, nil
		}
	}
	return total, nil
}

// oneOwner asks once whose the events of a filter are, in the place of asking
// each of them: those of a sub-account, a provider or a domain are of one
// account, which the index does not hold.
func oneOwner(f *filter, q *store.EventQuery, index string) {
	given := 0
	for i := range eventIndexes {
		if eventIndexes[i].value(q) != 0 {
			given++
		}
	}
	if given != 1 || q.Code != 0 {
		return
	}
	const account = 1 // place of the condition that eventFilter makes of it
	f.conds[account] = "(SELECT account FROM event INDEXED BY " + index + " WHERE " + f.conds[0] + " AND " + f.conds[account+1] + " AND " + f.conds[account+2] + " LIMIT 1) = $1"
}

// Event implements [store.Events].
func (d *DB) Event(ctx context.Context, account, id int64) (waypost.Event, error) {
	return one(ctx, d, "find an event", scanEvent, selectEvent+" WHERE id = $1 AND account = $2", id, account)
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

// firstMessage is at or below every id of a message submitted at t or later.
func firstMessage(t time.Time) []byte {
	if time.UnixMilli(t.UnixMilli()).Before(t) {
		t = t.Add(time.Millisecond)
	}
	id := waypost.NewUUID(t)
	clear(id[6:])
	return id[:]
}

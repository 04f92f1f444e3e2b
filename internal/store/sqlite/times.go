package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// timeRow is one counter of stat_time.
type timeRow struct {
	account int64
	store.TimeCount
}

// addTimes adds what something counted moves.
func addTimes(times map[timeRow]int64, c counted) {
	if c.exchange != nil {
		store.ExchangeTimes(c.exchange, func(r store.TimeCount) { times[timeRow{c.account, r}]++ })
		return
	}
	store.EventTimes(c.e, func(r store.TimeCount) { times[timeRow{c.e.Account, r}] += c.n })
}

const (
	upsertTime = `INSERT INTO stat_time (account, kind, minute, sub_account, provider, key, n) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO UPDATE SET n = n + excluded.n`
	setTime = `INSERT INTO stat_time (account, kind, minute, sub_account, provider, key, n) VALUES ($1, $2, $3, 0, 0, $4, $5)
ON CONFLICT DO UPDATE SET n = excluded.n`
)

func (t *tx) flushTimes(times map[timeRow]int64) error {
	for r, n := range times {
		if _, err := t.exec(upsertTime, r.account, int64(r.Kind), r.Minute, r.SubAccount, r.Provider, r.Key, n); err != nil {
			return err
		}
	}
	return nil
}

// Times implements [store.Stats].
func (d *DB) Times(ctx context.Context, q store.TimeQuery) ([]store.TimeRow, error) {
	from, to := q.Minutes()
	f := &filter{}
	f.and("account = ?", q.Account)
	f.and("kind = ?", int64(q.Kind))
	f.and("minute >= ?", from)
	f.and("minute < ?", to)
	if q.SubAccount != 0 && q.Kind.BySubAccount() {
		f.and("sub_account = ?", q.SubAccount)
	}
	if q.Provider != 0 && q.Kind != store.TimedDepth {
		f.and("provider = ?", q.Provider)
	}
	if len(q.Keys) > 0 {
		f.anyOf("key", len(q.Keys), func(i int) any { return q.Keys[i] })
	}
	provider := "0"
	if q.ByProvider {
		provider = "provider"
	}
	// They are summed here: SQLite would sort what it groups, at several times
	// the cost of reading it.
	type cell struct {
		minute, provider int64
		key              int
	}
	sums := map[cell]int64{}
	_, err := list(ctx, d, "read counters by time", func(row scanner, _ *struct{}) error {
		var c cell
		var key, n int64 // other kinds of numbers are read by way of text
		err := row.Scan(&c.minute, &c.provider, &key, &n)
		c.key = int(key)
		sums[c] += n
		return err
	}, "SELECT minute, "+provider+", key, n FROM stat_time"+f.where(), f.args...)
	if err != nil {
		return nil, err
	}
	out := make([]store.TimeRow, 0, len(sums))
	for c, n := range sums {
		if n != 0 || q.Kind == store.TimedDepth { // that nothing waited is known, too
			out = append(out, store.TimeRow{At: time.Unix(60*c.minute, 0).UTC(), Provider: c.provider, Key: c.key, N: n})
		}
	}
	slices.SortFunc(out, func(a, b store.TimeRow) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Key, b.Key))
	})
	return out, nil
}

// SampleDepth implements [store.Stats].
func (d *DB) SampleDepth(ctx context.Context, now time.Time) error {
	accounts, err := list(ctx, d, "list accounts", func(row scanner, id *int64) error { return row.Scan(id) }, "SELECT id FROM account ORDER BY id")
	if err != nil {
		return err
	}
	for _, account := range accounts {
		lanes, err := d.Lanes(ctx, account)
		if err != nil {
			return err
		}
		messages, overdue := store.Depth(lanes, now)
		if err := d.do(ctx, "note the queue's depth", 0, func(tx *tx) error {
			if _, err := tx.exec(setTime, account, int64(store.TimedDepth), now.Unix()/60, store.DepthMessages, messages); err != nil {
				return err
			}
			_, err := tx.exec(setTime, account, int64(store.TimedDepth), now.Unix()/60, store.DepthOverdue, int64(overdue.Seconds()))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// pruneTimes walks the key of the table kind by kind.
const pruneTimes = `DELETE FROM stat_time WHERE (account, kind, minute, sub_account, provider, key) IN (
SELECT t.account, t.kind, t.minute, t.sub_account, t.provider, t.key FROM account a CROSS JOIN (VALUES (1, $1), (2, $2), (3, $2), (4, $2), (5, $2), (6, $1), (7, $2)) AS k
CROSS JOIN stat_time t ON t.account = a.id AND t.kind = k.column1 AND t.minute < k.column2 LIMIT $3)`

// PruneTimes implements [store.Stats].
func (d *DB) PruneTimes(ctx context.Context, minutes, hours time.Time, limit int) (int, error) {
	return d.prune(ctx, "prune counters by time", pruneTimes, minutes.Unix()/60, hours.Unix()/60, max(limit, 0))
}

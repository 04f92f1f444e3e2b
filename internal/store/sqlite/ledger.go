package sqlite

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// ledger holds the minute buckets of one provider's limits, written through to
// limit_bucket.
type ledger struct {
	all    map[int64]int // by minute, over all lanes
	lanes  map[waypost.Mailbox]map[int64]int
	pruned int64 // buckets before this minute are gone
}

// keepBuckets is for how many minutes a bucket is kept: two hours longer than
// it counts, in case the clock steps back.
const keepBuckets = 180

// ledger finds the buckets of a provider, reading them when they are not in
// memory: at the first claim, and after a rollback.
func (t *tx) ledger(provider int64) (*ledger, error) {
	if l := t.db.ledgers[provider]; l != nil {
		return l, nil
	}
	l := &ledger{all: map[int64]int{}, lanes: map[waypost.Mailbox]map[int64]int{}}
	rows, err := t.rows("SELECT minute, mailbox, n FROM limit_bucket WHERE provider = $1", provider)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var minute int64
		var box waypost.Mailbox
		var n int
		if err := rows.Scan(&minute, &box, &n); err != nil {
			return nil, err
		}
		l.add(box, minute, n)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	t.db.ledgers[provider] = l
	return l, nil
}

func (l *ledger) add(box waypost.Mailbox, minute int64, n int) {
	l.all[minute] += n
	if l.lanes[box] == nil {
		l.lanes[box] = map[int64]int{}
	}
	l.lanes[box][minute] += n
}

// free tells how many tokens both limits have left, and when the next comes if
// none is left.
func (l *ledger) free(c *store.Claim) (int, time.Time) {
	all, nextAll := waypost.Allowance(buckets(l.all), waypost.Limit{PerHour: c.PerHour, Burst: c.Burst}, c.Now)
	one, nextOne := waypost.Allowance(buckets(l.lanes[c.Lane.Mailbox]), waypost.Limit{PerHour: c.LanePerHour, Burst: c.Burst}, c.Now)
	if nextOne.After(nextAll) {
		nextAll = nextOne
	}
	return min(all, one), nextAll
}

func buckets(m map[int64]int) []waypost.Bucket {
	out := make([]waypost.Bucket, 0, len(m))
	for minute, n := range m {
		out = append(out, waypost.Bucket{Minute: minute, N: n})
	}
	return out
}

const upsertBucket = `INSERT INTO limit_bucket (provider, minute, mailbox, n) VALUES ($1, $2, $3, $4)
ON CONFLICT DO UPDATE SET n = n + excluded.n`

// spend takes n tokens from a minute.
func (t *tx) spend(l *ledger, at waypost.Lane, minute int64, n int) error {
	t.forgetOnRollback(at.Provider)
	if _, err := t.exec(upsertBucket, at.Provider, minute, int64(at.Mailbox), n); err != nil {
		return err
	}
	l.add(at.Mailbox, minute, n)
	if oldest := minute - keepBuckets; l.pruned < oldest {
		if _, err := t.exec("DELETE FROM limit_bucket WHERE provider = $1 AND minute < $2", at.Provider, oldest); err != nil {
			return err
		}
		l.prune(oldest)
	}
	return nil
}

func (l *ledger) prune(oldest int64) {
	before := func(m map[int64]int) {
		for minute := range m {
			if minute < oldest {
				delete(m, minute)
			}
		}
	}
	before(l.all)
	for _, lane := range l.lanes {
		before(lane)
	}
	l.pruned = oldest
}

// refund gives one token back to its minute.
func (t *tx) refund(at waypost.Lane, minute int64) error {
	l, err := t.ledger(at.Provider)
	if err != nil {
		return err
	}
	t.forgetOnRollback(at.Provider)
	changed, err := t.exec("UPDATE limit_bucket SET n = n - 1 WHERE provider = $1 AND minute = $2 AND mailbox = $3 AND n > 0",
		at.Provider, minute, int64(at.Mailbox))
	if changed > 0 {
		l.add(at.Mailbox, minute, -1)
	}
	return err
}

// forgetOnRollback makes the next claim read the buckets from the database.
func (t *tx) forgetOnRollback(provider int64) {
	t.onRollback(func() { delete(t.db.ledgers, provider) })
}

// Buckets implements [store.Queue].
func (d *DB) Buckets(ctx context.Context, provider, since int64) (map[waypost.Mailbox][]waypost.Bucket, error) {
	type row struct {
		box    waypost.Mailbox
		bucket waypost.Bucket
	}
	all, err := list(ctx, d, "read limits", func(s scanner, r *row) error { return s.Scan(&r.box, &r.bucket.Minute, &r.bucket.N) },
		"SELECT mailbox, minute, n FROM limit_bucket WHERE provider = $1 AND minute >= $2 AND n > 0 ORDER BY minute", provider, since)
	out := map[waypost.Mailbox][]waypost.Bucket{}
	for _, r := range all {
		out[r.box] = append(out[r.box], r.bucket)
	}
	return out, err
}

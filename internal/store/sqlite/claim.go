package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Claim implements [store.Queue]. The committer reads the messages too: its
// page cache has them, while a reader's is void after every commit.
func (d *DB) Claim(ctx context.Context, c store.Claim) (store.Claimed, error) {
	var out store.Claimed
	err := d.do(ctx, "claim", 0, func(tx *tx) (err error) {
		out, err = tx.claim(c)
		return err
	})
	return out, err
}

// candidate is a row that a claim may hand out.
type candidate struct {
	at      position
	attempt int
	unknown bool
	expired *lease // nil: a row without a lease
}

func (t *tx) claim(c store.Claim) (store.Claimed, error) {
	now := c.Now.UnixMilli()
	if now < t.db.recovered {
		return store.Claimed{NextDue: moment(t.db.recovered)}, nil
	}
	l := t.db.lane(c.Lane)
	want := min(max(c.Max, 1), 1000)
	limit := want
	limited := c.PerHour > 0 || c.LanePerHour > 0
	var led *ledger
	if limited {
		var err error
		if led, err = t.ledger(c.Lane.Provider); err != nil {
			return store.Claimed{}, err
		}
		free, _ := led.free(&c)
		limit = min(want, free)
	}
	all, err := t.candidates(l, c.Lane, now, limit+1)
	if err != nil {
		return store.Claimed{}, err
	}
	n := 0
	for n < len(all) && n < limit && (all[n].expired != nil || all[n].at.due <= now) {
		n++
	}
	heldBack := limit < want && n < len(all) && (all[n].expired != nil || all[n].at.due <= now)
	var token int64
	if limited && n > 0 {
		token = waypost.BucketMinute(c.Now)
		if err := t.spend(led, c.Lane, token, n); err != nil {
			return store.Claimed{}, err
		}
	}
	var out store.Claimed
	if heldBack {
		_, out.NextToken = led.free(&c)
	}
	if out.Entries, err = t.handOut(l, c, all[:n], token); err != nil {
		return store.Claimed{}, err
	}
	out.NextDue = l.keep(all[n:])
	return out, nil
}

const selectClaim = `SELECT due, message, attempt, unknown FROM queue
WHERE provider = $1 AND mailbox = $2 AND (due, message) >= ($3, $4) ORDER BY due, message`

// candidates gives at least the first n rows of a lane without a current
// lease, in their order; rows that are not due yet are among them.
func (t *tx) candidates(l *lane, at waypost.Lane, now int64, n int) ([]candidate, error) {
	var all []candidate
	for _, s := range l.expired(now) {
		all = append(all, candidate{s.at, s.attempt, s.unknown, s})
	}
	// What was taken off the heap must come back if this claim fails.
	restore := func(err error) ([]candidate, error) {
		l.keep(all)
		return nil, err
	}
	rows, err := t.rows(selectClaim, at.Provider, int64(at.Mailbox), l.from.due, l.from.message[:])
	if err != nil {
		return restore(err)
	}
	defer rows.Close()
	var message []byte
	var last position
	scanned := 0
	for scanned < n && rows.Next() {
		var c candidate
		if err := rows.Scan(&c.at.due, &message, &c.attempt, &c.unknown); err != nil {
			return restore(err)
		}
		copy(c.at.message[:], message)
		last = c.at
		if l.leases[c.at.message] != nil {
			continue
		}
		all = append(all, c)
		scanned++
	}
	if err := rows.Err(); err != nil {
		return restore(err)
	}
	if scanned == 0 && last.due > 0 {
		l.from = last // all of it is leased
	}
	slices.SortFunc(all, func(a, b candidate) int { return a.at.compare(b.at) })
	return all, nil
}

// handOut leases candidates to the caller and reads their messages.
func (t *tx) handOut(l *lane, c store.Claim, all []candidate, token int64) ([]store.Claimable, error) {
	out := make([]store.Claimable, len(all))
	index := make(map[waypost.UUID]int, len(all))
	ids := make([]waypost.UUID, len(all))
	for i, k := range all {
		t.db.lastLease++
		t.grant(l, &lease{t.db.lastLease, k.at, k.attempt, k.unknown, c.LeaseUntil.UnixMilli(), c.Now.UnixMilli()})
		out[i].Entry = store.Entry{
			Lane: c.Lane, Message: k.at.message, Due: moment(k.at.due), Attempt: k.attempt, Token: token, Lease: t.db.lastLease,
		}
		ids[i], index[k.at.message] = k.at.message, i
	}
	if len(ids) == 0 {
		return nil, nil
	}
	in, args := among(ids, 0, func(u *waypost.UUID) any { return u[:] })
	rows, err := t.rows(selectMessage+" WHERE id IN ("+in+")", args...)
	if err != nil {
		return nil, err
	}
	messages, err := collect(rows, "read messages", scanMessage)
	if err != nil {
		return nil, err
	}
	if len(messages) != len(ids) {
		return nil, fmt.Errorf("%d of %d queued messages are not stored", len(ids)-len(messages), len(ids))
	}
	for _, m := range messages {
		out[index[m.ID]].Message = m
	}
	return out, nil
}

// keep puts candidates back that were not handed out, moves from to the first
// of them, and tells when the lane should be asked again.
func (l *lane) keep(rest []candidate) time.Time {
	var next int64
	scanned := false
	for _, k := range rest {
		if k.expired != nil {
			l.add(k.expired)
			continue
		}
		if !scanned {
			scanned = true
			l.from = k.at
			next = k.at.due
		}
	}
	if end, ok := l.firstEnd(); ok && (next == 0 || end < next) {
		next = end
	}
	return moment(next)
}

package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// maxSelected is the highest Limit of a selection.
const maxSelected = 10_000

// waiting is a queue row that surgery may act on, with its message.
type waiting struct {
	lane    waypost.Lane
	at      position
	attempt int
	unknown bool
	message waypost.Message
}

const (
	selectRows = `SELECT q.provider, q.mailbox, q.due, q.attempt, q.unknown, ` + messageColumns + `
FROM queue q CROSS JOIN message m ON m.id = q.message`
	selectLaneRows = selectRows + " WHERE q.provider = $1 AND q.mailbox = $2 AND q.due > $3 AND m.account = $4 ORDER BY q.due, q.message"
)

func scanRow(row scanner, w *waiting) error {
	var m messageRow
	dest := append([]any{&w.lane.Provider, &w.lane.Mailbox, &w.at.due, &w.attempt, &w.unknown}, m.dest(&w.message)...)
	if err := row.Scan(dest...); err != nil {
		return err
	}
	copy(w.at.message[:], m.id)
	return m.finish(&w.message)
}

// selected reads the rows of a selection that are due after the time given and
// that no worker holds, the earliest first.
func (t *tx) selected(account int64, s store.Selection, after, now int64) ([]waiting, error) {
	limit := min(max(s.Limit, 1), maxSelected)
	var all []waiting
	switch {
	case len(s.Messages) > 0:
		in, args := among(s.Messages, 2, func(u *waypost.UUID) any { return u[:] })
		query := selectRows + " WHERE q.due > $1 AND m.account = $2 AND q.message IN (" + in + ")"
		return t.untouched(query, append([]any{after, account}, args...), len(s.Messages), now)
	case s.Mailbox != waypost.AllMailboxes:
		return t.untouched(selectLaneRows, []any{s.Provider, int64(s.Mailbox), after, account}, limit, now)
	}
	for box := int64(-1); ; { // categories are 0 and up
		found, err := t.row("SELECT mailbox FROM queue WHERE provider = $1 AND mailbox > $2 ORDER BY mailbox LIMIT 1",
			[]any{s.Provider, box}, &box)
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		lane, err := t.untouched(selectLaneRows, []any{s.Provider, box, after, account}, limit, now)
		if err != nil {
			return nil, err
		}
		all = append(all, lane...)
	}
	slices.SortFunc(all, func(a, b waiting) int { return a.at.compare(b.at) })
	return all[:min(limit, len(all))], nil
}

// untouched reads up to n rows of a query that no worker holds.
func (t *tx) untouched(query string, args []any, n int, now int64) ([]waiting, error) {
	rows, err := t.rows(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []waiting
	for len(all) < n && rows.Next() {
		var w waiting
		if err := scanRow(rows, &w); err != nil {
			return nil, err
		}
		if s := t.db.leased(w.lane, w.at.message); s == nil || s.until <= now {
			all = append(all, w)
		}
	}
	return all, rows.Err()
}

// leased is the lease of a message, run out or not; nil without one.
func (d *DB) leased(at waypost.Lane, message waypost.UUID) *lease {
	if l := d.lanes[at]; l != nil {
		return l.leases[message]
	}
	return nil
}

// dequeue deletes a queue row, and the lease of it that has run out.
func (t *tx) dequeue(at waypost.Lane, p position) error {
	if _, err := t.exec(deleteQueue, at.Provider, int64(at.Mailbox), p.due, p.message[:]); err != nil {
		return err
	}
	if l := t.db.lanes[at]; l != nil {
		t.onRollback(func() { l.from = position{} }) // the row comes back
		if s := l.leases[p.message]; s != nil {
			t.giveUp(l, s)
		}
	}
	return nil
}

// RetryNow implements [store.Surgery]. Messages that are due already are not
// counted.
func (d *DB) RetryNow(ctx context.Context, account int64, s store.Selection, now time.Time) (int, error) {
	n, due := 0, now.UnixMilli()
	err := d.do(ctx, "retry now", 0, func(tx *tx) error {
		n = 0
		all, err := tx.selected(account, s, due, due)
		if err != nil {
			return err
		}
		for i := range all {
			w := &all[i]
			if err := tx.dequeue(w.lane, w.at); err != nil {
				return err
			}
			if err := tx.enqueue(w.lane, w.at.message, due, w.attempt, w.unknown); err != nil {
				return err
			}
		}
		n = len(all)
		return nil
	})
	return n, err
}

// Cancel implements [store.Surgery].
func (d *DB) Cancel(ctx context.Context, account int64, s store.Selection, text string, now time.Time) (int, error) {
	n := 0
	err := d.do(ctx, "cancel messages", 0, func(tx *tx) error {
		n = 0
		all, err := tx.selected(account, s, -1, now.UnixMilli())
		if err != nil {
			return err
		}
		for i := range all {
			w := &all[i]
			if err := tx.dequeue(w.lane, w.at); err != nil {
				return err
			}
			if err := tx.event(&waypost.Event{
				Type: waypost.CSDropped, Account: account, SubAccount: w.message.SubAccount, Provider: w.lane.Provider,
				Message: w.at.message, Recipient: w.message.Recipient, At: now, Source: waypost.SourceAPI, Text: text,
				Reason: waypost.DropCancelled, Attempt: w.attempt, Facets: w.message.Facets(),
			}); err != nil {
				return err
			}
		}
		n = len(all)
		return nil
	})
	return n, err
}

// Move implements [store.Surgery]: it reads the messages in one op, lets choose
// decide in the caller's goroutine, and moves in another what still waits
// where it was read. ErrNotFound when the pool, or a provider that was chosen,
// is not of the account.
func (d *DB) Move(ctx context.Context, account int64, s store.Selection, pool int64, choose func(*waypost.Message) int64) (int, error) {
	var all []waiting
	err := d.do(ctx, "read messages to move", 0, func(tx *tx) (err error) {
		if err := tx.ownPool(account, pool); err != nil {
			return err
		}
		all, err = tx.selected(account, s, -1, d.now().UnixMilli())
		return err
	})
	if err != nil {
		return 0, err
	}
	to := make([]int64, len(all))
	for i := range all {
		to[i] = choose(&all[i].message)
	}
	n := 0
	err = d.do(ctx, "move messages", 0, func(tx *tx) error {
		n = 0
		if err := tx.ownProviders(account, to); err != nil {
			return err
		}
		for i := range all {
			if to[i] == 0 {
				continue
			}
			moved, err := tx.move(&all[i], to[i], pool)
			if err != nil {
				return err
			}
			if moved {
				n++
			}
		}
		return nil
	})
	return n, err
}

// ownProviders is ErrNotFound when a provider is not one of the account's; 0
// is none, and fine.
func (t *tx) ownProviders(account int64, ids []int64) error {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if id == 0 {
			continue
		}
		if err := t.exists("SELECT EXISTS (SELECT 1 FROM provider WHERE id = $1 AND account = $2)", id, account); err != nil {
			return err
		}
	}
	return nil
}

// move takes a row to another provider's lane, and its message with it; false
// when it does not wait any more where it was read.
func (t *tx) move(w *waiting, provider, pool int64) (bool, error) {
	if s := t.db.leased(w.lane, w.at.message); s != nil && s.until > t.db.now().UnixMilli() {
		return false, nil
	}
	// It may have been tried meanwhile, and be due again at the same time.
	there, err := t.row("SELECT attempt, unknown FROM queue WHERE provider = $1 AND mailbox = $2 AND due = $3 AND message = $4",
		[]any{w.lane.Provider, int64(w.lane.Mailbox), w.at.due, w.at.message[:]}, &w.attempt, &w.unknown)
	if err != nil || !there {
		return false, err
	}
	if err := t.dequeue(w.lane, w.at); err != nil {
		return false, err
	}
	lane := waypost.Lane{Provider: provider, Mailbox: w.lane.Mailbox}
	if err := t.enqueue(lane, w.at.message, w.at.due, w.attempt, w.unknown); err != nil {
		return false, err
	}
	_, err = t.exec("UPDATE message SET provider = $1, pool = $2 WHERE id = $3", provider, pool, w.at.message[:])
	return true, err
}

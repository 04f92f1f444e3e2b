package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// The kinds of fact_key.
const (
	keyReport = 1 // Fact.Key
	keyOnce   = 2 // Fact.Once
	keyFirst  = 3 // Fact.First
)

// Record implements [store.Events].
func (d *DB) Record(ctx context.Context, facts []store.Fact) ([]store.Recorded, error) {
	out := make([]store.Recorded, len(facts))
	if len(facts) == 0 {
		return out, nil
	}
	err := d.do(ctx, "record", 300*len(facts), func(tx *tx) (err error) {
		for i := range facts {
			if out[i], err = tx.record(&facts[i]); err != nil {
				return fmt.Errorf("fact about %s: %w", facts[i].Event.Message, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (t *tx) record(f *store.Fact) (store.Recorded, error) {
	e := f.Event
	if fresh, err := t.key(e.Message, keyReport, f.Key); err != nil || !fresh {
		return store.Duplicate, err
	}
	if f.Relayed {
		if err := t.relayed(&e); err != nil {
			return 0, err
		}
	}
	if f.Deferral {
		return store.Stored, t.deferral(&e)
	}
	fresh, err := t.key(e.Message, keyOnce, f.Once)
	if err != nil {
		return 0, err
	}
	answer := store.Stored
	if !fresh {
		e.Evidence, answer = true, store.Evidence
	}
	if e.Visit != nil {
		visit := *e.Visit
		visit.First = false
		if f.First != "" && !e.Evidence {
			if visit.First, err = t.key(e.Message, keyFirst, f.First); err != nil {
				return 0, err
			}
		}
		e.Visit = &visit
	}
	if err := t.event(&e); err != nil {
		return 0, err
	}
	if answer == store.Stored && f.Suppress != nil {
		_, err = t.suppress(f.Suppress)
		return answer, err
	}
	return answer, nil
}

// key notes a key of a message; false when it was noted before.
func (t *tx) key(message waypost.UUID, kind int, key string) (bool, error) {
	if key == "" {
		return true, nil
	}
	n, err := t.exec("INSERT INTO fact_key (message, kind, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", message[:], kind, key)
	return n > 0, err
}

func (t *tx) deferral(e *waypost.Event) error {
	_, err := t.exec(`INSERT INTO deferral (message, at, code, enhanced, text, count) VALUES ($1, $2, $3, $4, $5, 1)
ON CONFLICT DO UPDATE SET at = excluded.at, code = excluded.code, enhanced = excluded.enhanced, text = excluded.text, count = count + 1`,
		e.Message[:], millis(e.At), e.Code, e.Enhanced, e.Text)
	return err
}

const selectQueued = "SELECT q.provider, q.mailbox, q.due, q.attempt, q.unknown, " + messageColumns + `,
(SELECT coalesce(max(at), 0) FROM attempt a WHERE a.message = q.message)
FROM queue q CROSS JOIN message m ON m.id = q.message WHERE q.message = $1`

// relayed finishes a message as CSSent on the evidence of e: one whose last
// attempt is unknown, or one whose last attempt, claim or acceptance was before
// e: its worker died before it could say so, or has not come to it yet.
func (t *tx) relayed(e *waypost.Event) error {
	rows, err := t.rows(selectQueued, e.Message[:])
	if err != nil {
		return err
	}
	found, err := collect(rows, "read a queue row", func(row scanner, w *tried) error {
		return scanMessage(before{row, []any{&w.lane.Provider, &w.lane.Mailbox, &w.at.due, &w.attempt, &w.unknown}, []any{&w.last}}, &w.message)
	})
	if err != nil || len(found) == 0 {
		return err
	}
	w := &found[0]
	w.at.message = e.Message
	l := t.db.lane(w.lane)
	held := l.leases[e.Message]
	since := max(w.last, millis(w.message.SubmittedAt))
	if held != nil {
		since = max(since, held.claimed)
	}
	if !w.unknown && e.At.UnixMilli() <= since {
		return nil
	}
	if _, err := t.exec(deleteQueue, w.lane.Provider, int64(w.lane.Mailbox), w.at.due, e.Message[:]); err != nil {
		return err
	}
	t.onRollback(func() { l.from = position{} })
	if held != nil {
		t.giveUp(l, held)
	}
	return t.event(&waypost.Event{
		Type: waypost.CSSent, Account: w.message.Account, SubAccount: w.message.SubAccount, Provider: w.lane.Provider,
		Message: e.Message, Recipient: w.message.Recipient, At: e.At, Source: waypost.SourceAgent, Queue: e.Queue, Relay: e.Relay,
		Attempt: w.attempt, Facets: w.message.Facets(),
	})
}

// tried is a queue row with its message and the time of its last attempt.
type tried struct {
	waiting
	last int64
}

// before reads columns that stand before, and behind, those of another scan.
type before struct {
	scanner
	first, last []any
}

// Scan reads first, dest and last.
func (b before) Scan(dest ...any) error {
	return b.scanner.Scan(append(append(slices.Clone(b.first), dest...), b.last...)...)
}

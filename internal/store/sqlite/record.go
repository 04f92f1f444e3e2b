package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// The kinds of fact_key.
const (
	keyReport = 1 // Fact.Key
	keyOnce   = 2 // Fact.Once
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

const selectQueued = `SELECT q.provider, q.mailbox, q.due, q.attempt, m.account, m.sub_account, m.recipient
FROM queue q JOIN message m ON m.id = q.message WHERE q.message = $1 AND q.unknown = 1`

// relayed finishes a message as CSSent whose last attempt is unknown, on the
// evidence of e.
func (t *tx) relayed(e *waypost.Event) error {
	sent := waypost.Event{
		Type: waypost.CSSent, Message: e.Message, At: e.At, Source: waypost.SourceAgent, Queue: e.Queue, Relay: e.Relay,
	}
	var at waypost.Lane
	var due int64
	found, err := t.row(selectQueued, []any{e.Message[:]},
		&at.Provider, &at.Mailbox, &due, &sent.Attempt, &sent.Account, &sent.SubAccount, &sent.Recipient)
	if err != nil || !found {
		return err
	}
	if _, err := t.exec(deleteQueue, at.Provider, int64(at.Mailbox), due, e.Message[:]); err != nil {
		return err
	}
	l := t.db.lane(at)
	t.onRollback(func() { l.from = position{} })
	if s := l.leases[e.Message]; s != nil {
		t.giveUp(l, s)
	}
	sent.Provider = at.Provider
	return t.event(&sent)
}

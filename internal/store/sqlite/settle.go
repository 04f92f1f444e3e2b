package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Extend implements [store.Queue].
func (d *DB) Extend(ctx context.Context, held []store.Entry, until time.Time) error {
	return d.do(ctx, "extend leases", 0, func(tx *tx) error {
		for i := range held {
			if l, s := tx.held(&held[i]); s != nil {
				tx.extend(l, s, until.UnixMilli())
			}
		}
		return nil
	})
}

// held finds the lease that an entry names; nil when it is no longer held.
func (t *tx) held(e *store.Entry) (*lane, *lease) {
	l := t.db.lanes[e.Lane]
	if l == nil {
		return nil, nil
	}
	s := l.leases[e.Message]
	if s == nil || s.id != e.Lease || s.attempt != e.Attempt {
		return nil, nil
	}
	return l, s
}

// Settle implements [store.Queue].
func (d *DB) Settle(ctx context.Context, s *store.Settlement) error {
	var said []byte
	if s.Transcript != nil {
		said = store.EncodeTranscript(s.Transcript)
	}
	return d.do(ctx, "settle", 300*(1+len(s.Events))+len(said), func(tx *tx) error {
		if err := tx.settle(s); err != nil || said == nil {
			return err
		}
		return tx.transcript(s.Entry.Message, s.Transcript.Attempt, said)
	})
}

const deleteQueue = "DELETE FROM queue WHERE provider = $1 AND mailbox = $2 AND due = $3 AND message = $4"

func (t *tx) settle(s *store.Settlement) error {
	e := &s.Entry
	l, held := t.held(e)
	if held == nil {
		return fmt.Errorf("message %s: %w", e.Message, store.ErrLost)
	}
	n, err := t.exec(deleteQueue, e.Lane.Provider, int64(e.Lane.Mailbox), held.at.due, e.Message[:])
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("message %s: %w", e.Message, store.ErrLost)
	}
	t.giveUp(l, held)
	if !s.Retry.IsZero() {
		attempt, unknown := held.attempt, held.unknown
		if s.Attempt != nil {
			attempt, unknown = attempt+1, false
		}
		at := e.Lane
		if s.Provider != 0 {
			at.Provider = s.Provider
			if _, err := t.exec("UPDATE message SET provider = $1 WHERE id = $2", s.Provider, e.Message[:]); err != nil {
				return err
			}
		}
		if err := t.enqueue(at, e.Message, s.Retry.UnixMilli(), attempt, unknown || s.Unknown); err != nil {
			return err
		}
	}
	if s.Attempt != nil {
		if err := t.attempt(s.Attempt); err != nil {
			return err
		}
	}
	for i := range s.Events {
		if err := t.event(&s.Events[i]); err != nil {
			return err
		}
	}
	if s.Exchange != nil {
		t.countExchange(s.Message.Account, s.Exchange)
	}
	if s.Refund && e.Token != 0 {
		return t.refund(e.Lane, e.Token)
	}
	return nil
}

func (t *tx) attempt(a *waypost.Attempt) error {
	_, err := t.exec(`INSERT OR REPLACE INTO attempt (message, n, provider, at, took, result, stage, code, enhanced, text)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, a.Message[:], a.N, a.Provider, millis(a.At), a.Took.Milliseconds(),
		int64(a.Result), a.Stage, a.Code, a.Enhanced, a.Text)
	return err
}

func (t *tx) transcript(message waypost.UUID, n int, body []byte) error {
	_, err := t.exec("INSERT OR REPLACE INTO transcript (message, n, body) VALUES ($1, $2, $3)", message[:], n, body)
	return err
}

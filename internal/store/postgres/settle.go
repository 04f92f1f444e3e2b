package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost/internal/store"
)

// Settle encodes its rows in the caller's goroutine and leaves the rest to the
// committer of settlements.
func (d *DB) Settle(ctx context.Context, s *store.Settlement) error {
	o := &op{act: "settle message " + s.Entry.Message.String(), settle: s}
	for i := range s.Events {
		if err := o.addEvent(&s.Events[i]); err != nil {
			return err
		}
	}
	if s.Attempt != nil {
		o.attempt.attempt(s.Attempt)
	}
	if s.Transcript != nil {
		o.said = store.EncodeTranscript(s.Transcript)
	}
	o.size = len(o.events) + len(o.attempt) + len(o.said) + 100
	return d.settles.do(ctx, o)
}

// commitSettles stores a group of settlements and facts. The queue rows of the
// settlements come first: what is lost there stores nothing.
func (d *DB) commitSettles(ctx context.Context, t *tx, group []*op) error {
	for _, o := range group {
		o.err, o.recorded = nil, nil
	}
	held, err := t.release(ctx, group)
	if err != nil {
		return err
	}
	for _, o := range held {
		d.enter(t, o)
		if x := o.settle.Exchange; x != nil {
			t.counted.exchange(o.settle.Message.Account, x)
		}
	}
	recorded, err := d.record(ctx, t, group)
	if err != nil {
		return err
	}
	all := append(held, recorded...)
	for _, o := range group {
		if o.cancel != nil {
			events, err := d.cancelled(ctx, t, o.cancel)
			if err != nil {
				return err
			}
			all = append(all, events)
		}
	}
	if err := t.copy(ctx, eventCopy, all, func(o *op) rows { return o.events }); err != nil {
		return err
	}
	if err := t.copy(ctx, attemptCopy, held, func(o *op) rows { return o.attempt }); err != nil {
		return err
	}
	t.queueTranscripts(held)
	t.queueMoves(held)
	t.queueRefunds(held)
	t.queueReports(group)
	return nil
}

const (
	finishRows = `DELETE FROM queue q USING unnest($1::uuid[], $2::bigint[], $3::int[], $4::int[]) AS v(message, lease, attempt, n)
WHERE q.message = v.message AND q.lease = v.lease AND q.attempt = v.attempt AND q.lease <> 0
RETURNING v.n`
	retryRows = `UPDATE queue q SET due = v.due, lease = 0, attempt = q.attempt + v.made,
  unknown = CASE WHEN v.made = 1 THEN v.unknown ELSE q.unknown END,
  provider = CASE WHEN v.provider = 0 THEN q.provider ELSE v.provider END
FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::int[], $5::bigint[], $6::int[], $7::bool[], $8::bigint[])
  AS v(message, lease, attempt, n, due, made, unknown, provider)
WHERE q.message = v.message AND q.lease = v.lease AND q.attempt = v.attempt AND q.lease <> 0
RETURNING v.n`
)

// claims are the columns by which a statement finds held rows.
type claims struct {
	message []pgtype.UUID
	lease   []int64
	attempt []int32
	n       []int32 // index of the op
}

func (c *claims) add(n int, e *store.Entry) {
	c.message = append(c.message, pgtype.UUID{Bytes: e.Message, Valid: true})
	c.lease = append(c.lease, e.Lease)
	c.attempt = append(c.attempt, int32(e.Attempt))
	c.n = append(c.n, int32(n))
}

// release deletes or reschedules the queue rows of settlements. It gives the
// ops whose row was held; the others get ErrLost.
func (t *tx) release(ctx context.Context, group []*op) ([]*op, error) {
	var settles []*op
	for _, o := range group {
		if o.settle != nil {
			settles = append(settles, o)
		}
	}
	if len(settles) == 0 {
		return nil, nil
	}
	// One order on every node keeps two of them from waiting for each other.
	slices.SortStableFunc(settles, func(a, b *op) int {
		return bytes.Compare(a.settle.Entry.Message[:], b.settle.Entry.Message[:])
	})
	var finish, retry claims
	var due, provider []int64
	var made []int32
	var unknown []bool
	for i, o := range settles {
		s := o.settle
		o.err = store.ErrLost
		if s.Retry.IsZero() {
			finish.add(i, &s.Entry)
			continue
		}
		retry.add(i, &s.Entry)
		due, unknown, provider = append(due, millis(s.Retry)), append(unknown, s.Unknown), append(provider, s.Provider)
		if s.Attempt != nil {
			made = append(made, 1)
		} else {
			made = append(made, 0)
		}
	}
	var held []*op
	note := func(rows pgx.Rows) error {
		ns, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		for _, n := range ns {
			settles[n].err = nil
			held = append(held, settles[n])
		}
		return err
	}
	var b pgx.Batch
	if len(finish.n) > 0 {
		b.Queue(finishRows, finish.message, finish.lease, finish.attempt, finish.n).Query(note)
	}
	if len(retry.n) > 0 {
		b.Queue(retryRows, retry.message, retry.lease, retry.attempt, retry.n, due, made, unknown, provider).Query(note)
	}
	return held, t.send(ctx, &b)
}

const addTranscripts = `INSERT INTO transcript (message, n, body) SELECT * FROM unnest($1::uuid[], $2::int[], $3::bytea[])
ON CONFLICT (message, n) DO UPDATE SET body = excluded.body`

// queueTranscripts stores what was said in the attempts that end.
func (t *tx) queueTranscripts(held []*op) {
	var messages []pgtype.UUID
	var ns []int32
	var bodies [][]byte
	for _, o := range held {
		if o.said != nil {
			messages = append(messages, pgtype.UUID{Bytes: o.settle.Entry.Message, Valid: true})
			ns, bodies = append(ns, int32(o.settle.Transcript.Attempt)), append(bodies, o.said)
		}
	}
	if len(messages) > 0 {
		t.queue(addTranscripts, messages, ns, bodies)
	}
}

// queueMoves changes the messages whose retry goes to another provider.
func (t *tx) queueMoves(held []*op) {
	var messages []pgtype.UUID
	var providers []int64
	for _, o := range held {
		if s := o.settle; !s.Retry.IsZero() && s.Provider != 0 && s.Provider != s.Entry.Lane.Provider {
			messages = append(messages, pgtype.UUID{Bytes: s.Entry.Message, Valid: true})
			providers = append(providers, s.Provider)
		}
	}
	if len(messages) > 0 {
		t.queue(`UPDATE message m SET provider = v.provider FROM unnest($1::uuid[], $2::bigint[]) AS v(message, provider)
WHERE m.id = v.message`, messages, providers)
	}
}

const refund = `UPDATE limit_bucket b SET n = greatest(b.n - v.n, 0)
FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[]) AS v(provider, minute, mailbox, n)
WHERE b.provider = v.provider AND b.minute = v.minute AND b.mailbox = v.mailbox`

// queueRefunds gives tokens back.
func (t *tx) queueRefunds(held []*op) {
	type bucket struct {
		provider, minute int64
		mailbox          int16
	}
	sum := map[bucket]int64{}
	for _, o := range held {
		if e := &o.settle.Entry; o.settle.Refund && e.Token != 0 {
			sum[bucket{e.Lane.Provider, e.Token, int16(e.Lane.Mailbox)}]++
		}
	}
	if len(sum) == 0 {
		return
	}
	keys := make([]bucket, 0, len(sum))
	for k := range sum {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b bucket) int {
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.minute, b.minute), cmp.Compare(a.mailbox, b.mailbox))
	})
	var providers, minutes, n []int64
	var boxes []int16
	for _, k := range keys {
		providers, minutes = append(providers, k.provider), append(minutes, k.minute)
		boxes, n = append(boxes, k.mailbox), append(n, sum[k])
	}
	t.queue(refund, providers, minutes, boxes, n)
}

package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// maxSelected is the highest Limit of a selection.
const maxSelected = 10_000

// A selection is made in two steps: its ids without a lock, and then the rows
// of these ids that are still of the account and held by nobody, under a lock
// that passes over those which a worker is just claiming.
const (
	free     = ` AND (lease = 0 OR due <= $4)`
	pickLane = `SELECT message FROM queue WHERE provider = $1 AND mailbox = $2 AND due > $3` + free + ` AND account = $5
ORDER BY due, message LIMIT $6`
	pickProvider = `WITH RECURSIVE box AS (
  (SELECT mailbox FROM queue WHERE provider = $1 ORDER BY mailbox LIMIT 1)
  UNION ALL
  SELECT n.mailbox FROM box b CROSS JOIN LATERAL (
    SELECT q.mailbox FROM queue q WHERE q.provider = $1 AND q.mailbox > b.mailbox ORDER BY q.mailbox LIMIT 1) n
) SELECT r.message FROM box b CROSS JOIN LATERAL (
  SELECT message, due FROM queue q WHERE q.provider = $1 AND q.mailbox = b.mailbox AND due > $2` + ` AND (lease = 0 OR due <= $3)
  AND account = $4 ORDER BY q.due, q.message LIMIT $5) r
ORDER BY r.due, r.message LIMIT $5`
	lockFree = `SELECT message FROM queue WHERE message = ANY($1::uuid[]) AND account = $2 AND due > $3` + free + `
ORDER BY message FOR UPDATE SKIP LOCKED`
)

// pick gives the ids of a selection, those listed or the earliest due after
// the time given.
func (d *DB) pick(ctx context.Context, account int64, s store.Selection, after, now int64) ([]pgtype.UUID, error) {
	if len(s.Messages) > 0 {
		ids := make([]pgtype.UUID, len(s.Messages))
		for i, id := range s.Messages {
			ids[i] = pgtype.UUID{Bytes: id, Valid: true}
		}
		return ids, nil
	}
	limit := min(max(s.Limit, 1), maxSelected)
	sql, args := pickLane, []any{s.Provider, int16(s.Mailbox), after, now, account, limit}
	if s.Mailbox == waypost.AllMailboxes {
		sql, args = pickProvider, []any{s.Provider, after, now, account, limit}
	}
	rows, err := d.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
}

// RetryNow makes messages due. Those that are due already are not counted;
// what a worker holds is due after now under a lease, and left alone.
func (d *DB) RetryNow(ctx context.Context, account int64, s store.Selection, now time.Time) (int, error) {
	due := now.UnixMilli()
	ids, err := d.pick(ctx, account, s, due, due)
	if err != nil || len(ids) == 0 {
		return 0, wrap(ctx, "retry now", err)
	}
	tag, err := d.pool.Exec(ctx, `WITH rows AS MATERIALIZED (`+lockFree+`)
UPDATE queue q SET due = $4 FROM rows WHERE q.message = rows.message`, ids, account, due, due)
	return int(tag.RowsAffected()), wrap(ctx, "retry now", err)
}

// cancellation is what Cancel asks of the committer of settlements.
type cancellation struct {
	account int64
	ids     []pgtype.UUID
	text    string
	now     time.Time
	n       int // messages that it cancelled
}

// Cancel leaves the rows to the committer of settlements, which counts their
// events.
func (d *DB) Cancel(ctx context.Context, account int64, s store.Selection, text string, now time.Time) (int, error) {
	ids, err := d.pick(ctx, account, s, -1, now.UnixMilli())
	if err != nil || len(ids) == 0 {
		return 0, wrap(ctx, "cancel messages", err)
	}
	c := &cancellation{account: account, ids: ids, text: text, now: now}
	if err := d.settles.do(ctx, &op{act: "cancel messages", size: 400 * len(ids), cancel: c}); err != nil {
		return 0, err
	}
	return c.n, nil
}

const cancelRows = `WITH rows AS MATERIALIZED (` + lockFree + `)
DELETE FROM queue q USING rows, message m WHERE q.message = rows.message AND m.id = q.message
RETURNING m.id, m.sub_account, q.provider, m.recipient, q.attempt, ` + facetColumns

// cancelled finishes the messages of a cancellation and gives an op that holds
// their events.
func (d *DB) cancelled(ctx context.Context, t *tx, c *cancellation) (*op, error) {
	rows, err := t.conn.Query(ctx, cancelRows, c.ids, c.account, int64(-1), c.now.UnixMilli())
	if err != nil {
		return nil, err
	}
	out := &op{}
	e := waypost.Event{
		Type: waypost.CSDropped, Account: c.account, At: c.now, Source: waypost.SourceAPI, Text: c.text, Reason: waypost.DropCancelled,
	}
	var f facetRow
	dest := append([]any{into(&e.Message), &e.SubAccount, &e.Provider, &e.Recipient, &e.Attempt}, f.dest()...)
	_, err = pgx.ForEachRow(rows, dest, func() error {
		var err error
		if e.Facets, err = f.value(); err != nil {
			return err
		}
		return out.addEvent(&e)
	})
	c.n = len(out.eventAt)
	d.enter(t, out)
	return out, err
}

const (
	readFree = `WITH rows AS MATERIALIZED (` + lockFree + `)
SELECT ` + messageColumns + ` FROM rows JOIN message m ON m.id = rows.message`
	moveRows = `UPDATE queue q SET provider = v.provider, lease = 0 FROM unnest($1::uuid[], $2::bigint[]) AS v(message, provider)
WHERE q.message = v.message`
	moveMessages = `UPDATE message m SET provider = v.provider, pool = $3 FROM unnest($1::uuid[], $2::bigint[]) AS v(message, provider)
WHERE m.id = v.message`
)

// Move gives messages to another pool. The rows are locked while choose picks
// their providers; it must not call the store. ErrNotFound when the pool, or a
// provider that was chosen, is not of the account.
func (d *DB) Move(ctx context.Context, account int64, s store.Selection, pool int64, choose func(*waypost.Message) int64) (int, error) {
	now := d.ids.now().UnixMilli()
	ids, err := d.pick(ctx, account, s, -1, now)
	if err != nil {
		return 0, wrap(ctx, "move messages", err)
	}
	n := 0
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if err := ownPool(ctx, tx, account, pool); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, readFree, ids, account, int64(-1), now)
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, scanMessage)
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b waypost.Message) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		var moved []pgtype.UUID
		var to []int64
		for i := range all {
			if provider := choose(&all[i]); provider != 0 {
				moved, to = append(moved, pgtype.UUID{Bytes: all[i].ID, Valid: true}), append(to, provider)
			}
		}
		n = len(moved)
		if n == 0 {
			return nil
		}
		if err := ownProviders(ctx, tx, account, to); err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(moveRows, moved, to)
		b.Queue(moveMessages, moved, to, pool)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return 0, wrap(ctx, "move messages", err)
	}
	return n, nil
}

// ownProviders is ErrNotFound when a provider is not one of the account's.
func ownProviders(ctx context.Context, tx pgx.Tx, account int64, all []int64) error {
	ids := slices.Compact(slices.Sorted(slices.Values(all)))
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM provider WHERE id = ANY($1) AND account = $2`, ids, account).Scan(&n)
	if err == nil && n != len(ids) {
		return store.ErrNotFound
	}
	return err
}

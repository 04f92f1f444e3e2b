package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// laneDepths counts each lane that laneHeads finds. A provider is of one
// account, and so are all messages of a lane: the first tells whose it is;
// provider 0 has the simulated recipients of all accounts. A
// held message is due at the end of its lease.
const laneDepths = laneWalk + ` SELECT l.provider, l.mailbox, l.due, n.messages, n.unknown
FROM lane l CROSS JOIN LATERAL (
  SELECT q.account FROM queue q WHERE q.provider = l.provider AND q.mailbox = l.mailbox ORDER BY q.due, q.message LIMIT 1
) a CROSS JOIN LATERAL (
  SELECT count(*) AS messages, count(*) FILTER (WHERE b.unknown) AS unknown
  FROM (SELECT q.unknown FROM queue q WHERE q.provider = l.provider AND q.mailbox = l.mailbox LIMIT 100000) b
) n WHERE a.account = $1 AND l.provider <> 0 ORDER BY l.provider, l.mailbox`

// Lanes lists the lanes of an account.
func (d *DB) Lanes(ctx context.Context, account int64) ([]store.LaneDepth, error) {
	return list(ctx, d, "count lanes", func(row pgx.CollectableRow) (l store.LaneDepth, err error) {
		var due int64
		err = row.Scan(&l.Lane.Provider, (*int16)(&l.Lane.Mailbox), &due, &l.Messages, &l.Unknown)
		l.Due = moment(due)
		return l, err
	}, laneDepths, account)
}

const (
	selectWaiting = `SELECT q.provider, q.mailbox, q.due, q.attempt, q.unknown, ` + messageColumns + `,
a.n, coalesce(a.provider, 0), coalesce(a.at, 0), coalesce(a.took, 0), coalesce(a.result, 0), coalesce(a.stage, ''),
coalesce(a.code, 0), coalesce(a.enhanced, ''), coalesce(a.text, '')
FROM queue q JOIN message m ON m.id = q.message
LEFT JOIN LATERAL (SELECT * FROM attempt t WHERE t.message = q.message ORDER BY t.n DESC LIMIT 1) a ON true
WHERE q.account = $1`
	waitingPage = ` ORDER BY q.provider, q.mailbox, q.due, q.message LIMIT $2 OFFSET $3`
)

// Waiting lists waiting messages. It walks over the rows before the offset.
func (d *DB) Waiting(ctx context.Context, q store.WaitingQuery) ([]store.Queued, error) {
	args := []any{q.Account, min(max(q.Limit, 1), 1000), max(q.Offset, 0)}
	sql := selectWaiting
	if q.Provider != 0 {
		sql, args = sql+` AND q.provider = $4`, append(args, q.Provider)
		if q.Mailbox != waypost.AllMailboxes {
			sql, args = sql+` AND q.mailbox = $5`, append(args, int16(q.Mailbox))
		}
	}
	return list(ctx, d, "list waiting messages", scanWaiting, sql+waitingPage, args...)
}

func scanWaiting(row pgx.CollectableRow) (q store.Queued, err error) {
	var m messageRow
	var due, at int64
	var n pgtype.Int4
	var a waypost.Attempt
	p := &q.Pending
	dest := append([]any{&p.Lane.Provider, (*int16)(&p.Lane.Mailbox), &due, &p.Attempt, &p.Unknown}, m.dest()...)
	dest = append(dest, &n, &a.Provider, &at, (*int64)(&a.Took), (*int16)(&a.Result), &a.Stage, &a.Code, &a.Enhanced, &a.Text)
	if err := row.Scan(dest...); err != nil {
		return q, err
	}
	p.Due = moment(due)
	if q.Message, err = m.value(); err != nil {
		return q, err
	}
	if n.Valid {
		a.Message, a.N, a.At = q.Message.ID, int(n.Int32), moment(at)
		q.Last = &a
	}
	return q, nil
}

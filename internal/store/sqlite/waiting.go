package sqlite

import (
	"context"
	"database/sql"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const laneDepth = `SELECT (SELECT m.account FROM queue q CROSS JOIN message m ON m.id = q.message
  WHERE q.provider = $1 AND q.mailbox = $2 LIMIT 1), count(*), coalesce(sum(unknown), 0)
FROM (SELECT unknown FROM queue WHERE provider = $1 AND mailbox = $2 LIMIT 100000)`

// Lanes implements [store.Surgery]. A provider is of one account, and so are
// all messages of a lane: the first one tells whose it is.
func (d *DB) Lanes(ctx context.Context, account int64) ([]store.LaneDepth, error) {
	heads, err := d.LaneHeads(ctx)
	if err != nil {
		return nil, err
	}
	var out []store.LaneDepth
	for _, h := range heads {
		if h.Lane.Provider == waypost.SimulatorProvider {
			continue // of all accounts, and no mail of anybody's
		}
		var owner sql.NullInt64 // NULL when the lane has become empty meanwhile
		l, err := one(ctx, d, "count a lane", func(row scanner, l *store.LaneDepth) error {
			return row.Scan(&owner, &l.Messages, &l.Unknown)
		}, laneDepth, h.Lane.Provider, int64(h.Lane.Mailbox))
		if err != nil {
			return nil, err
		}
		if owner.Valid && owner.Int64 == account {
			l.Lane, l.Due = h.Lane, h.Due
			out = append(out, l)
		}
	}
	return out, nil
}

// selectWaiting reads queue rows in the order of their key, with the message
// and the last attempt of each.
const selectWaiting = `SELECT q.provider, q.mailbox, q.due, q.attempt, q.unknown, ` + messageColumns + `,
a.n, a.provider, a.at, a.took, a.result, a.stage, a.code, a.enhanced, a.text
FROM queue q CROSS JOIN message m ON m.id = q.message
LEFT JOIN attempt a ON a.message = q.message AND a.n = (SELECT max(n) FROM attempt WHERE message = q.message)
WHERE m.account = $1`

const waitingPage = " ORDER BY q.provider, q.mailbox, q.due, q.message LIMIT $2 OFFSET $3"

// Waiting implements [store.Surgery]. It walks over the rows before the
// offset.
func (d *DB) Waiting(ctx context.Context, q store.WaitingQuery) ([]store.Queued, error) {
	args := []any{q.Account, min(max(q.Limit, 1), 1000), max(q.Offset, 0)}
	query := selectWaiting
	if q.Provider != 0 {
		query, args = query+" AND q.provider = $4", append(args, q.Provider)
		if q.Mailbox != waypost.AllMailboxes {
			query, args = query+" AND q.mailbox = $5", append(args, int64(q.Mailbox))
		}
	}
	return list(ctx, d, "list waiting messages", scanWaiting, query+waitingPage, args...)
}

func scanWaiting(row scanner, q *store.Queued) error {
	var m messageRow
	var due int64
	p := &q.Pending
	var n, provider, at, took, result, code sql.NullInt64
	var stage, enhanced, text sql.NullString
	dest := append([]any{&p.Lane.Provider, &p.Lane.Mailbox, &due, &p.Attempt, &p.Unknown}, m.dest(&q.Message)...)
	dest = append(dest, &n, &provider, &at, &took, &result, &stage, &code, &enhanced, &text)
	if err := row.Scan(dest...); err != nil {
		return err
	}
	p.Due = moment(due)
	if n.Valid {
		q.Last = &waypost.Attempt{
			Message: waypost.UUID(m.id), N: int(n.Int64), Provider: provider.Int64, At: moment(at.Int64), Took: milliseconds(took.Int64),
			Result: waypost.AttemptResult(result.Int64), Stage: stage.String, Code: int(code.Int64), Enhanced: enhanced.String, Text: text.String,
		}
	}
	return m.finish(&q.Message)
}

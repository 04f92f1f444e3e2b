package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const eventColumns = `e.id, e.type, e.account, e.sub_account, e.provider, e.message, e.recipient, e.at, e.source, e.code,
e.enhanced, e.text, e.reason, e.rule, e.attempt, e.queue, e.relay, e.late, e.evidence`

func scanEvent(row pgx.CollectableRow) (e waypost.Event, err error) {
	var at int64
	err = row.Scan(&e.ID, (*int16)(&e.Type), &e.Account, &e.SubAccount, &e.Provider, into(&e.Message), &e.Recipient, &at,
		(*string)(&e.Source), &e.Code, &e.Enhanced, &e.Text, (*string)(&e.Reason), &e.Rule, &e.Attempt,
		(*string)(&e.Queue), &e.Relay, &e.Late, &e.Evidence)
	e.At = moment(at)
	return e, err
}

func scanAttempt(row pgx.CollectableRow) (a waypost.Attempt, err error) {
	var at int64
	err = row.Scan(into(&a.Message), &a.N, &a.Provider, &at, (*int64)(&a.Took), (*int16)(&a.Result), &a.Stage, &a.Code,
		&a.Enhanced, &a.Text)
	a.At = moment(at)
	return a, err
}

// collect reads the rows of a query in a batch.
func collect[T any](into *[]T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.AppendRows([]T(nil), rows, scan)
		return err
	}
}

// optional sets *to to v when a row was read, and leaves it nil without one.
func optional[T any](to **T, v *T, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	*to = v
	return err
}

// Trail reads all of a message's way in one snapshot.
func (d *DB) Trail(ctx context.Context, account int64, id waypost.UUID) (store.Trail, error) {
	var t store.Trail
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		key := [16]byte(id)
		var m messageRow
		var b pgx.Batch
		b.Queue(`SELECT `+messageColumns+` FROM message m WHERE m.id = $1 AND m.account = $2`, key, account).
			QueryRow(func(row pgx.Row) error { return row.Scan(m.dest()...) })
		b.Queue(`SELECT `+eventColumns+` FROM event e WHERE e.message = $1 ORDER BY e.at, e.id`, key).
			Query(collect(&t.Events, scanEvent))
		b.Queue(`SELECT message, n, provider, at, took, result, stage, code, enhanced, text FROM attempt
WHERE message = $1 ORDER BY n`, key).Query(collect(&t.Attempts, scanAttempt))
		b.Queue(`SELECT at, code, enhanced, text, count FROM deferral WHERE message = $1`, key).
			QueryRow(func(row pgx.Row) error {
				var at int64
				var v store.Deferral
				err := row.Scan(&at, &v.Code, &v.Enhanced, &v.Text, &v.Count)
				v.At = moment(at)
				return optional(&t.Deferral, &v, err)
			})
		b.Queue(`SELECT provider, mailbox, due, attempt, unknown FROM queue WHERE message = $1`, key).
			QueryRow(func(row pgx.Row) error {
				var due int64
				var v store.Pending
				err := row.Scan(&v.Lane.Provider, (*int16)(&v.Lane.Mailbox), &due, &v.Attempt, &v.Unknown)
				v.Due = moment(due)
				return optional(&t.Waiting, &v, err)
			})
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		var err error
		t.Message, err = m.value()
		return err
	})
	if err != nil {
		return store.Trail{}, wrap(ctx, "trail of message "+id.String(), err)
	}
	return t, nil
}

// listEvents takes each type's newest and then the newest of these: every type
// is one descending walk of event_list.
const (
	eventsByType = `SELECT ` + eventColumns + ` FROM unnest($2::smallint[]) AS t(type) CROSS JOIN LATERAL (
  SELECT * FROM event e WHERE e.account = $1 AND e.type = t.type AND NOT e.evidence
    AND e.id >= $3 AND e.id < $4 AND ($5 = 0 OR e.sub_account = $5) AND ($6 = 0 OR e.provider = $6)
  ORDER BY e.id DESC LIMIT $7::bigint + $8::bigint
) e ORDER BY e.id DESC LIMIT $7 OFFSET $8`
	eventsByRecipient = `SELECT ` + eventColumns + ` FROM message m JOIN event e ON e.message = m.id
WHERE m.account = $1 AND m.recipient = $9 AND e.recipient = $9 AND e.account = $1 AND e.type = ANY($2::smallint[]) AND NOT e.evidence
  AND e.id >= $3 AND e.id < $4 AND ($5 = 0 OR e.sub_account = $5) AND ($6 = 0 OR e.provider = $6)
ORDER BY e.id DESC LIMIT $7 OFFSET $8`
	// eventsByProvider walks event_provider instead.
	eventsByProvider = `SELECT ` + eventColumns + ` FROM unnest($2::smallint[]) AS t(type) CROSS JOIN LATERAL (
  SELECT * FROM event e WHERE e.account = $1 AND e.provider = $6 AND e.type = t.type AND NOT e.evidence
    AND e.id >= $3 AND e.id < $4 AND ($5 = 0 OR e.sub_account = $5)
  ORDER BY e.id DESC LIMIT $7::bigint + $8::bigint
) e ORDER BY e.id DESC LIMIT $7 OFFSET $8`
)

// ListEvents lists events, newest first.
func (d *DB) ListEvents(ctx context.Context, q store.EventQuery) ([]waypost.Event, error) {
	types := q.Types
	if len(types) == 0 {
		types = waypost.EventTypes()
	}
	seen := map[waypost.EventType]bool{}
	var kinds []int16
	for _, t := range types {
		if !seen[t] {
			kinds = append(kinds, int16(t))
		}
		seen[t] = true
	}
	from, below := int64(0), int64(1<<63-1)
	if !q.From.IsZero() {
		from = idAt(q.From)
	}
	if !q.To.IsZero() {
		below = idAt(q.To)
	}
	if q.Before != 0 {
		below = min(below, q.Before)
	}
	sql := eventsByType
	args := []any{q.Account, kinds, from, below, q.SubAccount, q.Provider, min(max(q.Limit, 1), 1000), max(q.Offset, 0)}
	if q.Provider != 0 {
		sql = eventsByProvider
	}
	if q.Recipient != "" {
		sql, args = eventsByRecipient, append(args, clean(q.Recipient))
	}
	return list(ctx, d, "list events", scanEvent, sql, args...)
}

// idAt is the lowest event id of a time.
func idAt(t time.Time) int64 { return store.EventID(ceilMillis(t), 0, 0) }

// DailyStats sums the counters of a sub-account per UTC day.
func (d *DB) DailyStats(ctx context.Context, account, subAccount int64, from, to time.Time) ([]store.DayStats, error) {
	rows, err := d.pool.Query(ctx, `SELECT day, stat, sum(n)::bigint FROM stat_day
WHERE account = $1 AND day BETWEEN $2 AND $3 AND ($4 = 0 OR sub_account = $4)
GROUP BY day, stat HAVING sum(n) <> 0 ORDER BY day, stat`, account, dayOf(from), dayOf(to), subAccount)
	if err != nil {
		return nil, wrap(ctx, "read counters", err)
	}
	var out []store.DayStats
	var day int32
	var stat int16
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&day, &stat, &n}, func() error {
		at := time.Unix(int64(day)*24*60*60, 0).UTC()
		if len(out) == 0 || !out[len(out)-1].Day.Equal(at) {
			out = append(out, store.DayStats{Day: at, Counts: map[waypost.Stat]int64{}})
		}
		out[len(out)-1].Counts[waypost.Stat(stat)] = n
		return nil
	})
	return out, wrap(ctx, "read counters", err)
}

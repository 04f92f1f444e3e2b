package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func scanAttempt(row pgx.CollectableRow) (a waypost.Attempt, err error) {
	var at int64
	err = row.Scan(into(&a.Message), &a.N, &a.Provider, &at, (*int64)(&a.Took), (*int16)(&a.Result), &a.Stage, &a.Code,
		&a.Enhanced, &a.Text)
	a.At = moment(at)
	return a, err
}

func scanTranscript(row pgx.CollectableRow) (waypost.Transcript, error) {
	var n int
	var body []byte
	err := row.Scan(&n, &body)
	if err != nil {
		return waypost.Transcript{}, err
	}
	return store.DecodeTranscript(n, body), nil
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
		b.Queue(`SELECT s.n, s.body FROM transcript s JOIN message m ON m.id = s.message
WHERE s.message = $1 AND m.account = $2 ORDER BY s.n`, key, account).Query(collect(&t.Transcripts, scanTranscript))
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

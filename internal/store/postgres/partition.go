package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost/internal/store"
)

const (
	monthsAhead   = 3
	partitionName = "event_2006_01" // a month's, as a layout of package time
	tendInterval  = 12 * time.Hour
	// tableLock is the key of the advisory lock under which partitions are made.
	tableLock = 0x77617970
)

// tend makes the partitions of coming months while a node runs, and looks for
// webhooks that other nodes changed. A failure is no harm: event_rest takes the
// events, the webhooks stay what they were, and the next turn tries again.
func (d *DB) tend(ctx context.Context) {
	defer close(d.tended)
	timer, hooks := time.NewTicker(tendInterval), time.NewTicker(hookInterval)
	defer timer.Stop()
	defer hooks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			_ = d.makePartitions(ctx)
		case <-hooks.C:
			_ = d.readHooks(ctx)
		}
	}
}

// makePartitions makes the event partitions of this month and the next three,
// as far as they are missing. A month of which event_rest has rows already
// stays there.
func (d *DB) makePartitions(ctx context.Context) error {
	now := d.ids.now().UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for i := range monthsAhead + 1 {
		from := first.AddDate(0, i, 0)
		err := d.makePartition(ctx, from, from.AddDate(0, 1, 0))
		if err != nil && sqlState(err) != "23514" {
			return wrap(ctx, "make the event partition of "+from.Format("2006-01"), err)
		}
	}
	return nil
}

func (d *DB) makePartition(ctx context.Context, from, to time.Time) error {
	name := from.Format(partitionName)
	var exists bool
	if err := d.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&exists); err != nil || exists {
		return err
	}
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(tableLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s PARTITION OF event FOR VALUES FROM (%d) TO (%d)`,
			name, store.EventID(from.UnixMilli(), 0, 0), store.EventID(to.UnixMilli(), 0, 0)))
		return err
	})
}

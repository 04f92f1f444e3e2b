package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// PruneEvents drops the months that are older as a whole, and deletes events
// of the month in between.
func (d *DB) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := d.dropMonths(ctx, before)
	if err != nil || n >= limit {
		return n, wrap(ctx, "prune events", err)
	}
	more, err := d.deleteEvents(ctx, idAt(before), limit-n)
	return n + more, wrap(ctx, "prune events", err)
}

const deleteEvents = `WITH old AS MATERIALIZED (
  SELECT r.id, r.message FROM account a CROSS JOIN unnest($1::smallint[]) AS t(type) CROSS JOIN LATERAL (
    SELECT e.id, e.message FROM event e WHERE e.account = a.id AND e.type = t.type AND NOT e.evidence AND e.id < $2 ORDER BY e.id LIMIT $3) r
  UNION ALL
  SELECT r.id, r.message FROM account a CROSS JOIN LATERAL (
    SELECT e.id, e.message FROM event e WHERE e.account = a.id AND e.evidence AND e.id < $2 ORDER BY e.id LIMIT $3) r
  LIMIT $3
) DELETE FROM event e USING old WHERE e.message = old.message AND e.id = old.id RETURNING e.message`

// deleteKeys leaves the keys of messages that have events still.
const deleteKeys = `DELETE FROM fact_key k WHERE k.message = ANY($1::uuid[])
AND NOT EXISTS (SELECT FROM event e WHERE e.message = k.message AND e.id >= $2)`

// deleteEvents deletes up to n events below an id, with the keys of their facts.
func (d *DB) deleteEvents(ctx context.Context, below int64, n int) (int, error) {
	deleted := 0
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, deleteEvents, kinds(&store.EventQuery{}), below, n)
		if err != nil {
			return err
		}
		messages, err := pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
		if deleted = len(messages); err != nil || deleted == 0 {
			return err
		}
		_, err = tx.Exec(ctx, deleteKeys, messages, int64(0))
		return err
	})
	return deleted, err
}

// dropMonths drops the partitions of months that ended before a time, and
// tells how many events were in them. This month's is never dropped.
func (d *DB) dropMonths(ctx context.Context, before time.Time) (int, error) {
	if now := d.ids.now(); before.After(now) {
		before = now
	}
	rows, err := d.pool.Query(ctx, `SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'event'::regclass ORDER BY c.relname`)
	if err != nil {
		return 0, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	n := 0
	for _, name := range names {
		month, err := time.Parse(partitionName, name)
		if err != nil { // event_rest
			continue
		}
		if end := month.AddDate(0, 1, 0); !end.After(before) {
			dropped, err := d.dropMonth(ctx, name, end)
			n += dropped
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// dropMonth drops a partition after the keys of its facts. Dropping locks the
// whole event table: it waits for a moment only, and is left to the next turn
// when somebody reads a long list.
func (d *DB) dropMonth(ctx context.Context, name string, end time.Time) (n int, err error) {
	if err := d.pool.QueryRow(ctx, `SELECT count(*) FROM `+name).Scan(&n); err != nil {
		return 0, err
	}
	if err := d.sweepKeys(ctx, end); err != nil {
		return 0, err
	}
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '500ms'`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DROP TABLE `+name)
		return err
	})
	if sqlState(err) == "55P03" {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("drop %s: %w", name, err)
	}
	return n, nil
}

// sweepKeys deletes the keys of messages submitted before a month's end that
// have no later event, page by page.
func (d *DB) sweepKeys(ctx context.Context, end time.Time) error {
	const page = 10_000
	var last waypost.UUID
	for {
		rows, err := d.pool.Query(ctx, `SELECT message FROM fact_key WHERE message > $1 AND message < $2 ORDER BY message LIMIT $3`,
			[16]byte(last), [16]byte(idFloor(end)), page)
		if err != nil {
			return err
		}
		messages, err := pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
		if err != nil || len(messages) == 0 {
			return err
		}
		if _, err := d.pool.Exec(ctx, deleteKeys, messages, store.EventID(end.UnixMilli(), 0, 0)); err != nil {
			return err
		}
		last = messages[len(messages)-1].Bytes
	}
}

const deleteMessages = `WITH old AS MATERIALIZED (
  SELECT m.id FROM message m WHERE m.id < $1 AND m.submitted < $2 AND NOT EXISTS (SELECT FROM queue q WHERE q.message = m.id)
  ORDER BY m.id LIMIT $3
), gone AS (
  DELETE FROM message m USING old WHERE m.id = old.id RETURNING m.id, m.content
), attempts AS (
  DELETE FROM attempt a USING old WHERE a.message = old.id
), transcripts AS (
  DELETE FROM transcript s USING old WHERE s.message = old.id
), deferrals AS (
  DELETE FROM deferral f USING old WHERE f.message = old.id
), sent AS (
  DELETE FROM unsettled u USING old WHERE u.message = old.id
) SELECT content FROM gone`

// PruneMessages deletes finished messages, the oldest first, and the contents
// that were theirs alone.
func (d *DB) PruneMessages(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, deleteMessages, [16]byte(idFloor(before.Add(idSlack))), ceilMillis(before), max(limit, 0))
		if err != nil {
			return err
		}
		contents, err := pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
		if n = len(contents); err != nil || n == 0 {
			return err
		}
		return deleteContents(ctx, tx, contents)
	})
	if err != nil {
		return 0, wrap(ctx, "prune messages", err)
	}
	return n, nil
}

// deleteContents deletes the contents that no message has any more. The
// messages of a call are as old as their content, so those left are looked for
// by id: an index of contents would cost every message that is accepted.
func deleteContents(ctx context.Context, tx pgx.Tx, contents []pgtype.UUID) error {
	slices.SortFunc(contents, func(a, b pgtype.UUID) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	first, last := waypost.UUID(contents[0].Bytes).Time(), waypost.UUID(contents[len(contents)-1].Bytes).Time()
	_, err := tx.Exec(ctx, `WITH kept AS MATERIALIZED (SELECT m.content FROM message m WHERE m.id >= $2 AND m.id < $3 AND m.content = ANY($1::uuid[])),
gone AS (DELETE FROM content c WHERE c.id = ANY($1::uuid[]) AND c.id NOT IN (SELECT content FROM kept) RETURNING c.id),
headlines AS (DELETE FROM headline h USING gone WHERE h.content = gone.id)
DELETE FROM content_tag g USING gone WHERE g.content = gone.id`,
		slices.Compact(contents), [16]byte(idFloor(first.Add(-time.Minute))), [16]byte(idFloor(last.Add(time.Minute))))
	return err
}

// PruneJournal deletes old provider events, and then audit entries.
func (d *DB) PruneJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	for _, table := range []string{"provider_event", "audit"} {
		tag, err := d.pool.Exec(ctx, `DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE at < $1 ORDER BY at LIMIT $2)`,
			ceilMillis(before), max(limit-n, 0))
		n += int(tag.RowsAffected())
		if err != nil {
			return n, wrap(ctx, "prune the journal", err)
		}
	}
	return n, nil
}

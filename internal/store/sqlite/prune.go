package sqlite

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
)

// PruneEvents implements [store.Events].
func (d *DB) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	err := d.do(ctx, "prune events", 100*limit, func(tx *tx) error {
		n = 0
		rows, err := tx.rows("SELECT id, message FROM event WHERE id < $1 ORDER BY id LIMIT $2", firstID(before), max(limit, 0))
		if err != nil {
			return err
		}
		all, err := collect[waypost.Event](rows, "read events", func(row scanner, e *waypost.Event) error {
			var message []byte
			err := row.Scan(&e.ID, &message)
			copy(e.Message[:], message)
			return err
		})
		if err != nil {
			return err
		}
		for i := range all {
			if _, err := tx.exec("DELETE FROM event WHERE id = $1", all[i].ID); err != nil {
				return err
			}
			if _, err := tx.exec("DELETE FROM fact_key WHERE message = $1 AND NOT EXISTS (SELECT 1 FROM event WHERE message = $1)", all[i].Message[:]); err != nil {
				return err
			}
		}
		n = len(all)
		return nil
	})
	return n, err
}

// aged is a message past its retention.
type aged struct {
	id, content waypost.UUID
	recipient   string
}

// PruneMessages implements [store.Events]. The messages of one content were
// made within the same moment, so those that may still need it are found by
// the times in their ids.
func (d *DB) PruneMessages(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	err := d.do(ctx, "prune messages", 100*limit, func(tx *tx) error {
		n = 0
		rows, err := tx.rows(`SELECT id, content, recipient FROM message m WHERE id < $1
AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.message = m.id) ORDER BY id LIMIT $2`, firstMessage(before), max(limit, 0))
		if err != nil {
			return err
		}
		all, err := collect(rows, "read messages", func(row scanner, a *aged) error {
			var id, content []byte
			err := row.Scan(&id, &content, &a.recipient)
			copy(a.id[:], id)
			copy(a.content[:], content)
			return err
		})
		if err != nil {
			return err
		}
		contents := map[waypost.UUID]bool{}
		for i := range all {
			if err := tx.forget(&all[i]); err != nil {
				return err
			}
			contents[all[i].content] = true
		}
		for id := range contents {
			if err := tx.forgetContent(id); err != nil {
				return err
			}
		}
		n = len(all)
		return nil
	})
	return n, err
}

func (t *tx) forget(a *aged) error {
	for _, query := range []string{
		"DELETE FROM message WHERE id = $1",
		"DELETE FROM attempt WHERE message = $1",
		"DELETE FROM deferral WHERE message = $1",
	} {
		if _, err := t.exec(query, a.id[:]); err != nil {
			return err
		}
	}
	_, err := t.exec(`DELETE FROM message_to WHERE hash = $1 AND message = $2 AND bucket IN
(WITH RECURSIVE b (n) AS (SELECT max(bucket) FROM message_to UNION ALL SELECT n - 1 FROM b WHERE n > 0) SELECT n FROM b)`,
		recipientHash(a.recipient), a.id[:])
	return err
}

// forgetContent deletes a content that no message needs any more.
func (t *tx) forgetContent(id waypost.UUID) error {
	at := id.Time()
	_, err := t.exec(`DELETE FROM content WHERE id = $1 AND NOT EXISTS
(SELECT 1 FROM message WHERE id >= $2 AND id < $3 AND content = $1)`, id[:], firstMessage(at.Add(-time.Minute)), firstMessage(at.Add(time.Minute)))
	return err
}

// PruneJournal implements [store.Journal].
func (d *DB) PruneJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	total := 0
	for _, table := range []string{"provider_event", "audit"} {
		n, err := d.prune(ctx, "prune the journal", "DELETE FROM "+table+" WHERE id IN (SELECT id FROM "+table+" WHERE at < $1 ORDER BY at LIMIT $2)",
			before.UnixMilli(), max(limit-total, 0))
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

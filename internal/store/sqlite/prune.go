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
		return tx.pruneQueueIDs(before)
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
		for i := range all {
			if err := tx.forget(&all[i]); err != nil {
				return err
			}
		}
		if err := tx.forgetContents(all); err != nil {
			return err
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
		"DELETE FROM transcript WHERE message = $1",
		"DELETE FROM deferral WHERE message = $1",
		"DELETE FROM unsettled WHERE message = $1",
	} {
		if _, err := t.exec(query, a.id[:]); err != nil {
			return err
		}
	}
	return t.unfindable(a)
}

// unfindable takes a message out of message_to. Buckets are filled in the order
// of acceptance and emptied from the oldest, so it is in one of the first.
func (t *tx) unfindable(a *aged) error {
	hash, at := recipientHash(a.recipient), int64(-1)
	for {
		there, err := t.row("SELECT bucket FROM message_to WHERE bucket > $1 ORDER BY bucket LIMIT 1", []any{at}, &at)
		if err != nil || !there {
			return err
		}
		n, err := t.exec("DELETE FROM message_to WHERE bucket = $1 AND hash = $2 AND message = $3", at, hash, a.id[:])
		if err != nil || n > 0 {
			return err
		}
	}
}

// forgetContents deletes the contents of deleted messages that no other message
// needs. Those that may are read once for all.
func (t *tx) forgetContents(all []aged) error {
	if len(all) == 0 {
		return nil
	}
	unused := map[waypost.UUID]bool{}
	first, last := all[0].content.Time(), all[0].content.Time()
	for i := range all {
		unused[all[i].content] = true
		if at := all[i].content.Time(); at.Before(first) {
			first = at
		} else if at.After(last) {
			last = at
		}
	}
	rows, err := t.rows("SELECT DISTINCT content FROM message WHERE id >= $1 AND id < $2",
		firstMessage(first.Add(-time.Minute)), firstMessage(last.Add(time.Minute)))
	if err != nil {
		return err
	}
	used, err := collect(rows, "read contents in use", func(row scanner, id *waypost.UUID) error {
		var content []byte
		err := row.Scan(&content)
		copy(id[:], content)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range used {
		delete(unused, id)
	}
	for id := range unused {
		for _, query := range []string{
			"DELETE FROM content WHERE id = $1", "DELETE FROM headline WHERE content = $1", "DELETE FROM content_tag WHERE content = $1",
		} {
			if _, err := t.exec(query, id[:]); err != nil {
				return err
			}
		}
	}
	return nil
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

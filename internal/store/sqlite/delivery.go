package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// nextDelivery finds the head of the first webhook behind the one given.
const nextDelivery = `SELECT webhook, due FROM delivery INDEXED BY delivery_due
WHERE state = 0 AND webhook > $1 ORDER BY webhook, due LIMIT 1`

// DeliveryHeads implements [store.Webhooks], with one seek a webhook.
func (d *DB) DeliveryHeads(ctx context.Context) ([]store.DeliveryHead, error) {
	var out []store.DeliveryHead
	at := int64(-1)
	for {
		h, err := one(ctx, d, "list webhooks with work", func(row scanner, h *store.DeliveryHead) error {
			var due int64
			err := row.Scan(&h.Webhook, &due)
			h.Due = moment(due)
			return err
		}, nextDelivery, at)
		if errors.Is(err, store.ErrNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out, at = append(out, h), h.Webhook
	}
}

const deliveryColumns = "id, account, webhook, event, message, created, due, last_at, took, attempt, status, state, error"

func scanDelivery(row scanner, v *waypost.Delivery) error {
	var message []byte
	var created, due, last, took int64
	if err := row.Scan(&v.ID, &v.Account, &v.Webhook, &v.Event, &message, &created, &due, &last, &took, &v.Attempt, &v.Status,
		&v.State, &v.Error); err != nil {
		return err
	}
	copy(v.Message[:], message)
	v.Created, v.Due, v.LastAt, v.Took = moment(created), moment(due), moment(last), time.Duration(took)
	return nil
}

// ClaimDeliveries implements [store.Webhooks]. A delivery whose event is past
// its retention is finished as a dead letter, as there is nothing to tell. The
// end of a lease is its mark: who claims it again does so after that end, and
// has a later one.
func (d *DB) ClaimDeliveries(ctx context.Context, webhook int64, now time.Time, limit int, until time.Time) ([]store.ClaimedDelivery, error) {
	var out []store.ClaimedDelivery
	err := d.do(ctx, fmt.Sprintf("claim deliveries of webhook %d", webhook), 0, func(tx *tx) (err error) {
		out, err = tx.claimDeliveries(webhook, now.UnixMilli(), min(max(limit, 1), 1000), until.UnixMilli())
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (t *tx) claimDeliveries(webhook, now int64, limit int, until int64) ([]store.ClaimedDelivery, error) {
	rows, err := t.rows("SELECT "+deliveryColumns+` FROM delivery INDEXED BY delivery_due
WHERE webhook = $1 AND state = 0 AND due <= $2 ORDER BY due, id LIMIT $3`, webhook, now, limit)
	if err != nil {
		return nil, err
	}
	all, err := collect[waypost.Delivery](rows, "read deliveries", scanDelivery)
	if err != nil {
		return nil, err
	}
	events, err := t.eventsOf(all)
	if err != nil {
		return nil, err
	}
	var out []store.ClaimedDelivery
	for i := range all {
		v := &all[i]
		e, ok := events[v.Event]
		if !ok {
			if _, err := t.exec("UPDATE delivery SET state = $1, last_at = $2, error = 'the event is past its retention' WHERE id = $3",
				int64(waypost.DeliveryDead), now, v.ID); err != nil {
				return nil, err
			}
			continue
		}
		if _, err := t.exec("UPDATE delivery SET due = $1 WHERE id = $2", until, v.ID); err != nil {
			return nil, err
		}
		v.Due, v.Lease = moment(until), until
		out = append(out, store.ClaimedDelivery{Delivery: *v, Event: e})
	}
	return out, nil
}

// eventsOf reads the events that deliveries are about.
func (t *tx) eventsOf(all []waypost.Delivery) (map[int64]waypost.Event, error) {
	out := make(map[int64]waypost.Event, len(all))
	if len(all) == 0 {
		return out, nil
	}
	in, args := among(all, 0, func(v *waypost.Delivery) any { return v.Event })
	rows, err := t.rows(selectEvent+" WHERE id IN ("+in+")", args...)
	if err != nil {
		return nil, err
	}
	events, err := collect[waypost.Event](rows, "read events", scanEvent)
	for _, e := range events {
		out[e.ID] = e
	}
	return out, err
}

// FinishDeliveries implements [store.Webhooks].
func (d *DB) FinishDeliveries(ctx context.Context, all []waypost.Delivery, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	return d.do(ctx, "finish deliveries", 200*len(all), func(tx *tx) error {
		for i := range all {
			if err := tx.finishDelivery(&all[i], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// finishDelivery notes one attempt of a delivery that is still held by the
// lease that it was claimed under, or puts it back unattempted.
func (t *tx) finishDelivery(v *waypost.Delivery, now time.Time) error {
	n, err := t.exec(`UPDATE delivery SET state = $1, attempt = $2, due = $3, last_at = $4, status = $5, error = $6, took = $7
WHERE id = $8 AND state = 0 AND due = $9`, int64(v.State), v.Attempt, millis(v.Due), millis(v.LastAt), v.Status, v.Error,
		int64(v.Took), v.ID, v.Lease)
	if err != nil || n == 0 || v.Webhook == 0 {
		return err
	}
	if v.State == waypost.DeliveryDone {
		_, err = t.exec(`UPDATE webhook SET delivered = delivered + 1, failures = 0,
state = CASE state WHEN 'disabled' THEN state ELSE 'active' END WHERE id = $1`, v.Webhook)
		return err
	}
	var failures int
	if _, err := t.exec("UPDATE webhook SET failed = failed + 1, failures = failures + 1 WHERE id = $1", v.Webhook); err != nil {
		return err
	}
	there, err := t.row("SELECT failures FROM webhook WHERE id = $1 AND enabled = 1", []any{v.Webhook}, &failures)
	if err != nil || !there {
		return err
	}
	switch {
	case failures >= waypost.DisabledAfter:
		reason := fmt.Sprintf("%d attempts in a row failed, at last: %s", failures, v.Error)
		if _, err := t.exec("UPDATE webhook SET state = $1, enabled = 0, disabled_at = $2, disabled_reason = $3 WHERE id = $4",
			string(waypost.WebhookDisabled), millis(now), reason, v.Webhook); err != nil {
			return err
		}
		return t.hooksChanged()
	case failures >= waypost.DegradedAfter:
		_, err = t.exec("UPDATE webhook SET state = $1 WHERE id = $2", string(waypost.WebhookDegraded), v.Webhook)
	}
	return err
}

// ListDeliveries implements [store.Webhooks].
func (d *DB) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]waypost.Delivery, error) {
	f := &filter{}
	f.and("account = ?", q.Account)
	f.and("webhook = ?", q.Webhook)
	if q.State != nil {
		f.and("state = ?", int64(*q.State))
	}
	if q.Before != 0 {
		f.and("id < ?", q.Before)
	}
	return list(ctx, d, "list deliveries", scanDelivery,
		"SELECT "+deliveryColumns+" FROM delivery"+f.where()+" ORDER BY id DESC"+f.page(q.Limit, 0), f.args...)
}

const replayDelivery = `UPDATE delivery SET state = 0, attempt = 0, due = $1, last_at = 0, status = 0, error = '', took = 0
WHERE account = $2 AND webhook = $3 AND state <> 0 AND id = $4`

// ReplayDeliveries implements [store.Webhooks].
func (d *DB) ReplayDeliveries(ctx context.Context, account, webhook int64, ids []int64, now time.Time) (int, error) {
	if len(ids) == 0 {
		return d.prune(ctx, "replay dead letters", `UPDATE delivery SET state = 0, attempt = 0, due = $1, last_at = 0, status = 0, error = '',
took = 0 WHERE id IN (SELECT id FROM delivery WHERE account = $2 AND webhook = $3 AND state = 2 ORDER BY id LIMIT 10000)`,
			now.UnixMilli(), account, webhook)
	}
	total := 0
	err := d.do(ctx, "replay deliveries", 100*len(ids), func(tx *tx) error {
		total = 0
		for _, id := range ids {
			n, err := tx.exec(replayDelivery, now.UnixMilli(), account, webhook, id)
			if err != nil {
				return err
			}
			total += int(n)
		}
		return nil
	})
	return total, err
}

// PruneDeliveries implements [store.Webhooks].
func (d *DB) PruneDeliveries(ctx context.Context, done, dead time.Time, limit int) (int, error) {
	return d.prune(ctx, "prune deliveries", `DELETE FROM delivery WHERE id IN (SELECT id FROM (
SELECT id FROM delivery WHERE state = 1 AND last_at < $1 UNION ALL SELECT id FROM delivery WHERE state = 2 AND last_at < $2) LIMIT $3)`,
		done.UnixMilli(), dead.UnixMilli(), max(limit, 0))
}

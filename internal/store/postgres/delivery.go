package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const deliveryColumns = `d.id, d.account, d.webhook, d.event, d.message, d.created, d.due, d.last_at, d.took, d.attempt, d.status,
d.state, d.error`

func scanDelivery(row pgx.CollectableRow) (d waypost.Delivery, err error) {
	var created, due, last int64
	err = row.Scan(&d.ID, &d.Account, &d.Webhook, &d.Event, into(&d.Message), &created, &due, &last, (*int64)(&d.Took), &d.Attempt,
		&d.Status, (*int16)(&d.State), &d.Error)
	d.Created, d.Due, d.LastAt = moment(created), moment(due), moment(last)
	return d, err
}

// DeliveryHeads asks for the first waiting delivery of each webhook.
func (d *DB) DeliveryHeads(ctx context.Context) ([]store.DeliveryHead, error) {
	return list(ctx, d, "list the webhooks with deliveries", func(row pgx.CollectableRow) (h store.DeliveryHead, err error) {
		var due int64
		err = row.Scan(&h.Webhook, &due)
		h.Due = moment(due)
		return h, err
	}, `SELECT w.id, h.due FROM (SELECT id FROM webhook UNION ALL SELECT 0) w CROSS JOIN LATERAL (
  SELECT due FROM delivery WHERE webhook = w.id AND state = 0 ORDER BY due, id LIMIT 1) h ORDER BY w.id`)
}

const claimDeliveries = `WITH picked AS MATERIALIZED (
  SELECT id, due FROM delivery WHERE webhook = $1 AND state = 0 AND due <= $2 ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED
), held AS (
  UPDATE delivery d SET due = $4, lease = $5 FROM picked p WHERE d.id = p.id RETURNING ` + deliveryColumns + `, p.due AS was
) SELECT ` + deliveryColumns + ` FROM held d ORDER BY d.was, d.id`

// ClaimDeliveries leases due deliveries and reads their events. A delivery
// whose event was pruned meanwhile becomes a dead letter.
func (d *DB) ClaimDeliveries(ctx context.Context, webhook int64, now time.Time, limit int, until time.Time) ([]store.ClaimedDelivery, error) {
	const act = "claim deliveries"
	lease := d.ids.next()
	held, err := list(ctx, d, act, scanDelivery, claimDeliveries, webhook, now.UnixMilli(), min(max(limit, 1), 1000), millis(until), lease)
	if err != nil || len(held) == 0 {
		return nil, err
	}
	messages, ids := make([]pgtype.UUID, len(held)), make([]int64, len(held))
	for i := range held {
		messages[i], ids[i] = uuid(held[i].Message), held[i].Event
	}
	all, err := list(ctx, d, act, scanEvent, `SELECT `+eventColumns+` FROM unnest($1::uuid[], $2::bigint[]) AS v(message, id)
JOIN event e ON e.message = v.message AND e.id = v.id`, messages, ids)
	if err != nil {
		return nil, err
	}
	events := make(map[int64]waypost.Event, len(all))
	for i := range all {
		events[all[i].ID] = all[i]
	}
	var out []store.ClaimedDelivery
	var gone []int64
	for _, h := range held {
		e, ok := events[h.Event]
		if !ok {
			gone = append(gone, h.ID)
			continue
		}
		h.Lease = lease
		out = append(out, store.ClaimedDelivery{Delivery: h, Event: e})
	}
	if len(gone) > 0 {
		_, err = d.pool.Exec(ctx, `UPDATE delivery SET state = $1, last_at = $2, error = 'its event is older than events are kept'
WHERE id = ANY($3) AND lease = $4`, int16(waypost.DeliveryDead), now.UnixMilli(), gone, lease)
	}
	return out, wrap(ctx, act, err)
}

const finishDeliveries = `UPDATE delivery d SET state = v.state, attempt = v.attempt, due = v.due, last_at = v.last_at, status = v.status,
  error = v.error, took = v.took, lease = 0
FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::int[], $5::bigint[], $6::bigint[], $7::int[], $8::text[], $9::bigint[])
  AS v(id, lease, state, attempt, due, last_at, status, error, took)
WHERE d.id = v.id AND d.lease = v.lease AND d.lease <> 0 AND d.state = 0
RETURNING d.id`

// FinishDeliveries notes attempts. The webhooks are locked first, as
// DeleteWebhook does.
func (d *DB) FinishDeliveries(ctx context.Context, all []waypost.Delivery, now time.Time) error {
	if len(all) == 0 {
		return ctx.Err()
	}
	stopped := false
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		hooks, err := lockWebhooks(ctx, tx, all)
		if err != nil {
			return err
		}
		noted, err := noteDeliveries(ctx, tx, all)
		if err != nil {
			return err
		}
		for i := range all {
			if w := hooks[all[i].Webhook]; w != nil && noted[all[i].ID] {
				was := w.Enabled
				w.Attempted(&all[i], now)
				stopped = stopped || was != w.Enabled
			}
		}
		return saveWebhooks(ctx, tx, hooks)
	})
	if err == nil && stopped {
		d.hooksChanged(ctx)
	}
	return wrap(ctx, "note deliveries", err)
}

// lockWebhooks reads the webhooks of deliveries under a lock.
func lockWebhooks(ctx context.Context, tx pgx.Tx, all []waypost.Delivery) (map[int64]*waypost.Webhook, error) {
	ids := make([]int64, len(all))
	for i := range all {
		ids[i] = all[i].Webhook
	}
	rows, err := tx.Query(ctx, `SELECT `+webhookColumns+` FROM webhook WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, scanWebhook)
	hooks := make(map[int64]*waypost.Webhook, len(list))
	for i := range list {
		hooks[list[i].ID] = &list[i]
	}
	return hooks, err
}

// noteDeliveries stores what became of deliveries and gives the ids of those
// that were still held.
func noteDeliveries(ctx context.Context, tx pgx.Tx, all []waypost.Delivery) (map[int64]bool, error) {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b waypost.Delivery) int { return cmp.Compare(a.ID, b.ID) })
	sorted = slices.CompactFunc(sorted, func(a, b waypost.Delivery) bool { return a.ID == b.ID })
	var ids, leases, due, last, took []int64
	var states []int16
	var attempts, status []int32
	var texts []string
	for i := range sorted {
		v := &sorted[i]
		ids, leases, states = append(ids, v.ID), append(leases, v.Lease), append(states, int16(v.State))
		attempts, due, last = append(attempts, int32(v.Attempt)), append(due, millis(v.Due)), append(last, millis(v.LastAt))
		status, texts, took = append(status, int32(v.Status)), append(texts, clean(v.Error)), append(took, int64(v.Took))
	}
	rows, err := tx.Query(ctx, finishDeliveries, ids, leases, states, attempts, due, last, status, texts, took)
	if err != nil {
		return nil, err
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	noted := make(map[int64]bool, len(held))
	for _, id := range held {
		noted[id] = true
	}
	return noted, err
}

func saveWebhooks(ctx context.Context, tx pgx.Tx, hooks map[int64]*waypost.Webhook) error {
	var b pgx.Batch
	for _, w := range hooks {
		b.Queue(`UPDATE webhook SET enabled = $2, state = $3, failures = $4, delivered = $5, failed = $6, disabled_at = $7,
disabled_reason = $8 WHERE id = $1`, w.ID, w.Enabled, string(w.State), w.Failures, w.Delivered, w.Failed, millis(w.DisabledAt),
			clean(w.DisabledReason))
	}
	return tx.SendBatch(ctx, &b).Close()
}

// ListDeliveries lists deliveries, newest first.
func (d *DB) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]waypost.Delivery, error) {
	f := &filter{}
	f.and("d.account = ?", q.Account)
	f.and("d.webhook = ?", q.Webhook)
	if q.State != nil {
		f.and("d.state = ?", int16(*q.State))
	}
	if q.Before != 0 {
		f.and("d.id < ?", q.Before)
	}
	return list(ctx, d, "list deliveries", scanDelivery, `SELECT `+deliveryColumns+` FROM delivery d`+f.where()+
		` ORDER BY d.id DESC`+f.page(q.Limit, 0), append([]any{planned}, f.args...)...)
}

// maxReplayed is how many dead letters one call lets wait again.
const maxReplayed = 10_000

// ReplayDeliveries makes finished deliveries wait again.
func (d *DB) ReplayDeliveries(ctx context.Context, account, webhook int64, ids []int64, now time.Time) (int, error) {
	pick := ` AND state = 2`
	args := []any{account, webhook, now.UnixMilli(), maxReplayed}
	if len(ids) > 0 {
		pick, args = ` AND state <> 0 AND id = ANY($5)`, append(args, ids)
	}
	tag, err := d.pool.Exec(ctx, `UPDATE delivery SET state = 0, attempt = 0, due = $3, last_at = 0, status = 0, error = '', took = 0, lease = 0
WHERE id IN (SELECT id FROM delivery WHERE account = $1 AND webhook = $2`+pick+` ORDER BY id LIMIT $4 FOR UPDATE)`, args...)
	return int(tag.RowsAffected()), wrap(ctx, "replay deliveries", err)
}

// pruneDeliveries also finds what waits for webhooks that are gone.
const pruneDeliveries = `WITH RECURSIVE head AS (
  (SELECT webhook FROM delivery WHERE state = 0 ORDER BY webhook LIMIT 1)
  UNION ALL
  SELECT n.webhook FROM head h CROSS JOIN LATERAL (
    SELECT webhook FROM delivery WHERE state = 0 AND webhook > h.webhook ORDER BY webhook LIMIT 1) n
), old AS (
  SELECT id FROM delivery WHERE state = 1 AND last_at < $1
  UNION ALL
  SELECT id FROM delivery WHERE state = 2 AND last_at < $2
  UNION ALL
  SELECT d.id FROM head h JOIN delivery d ON d.webhook = h.webhook AND d.state = 0
  WHERE h.webhook <> 0 AND NOT EXISTS (SELECT FROM webhook w WHERE w.id = h.webhook)
  LIMIT $3
) DELETE FROM delivery d USING old WHERE d.id = old.id`

// PruneDeliveries deletes deliveries that were finished long ago.
func (d *DB) PruneDeliveries(ctx context.Context, done, dead time.Time, limit int) (int, error) {
	tag, err := d.pool.Exec(ctx, pruneDeliveries, millis(done), millis(dead), max(limit, 0))
	return int(tag.RowsAffected()), wrap(ctx, "prune deliveries", err)
}

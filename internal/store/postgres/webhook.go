package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const webhookColumns = `id, account, uuid, url, enabled, wants, secret, created, updated, state, failures, delivered, failed,
disabled_at, disabled_reason`

func scanWebhook(row pgx.CollectableRow) (w waypost.Webhook, err error) {
	var created, updated, disabled int64
	err = row.Scan(&w.ID, &w.Account, into(&w.UUID), &w.URL, &w.Enabled, (*int32)(&w.Wants), (*[]byte)(&w.Secret), &created, &updated,
		(*string)(&w.State), &w.Failures, &w.Delivered, &w.Failed, &disabled, &w.DisabledReason)
	w.Created, w.Updated, w.DisabledAt = moment(created), moment(updated), moment(disabled)
	return w, err
}

// CreateWebhook stores a webhook.
func (d *DB) CreateWebhook(ctx context.Context, w *waypost.Webhook) error {
	err := d.pool.QueryRow(ctx, `INSERT INTO webhook (account, uuid, url, enabled, wants, secret, created, updated, state, failures,
delivered, failed, disabled_at, disabled_reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`,
		w.Account, [16]byte(w.UUID), clean(w.URL), w.Enabled, int32(w.Wants), []byte(w.Secret), millis(w.Created), millis(w.Updated),
		clean(string(w.State)), w.Failures, w.Delivered, w.Failed, millis(w.DisabledAt), clean(w.DisabledReason)).Scan(&w.ID)
	if err == nil {
		d.hooksChanged(ctx)
	}
	return wrap(ctx, "create a webhook", err)
}

// UpdateWebhook stores what people, and a worker that stops it, change.
func (d *DB) UpdateWebhook(ctx context.Context, w *waypost.Webhook) error {
	err := d.change(ctx, fmt.Sprintf("update webhook %d", w.ID), `UPDATE webhook SET url = $3, enabled = $4, wants = $5, secret = $6,
updated = $7, state = $8, failures = $9, disabled_at = $10, disabled_reason = $11 WHERE id = $1 AND account = $2`,
		w.ID, w.Account, clean(w.URL), w.Enabled, int32(w.Wants), []byte(w.Secret), millis(w.Updated), clean(string(w.State)),
		w.Failures, millis(w.DisabledAt), clean(w.DisabledReason))
	if err == nil {
		d.hooksChanged(ctx)
	}
	return err
}

// DeleteWebhook removes a webhook with its deliveries. What another node adds
// for it in the seconds until it knows is left to PruneDeliveries.
func (d *DB) DeleteWebhook(ctx context.Context, account, id int64) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if err := changed(tx.Exec(ctx, `DELETE FROM webhook WHERE id = $1 AND account = $2`, id, account)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM delivery WHERE account = $1 AND webhook = $2`, account, id)
		return err
	})
	if err == nil {
		d.hooksChanged(ctx)
	}
	return wrap(ctx, fmt.Sprintf("delete webhook %d", id), err)
}

// Webhook finds a webhook of an account.
func (d *DB) Webhook(ctx context.Context, account, id int64) (waypost.Webhook, error) {
	return one(ctx, d, fmt.Sprintf("webhook %d", id), scanWebhook,
		`SELECT `+webhookColumns+` FROM webhook WHERE id = $1 AND account = $2`, id, account)
}

// AnyWebhook finds a webhook of whatever account.
func (d *DB) AnyWebhook(ctx context.Context, id int64) (waypost.Webhook, error) {
	return one(ctx, d, fmt.Sprintf("webhook %d", id), scanWebhook, `SELECT `+webhookColumns+` FROM webhook WHERE id = $1`, id)
}

// Webhooks lists the webhooks of an account.
func (d *DB) Webhooks(ctx context.Context, account int64, p store.Page) ([]waypost.Webhook, error) {
	limit, offset, search := page(p)
	return list(ctx, d, "list webhooks", scanWebhook, `SELECT `+webhookColumns+` FROM webhook WHERE account = $1
AND ($2 = '' OR strpos(lower(url), lower($2)) > 0) ORDER BY id LIMIT $3 OFFSET $4`, account, search, limit, offset)
}

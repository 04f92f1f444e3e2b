package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// hook is an enabled webhook and what it wants, in the committer's memory, so
// that an event that nobody wants costs nothing.
type hook struct {
	id    int64
	wants waypost.WebhookFlags
}

// readHooks reads what the webhooks want, when the database is opened.
func (d *DB) readHooks(ctx context.Context) error {
	rows, err := d.conn.QueryContext(ctx, "SELECT account, id, wants FROM webhook WHERE enabled = 1 ORDER BY id")
	if err != nil {
		return wrap("read webhooks", err)
	}
	return d.keepHooks(rows)
}

// hooksChanged reads them again within the transaction that changed them, and
// once more when it is rolled back.
func (t *tx) hooksChanged() error {
	rows, err := t.rows("SELECT account, id, wants FROM webhook WHERE enabled = 1 ORDER BY id")
	if err != nil {
		return err
	}
	before := t.db.hooks
	t.onRollback(func() { t.db.hooks = before })
	return t.db.keepHooks(rows)
}

type hookRow struct {
	account int64
	hook
}

func (d *DB) keepHooks(rows *sql.Rows) error {
	all, err := collect(rows, "read webhooks", func(row scanner, h *hookRow) error { return row.Scan(&h.account, &h.id, &h.wants) })
	if err != nil {
		return err
	}
	d.hooks = map[int64][]hook{}
	for _, h := range all {
		d.hooks[h.account] = append(d.hooks[h.account], h.hook)
	}
	return nil
}

// tell stores a delivery for each webhook that wants an event, or one for the
// endpoint of the message's own call.
func (t *tx) tell(e *waypost.Event, id int64) error {
	if e.Facets.OwnWebhook {
		if e.Stat() == waypost.StatNone {
			return nil
		}
		return t.deliver(0, e, id)
	}
	for _, h := range t.db.hooks[e.Account] {
		if h.wants.Want(e) {
			if err := t.deliver(h.id, e, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) deliver(webhook int64, e *waypost.Event, id int64) error {
	now := t.db.now().UnixMilli()
	_, err := t.exec("INSERT INTO delivery (account, webhook, event, message, created, due) VALUES ($1, $2, $3, $4, $5, $5)",
		e.Account, webhook, id, e.Message[:], now)
	if err != nil {
		return fmt.Errorf("delivery to webhook %d: %w", webhook, err)
	}
	return nil
}

// CreateWebhook implements [store.Webhooks].
func (d *DB) CreateWebhook(ctx context.Context, w *waypost.Webhook) error {
	return d.do(ctx, "create a webhook", 0, func(tx *tx) (err error) {
		w.ID, err = tx.insert(`INSERT INTO webhook (account, uuid, url, enabled, wants, secret, created, updated, state, failures, delivered,
failed, disabled_at, disabled_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			w.Account, w.UUID[:], w.URL, w.Enabled, int64(w.Wants), []byte(w.Secret), millis(w.Created), millis(w.Updated),
			string(w.State), w.Failures, w.Delivered, w.Failed, millis(w.DisabledAt), w.DisabledReason)
		if err != nil {
			return err
		}
		return tx.hooksChanged()
	})
}

// UpdateWebhook implements [store.Webhooks].
func (d *DB) UpdateWebhook(ctx context.Context, w *waypost.Webhook) error {
	return d.do(ctx, fmt.Sprintf("update webhook %d", w.ID), 0, func(tx *tx) error {
		n, err := tx.exec(`UPDATE webhook SET url = $1, enabled = $2, wants = $3, secret = $4, updated = $5, state = $6, failures = $7,
disabled_at = $8, disabled_reason = $9 WHERE id = $10 AND account = $11`, w.URL, w.Enabled, int64(w.Wants), []byte(w.Secret),
			millis(w.Updated), string(w.State), w.Failures, millis(w.DisabledAt), w.DisabledReason, w.ID, w.Account)
		if err = found(n, taken(err)); err != nil {
			return err
		}
		return tx.hooksChanged()
	})
}

// DeleteWebhook implements [store.Webhooks].
func (d *DB) DeleteWebhook(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete webhook %d", id), 0, func(tx *tx) error {
		if err := found(tx.exec("DELETE FROM webhook WHERE id = $1 AND account = $2", id, account)); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM delivery WHERE account = $1 AND webhook = $2", account, id); err != nil {
			return err
		}
		return tx.hooksChanged()
	})
}

const selectWebhook = `SELECT id, account, uuid, url, enabled, wants, secret, created, updated, state, failures, delivered, failed,
disabled_at, disabled_reason FROM webhook`

func scanWebhook(row scanner, w *waypost.Webhook) error {
	var id, secret []byte
	var created, updated, disabled int64
	if err := row.Scan(&w.ID, &w.Account, &id, &w.URL, &w.Enabled, &w.Wants, &secret, &created, &updated, &w.State, &w.Failures,
		&w.Delivered, &w.Failed, &disabled, &w.DisabledReason); err != nil {
		return err
	}
	copy(w.UUID[:], id)
	w.Secret, w.Created, w.Updated, w.DisabledAt = secret, moment(created), moment(updated), moment(disabled)
	return nil
}

// Webhook implements [store.Webhooks].
func (d *DB) Webhook(ctx context.Context, account, id int64) (waypost.Webhook, error) {
	return one(ctx, d, "find a webhook", scanWebhook, selectWebhook+" WHERE id = $1 AND account = $2", id, account)
}

// AnyWebhook implements [store.Webhooks].
func (d *DB) AnyWebhook(ctx context.Context, id int64) (waypost.Webhook, error) {
	return one(ctx, d, "find a webhook", scanWebhook, selectWebhook+" WHERE id = $1", id)
}

// Webhooks implements [store.Webhooks].
func (d *DB) Webhooks(ctx context.Context, account int64, p store.Page) ([]waypost.Webhook, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list webhooks", scanWebhook, selectWebhook+` WHERE account = $1 AND url LIKE $2 ESCAPE '\' ORDER BY id LIMIT $3 OFFSET $4`,
		account, like, limit, offset)
}

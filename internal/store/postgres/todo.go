package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// TODO(contract): every method here is still to be written; the file goes when it is empty.
var errTodo = errors.New("not written yet")

func (d *DB) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneMessages(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) CreateWebhook(ctx context.Context, w *waypost.Webhook) error { return errTodo }

func (d *DB) UpdateWebhook(ctx context.Context, w *waypost.Webhook) error { return errTodo }

func (d *DB) DeleteWebhook(ctx context.Context, account, id int64) error { return errTodo }

func (d *DB) Webhook(ctx context.Context, account, id int64) (waypost.Webhook, error) {
	return waypost.Webhook{}, errTodo
}

func (d *DB) AnyWebhook(ctx context.Context, id int64) (waypost.Webhook, error) {
	return waypost.Webhook{}, errTodo
}

func (d *DB) Webhooks(ctx context.Context, account int64, p store.Page) ([]waypost.Webhook, error) {
	return nil, errTodo
}

func (d *DB) DeliveryHeads(ctx context.Context) ([]store.DeliveryHead, error) { return nil, errTodo }

func (d *DB) ClaimDeliveries(ctx context.Context, webhook int64, now time.Time, limit int, until time.Time) ([]store.ClaimedDelivery, error) {
	return nil, errTodo
}

func (d *DB) FinishDeliveries(ctx context.Context, all []waypost.Delivery, now time.Time) error {
	return errTodo
}

func (d *DB) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]waypost.Delivery, error) {
	return nil, errTodo
}

func (d *DB) ReplayDeliveries(ctx context.Context, account, webhook int64, ids []int64, now time.Time) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneDeliveries(ctx context.Context, done, dead time.Time, limit int) (int, error) {
	return 0, errTodo
}

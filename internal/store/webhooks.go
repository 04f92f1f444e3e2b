package store

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
)

// Webhooks keeps the URLs that are told of events, and what is on its way to
// them.
//
// A delivery is stored in the transaction of its event, one for each enabled
// webhook of the account that wants it ([waypost.WebhookFlags.Want]); or, when
// the event's Facets say that the call named an endpoint of its own, a single
// one with Webhook 0. A change of a webhook holds at once on its node and
// within five seconds on others.
type Webhooks interface {
	// CreateWebhook stores a webhook. ErrExists when the account has its URL.
	CreateWebhook(ctx context.Context, w *waypost.Webhook) error
	// UpdateWebhook stores URL, Enabled, Wants, Secret, Updated, State,
	// Failures, DisabledAt and DisabledReason. ErrNotFound, or ErrExists when
	// the new URL is taken.
	UpdateWebhook(ctx context.Context, w *waypost.Webhook) error
	// DeleteWebhook removes a webhook with its deliveries.
	DeleteWebhook(ctx context.Context, account, id int64) error
	Webhook(ctx context.Context, account, id int64) (waypost.Webhook, error)
	// AnyWebhook finds a webhook of whatever account: for its worker.
	AnyWebhook(ctx context.Context, id int64) (waypost.Webhook, error)
	// Webhooks lists webhooks in the order of creation; Search is part of the URL.
	Webhooks(ctx context.Context, account int64, p Page) ([]waypost.Webhook, error)

	// DeliveryHeads lists the webhooks that have deliveries waiting, with the
	// earliest due time of each. Its cost depends on the number of webhooks.
	DeliveryHeads(ctx context.Context) ([]DeliveryHead, error)
	// ClaimDeliveries leases up to limit due deliveries of a webhook, oldest
	// first: they are due again at until unless they are finished.
	ClaimDeliveries(ctx context.Context, webhook int64, now time.Time, limit int, until time.Time) ([]ClaimedDelivery, error)
	// FinishDeliveries notes attempts in one transaction: each delivery's
	// State, Attempt, Due, LastAt, Status, Error and Took, and on its webhook
	// the counters, Failures, State, Enabled, DisabledAt and DisabledReason by
	// the rules of D-38. A delivery that is gone or was claimed again since is
	// passed over. One for the endpoint of a single call may go back with its
	// Attempt unchanged, due later.
	FinishDeliveries(ctx context.Context, all []waypost.Delivery, now time.Time) error
	// ListDeliveries lists deliveries, newest first.
	ListDeliveries(ctx context.Context, q DeliveryQuery) ([]waypost.Delivery, error)
	// ReplayDeliveries makes finished deliveries wait again, due now, as if
	// none had been attempted, and tells how many: those listed, or else every
	// dead letter of the webhook, at most 10,000.
	ReplayDeliveries(ctx context.Context, account, webhook int64, ids []int64, now time.Time) (int, error)
	// PruneDeliveries deletes up to limit deliveries that were finished before
	// a time: done ones before done, dead letters before dead.
	PruneDeliveries(ctx context.Context, done, dead time.Time, limit int) (int, error)
}

// DeliveryHead says when a webhook has work; Webhook is 0 for the endpoints of
// single calls.
type DeliveryHead struct {
	Webhook int64
	Due     time.Time
}

// ClaimedDelivery is a delivery with the event it is about.
type ClaimedDelivery struct {
	Delivery waypost.Delivery // Due is the end of its lease
	Event    waypost.Event
}

// DeliveryQuery selects deliveries of a webhook.
type DeliveryQuery struct {
	Account int64
	Webhook int64 // 0: of the endpoints of single calls
	State   *waypost.DeliveryState
	Before  int64 // only ids below it; 0: from the newest
	Limit   int   // 1 to 1000
}

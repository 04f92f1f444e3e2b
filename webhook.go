package waypost

import (
	"fmt"
	"time"
)

// Webhook is a URL of a customer's that is told of events (sendpost.md, f).
type Webhook struct {
	ID      int64
	Account int64
	UUID    UUID   // X-SendPost-Webhook-Id
	URL     string // unique in the account
	Enabled bool
	Wants   WebhookFlags
	Secret  Sealed // key of the Standard Webhooks signature
	Created time.Time
	Updated time.Time

	// What its deliveries were like; moved by the store with each attempt.
	State          WebhookState
	Failures       int // in a row
	Delivered      int64
	Failed         int64 // attempts, not events
	DisabledAt     time.Time
	DisabledReason string
}

// WebhookFlags says which events a webhook is told of. Stored as bits.
type WebhookFlags int32

// The flags, in the order of the wire contract.
const (
	WantProcessed WebhookFlags = 1 << iota
	WantDelivered
	WantDropped
	WantSoftBounced
	WantHardBounced
	WantOpened
	WantClicked
	WantUnsubscribed
	WantSpam
	WantSent
	WantSMTPDropped
	WantUniqueOpen  // of opens, a person's first alone
	WantUniqueClick // of clicks, a person's first alone
)

// How a webhook is told, in the same bits. Without them payloads are those of
// the contract legacy, with the numbers 58 to 68 (D-38).
const (
	PayloadV1   WebhookFlags = 1 << (20 + iota) // payloads of the contract v1
	NativeTypes                                 // the numbers 0 to 10
)

var wantOfStat = map[Stat]WebhookFlags{
	StatProcessed: WantProcessed, StatDelivered: WantDelivered, StatDropped: WantDropped,
	StatSoftBounced: WantSoftBounced, StatHardBounced: WantHardBounced, StatOpened: WantOpened,
	StatClicked: WantClicked, StatUnsubscribed: WantUnsubscribed, StatSpam: WantSpam,
	StatSent: WantSent, StatSMTPDropped: WantSMTPDropped,
}

// Want tells whether the event is one of those asked for (D-36). Evidence is
// told to nobody.
func (f WebhookFlags) Want(e *Event) bool {
	s := e.Stat()
	first := e.Visit != nil && e.Visit.First
	switch {
	case s == StatOpened && f&WantUniqueOpen != 0, s == StatClicked && f&WantUniqueClick != 0:
		return first
	}
	return f&wantOfStat[s] != 0
}

// WebhookState is how a webhook's deliveries go (D-38). The words are public.
type WebhookState string

// The states, and the failures in a row that lead to them.
const (
	WebhookActive   WebhookState = "active"
	WebhookDegraded WebhookState = "degraded"
	WebhookDisabled WebhookState = "disabled"

	DegradedAfter = 5
	DisabledAfter = 100
)

// Attempted notes on the webhook what became of an attempt of one of its
// deliveries (D-38). One that is disabled already stays so.
func (w *Webhook) Attempted(d *Delivery, now time.Time) {
	if d.State == DeliveryDone {
		w.Delivered++
		w.Failures = 0
		if w.State == WebhookDegraded {
			w.State = WebhookActive
		}
		return
	}
	w.Failed++
	w.Failures++
	switch {
	case !w.Enabled || w.State == WebhookDisabled:
	case w.Failures >= DisabledAfter:
		w.State, w.Enabled, w.DisabledAt = WebhookDisabled, false, now
		w.DisabledReason = fmt.Sprintf("%d deliveries in a row failed, the last one so: %s", w.Failures, d.Error)
	case w.Failures >= DegradedAfter:
		w.State = WebhookDegraded
	}
}

// WebhookSchedule are the pauses before each retry of a delivery (sendpost.md,
// f); after the last it is a dead letter.
var WebhookSchedule = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 24 * time.Hour}

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID      int64
	Account int64
	Webhook int64 // 0: the webhookEndpoint of the message's own call
	Event   int64
	Message UUID
	Created time.Time

	State   DeliveryState
	Attempt int       // made so far
	Due     time.Time // of the next, while waiting
	LastAt  time.Time
	Status  int    // HTTP status of the last attempt, 0 without an answer
	Error   string // of the last attempt, "" when it went well; at most 500 bytes
	Took    time.Duration

	Lease int64 // the store's own mark of a claim: a later claim has another; 0 otherwise
}

// DeliveryState says where a delivery stands. The numbers are stored.
type DeliveryState int16

// The states of a delivery.
const (
	DeliveryWaiting DeliveryState = 0
	DeliveryDone    DeliveryState = 1
	DeliveryDead    DeliveryState = 2 // a dead letter: kept for 30 days, can be replayed
)

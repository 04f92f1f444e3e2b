package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// Delivery is one event on its way to a webhook: ours, in both contracts.
type Delivery struct {
	ID        int64      `json:"id"`
	EventID   string     `json:"eventId"`
	MessageID string     `json:"messageId"`
	State     string     `json:"state" enum:"waiting,done,dead"`
	Created   time.Time  `json:"created"`
	Attempt   int        `json:"attempt" doc:"attempts made"`
	Due       *time.Time `json:"due" doc:"of the next attempt, null when there is none"`
	LastAt    *time.Time `json:"lastAt" doc:"of the last attempt"`
	Status    int        `json:"status" doc:"HTTP status of the last attempt, 0 without an answer"`
	Error     string     `json:"error" doc:"of the last attempt, empty when it went well"`
	Millis    int64      `json:"ms" doc:"how long the last attempt took"`
}

var deliveryStates = map[waypost.DeliveryState]string{
	waypost.DeliveryWaiting: "waiting", waypost.DeliveryDone: "done", waypost.DeliveryDead: "dead",
}

func deliveryView(d *waypost.Delivery) Delivery {
	out := Delivery{
		ID: d.ID, EventID: strconv.FormatInt(d.Event, 10), MessageID: d.Message.String(), State: deliveryStates[d.State],
		Created: d.Created.UTC(), Attempt: d.Attempt, LastAt: optional(d.LastAt), Status: d.Status, Error: d.Error, Millis: d.Took.Milliseconds(),
	}
	if d.State == waypost.DeliveryWaiting {
		out.Due = optional(d.Due)
	}
	return out
}

// ReplayRequest says which deliveries go out again.
type ReplayRequest struct {
	IDs []int64 `json:"ids,omitempty" doc:"at most 1,000; without it every dead letter of the webhook, at most 10,000"`
}

// ReplayAnswer says how many will.
type ReplayAnswer struct {
	Replayed int `json:"replayed"`
}

// WebhookTestRequest chooses the event of a test.
type WebhookTestRequest struct {
	Event string `json:"event,omitempty" doc:"a flag of the webhook, such as opened; delivered without it"`
}

// WebhookTest is what a receiver made of a test event.
type WebhookTest struct {
	Success bool   `json:"success"`
	Status  int    `json:"status" doc:"HTTP status, 0 without an answer"`
	Millis  int64  `json:"ms"`
	Error   string `json:"error"`
	Answer  string `json:"answer" doc:"the beginning of the answer's body"`
	Sent    string `json:"sent" doc:"the body that was sent"`
}

type deliveryList struct {
	ID     int64  `path:"id" minimum:"1" maximum:"2147483647"`
	State  string `query:"state" enum:"waiting,done,dead" doc:"in this state alone; dead lists the dead letters"`
	Before int64  `query:"before" minimum:"0" doc:"id of the last delivery of the page before"`
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"1000"`
}

func (a *API) deliveryRoutes() {
	const one = "/account/webhook/{id}"
	register(a, operation(http.MethodGet, one+"/delivery", "What was sent to a webhook, newest first; dead letters too", waypost.KeyAccount), nil, a.deliveries)
	register(a, operation(http.MethodPost, one+"/replay", "Send finished deliveries again: those listed, or every dead letter", waypost.KeyAccount), ReplayRequest{}, a.replayDeliveries)
	register(a, operation(http.MethodPost, one+"/test", "Send one sample event now, and tell what the receiver answered", waypost.KeyAccount), WebhookTestRequest{}, a.testWebhook)
}

func (a *API) deliveries(ctx context.Context, in *deliveryList) ([]Delivery, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	q := store.DeliveryQuery{Account: w.Account, Webhook: w.ID, Before: in.Before, Limit: in.Limit}
	for state, word := range deliveryStates {
		if word == in.State {
			q.State = &state
		}
	}
	all, err := a.cfg.Store.ListDeliveries(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list the deliveries of webhook %d: %w", w.ID, err)
	}
	out := make([]Delivery, len(all))
	for i := range all {
		out[i] = deliveryView(&all[i])
	}
	return out, nil
}

func (a *API) replayDeliveries(ctx context.Context, in *idBody) (ReplayAnswer, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return ReplayAnswer{}, err
	}
	req, err := decode[ReplayRequest](in.RawBody)
	if err != nil {
		return ReplayAnswer{}, err
	}
	if len(req.IDs) > 1000 {
		return ReplayAnswer{}, badField("ids", "%d of them; at most 1,000", len(req.IDs))
	}
	n, err := a.cfg.Store.ReplayDeliveries(ctx, w.Account, w.ID, req.IDs, time.Now())
	if err != nil {
		return ReplayAnswer{}, fmt.Errorf("replay deliveries of webhook %d: %w", w.ID, err)
	}
	a.audit(ctx, "webhook.replay", webhookObject(&w), "%d deliveries go out again to %s", n, w.URL)
	return ReplayAnswer{n}, nil
}

// sampleEvents are the events of a test, by the flag that asks for them.
var sampleEvents = map[string]waypost.Event{
	"processed":    {Type: waypost.CSProcessed},
	"sent":         {Type: waypost.CSSent, Code: 250, Text: "2.0.0 Ok: queued as 4Zx1y20Yqz"},
	"delivered":    {Type: waypost.CSDelivered, Code: 250, Text: "2.0.0 OK"},
	"dropped":      {Type: waypost.CSDropped, Reason: waypost.DropSuppressed, Text: "the recipient is on the suppression list"},
	"smtpDropped":  {Type: waypost.CSDropped, Reason: waypost.DropRelayFailed, Code: 451, Text: "4.3.0 Temporary failure"},
	"softBounced":  {Type: waypost.CSSoftBounced, Code: 452, Text: "4.2.2 Mailbox full"},
	"hardBounced":  {Type: waypost.CSHardBounced, Code: 550, Text: "5.1.1 No such user"},
	"opened":       {Type: waypost.CSOpen, Visit: sampleVisit("")},
	"clicked":      {Type: waypost.CSClick, Visit: sampleVisit("https://example.com/")},
	"unsubscribed": {Type: waypost.CSUnsubscribe, Visit: sampleVisit("")},
	"spam":         {Type: waypost.CSSpamReport},
}

func sampleVisit(url string) *waypost.Visit {
	return &waypost.Visit{URL: url, IP: "192.0.2.1", First: true, UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
}

func (a *API) testWebhook(ctx context.Context, in *idBody) (WebhookTest, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return WebhookTest{}, err
	}
	req, err := decode[WebhookTestRequest](in.RawBody)
	if err != nil {
		return WebhookTest{}, err
	}
	if req.Event == "" {
		req.Event = "delivered"
	}
	e, ok := sampleEvents[req.Event]
	if !ok {
		return WebhookTest{}, badField("event", "must be processed, sent, delivered, dropped, smtpDropped, softBounced, hardBounced, opened, clicked, unsubscribed or spam")
	}
	secrets, err := webhook.Open(a.cfg.Box, w.Secret)
	if err != nil {
		return WebhookTest{}, fmt.Errorf("webhook %d: %w", w.ID, err)
	}
	now := time.Now()
	s := sampleSubject(e, w.Account, now)
	sent, err := webhook.Payload(&s, w.Wants)
	if err != nil {
		return WebhookTest{}, err
	}
	got := a.cfg.Webhooks.Send(ctx, &webhook.Target{URL: w.URL, Hook: w.UUID, Secrets: secrets, Flags: w.Wants}, &s, 1, now)
	a.audit(ctx, "webhook.test", webhookObject(&w), "sent a sample event (%s) to %s", req.Event, w.URL)
	return WebhookTest{
		Success: got.OK(), Status: got.Status, Millis: got.Took.Milliseconds(), Error: got.Error, Answer: got.Excerpt, Sent: string(sent),
	}, nil
}

// sampleSubject makes a sample event one of a message that never was.
func sampleSubject(e waypost.Event, account int64, now time.Time) webhook.Subject {
	e.ID, e.Account, e.SubAccount, e.Message = now.UnixMicro(), account, 1, waypost.NewUUID(now)
	e.Recipient, e.At, e.Source = "someone@example.org", now, waypost.SourceAPI
	return webhook.Subject{
		Event: e,
		Message: waypost.Message{
			ID: e.Message, Account: account, SubAccount: e.SubAccount, Recipient: e.Recipient, Mailbox: waypost.MailboxDefault,
			To: waypost.Address{Name: "Someone", Email: e.Recipient}, SubmittedAt: now.Add(-time.Minute),
		},
		Content: waypost.Content{
			From: waypost.Address{Name: "Example", Email: "hello@example.com"}, Subject: "This is a test of your webhook", Groups: []string{"test"},
			TrackOpens: true, TrackClicks: true,
		},
	}
}

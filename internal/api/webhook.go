package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// Webhook answers with the legacy fields of a webhook (sendpost.md, a.3).
type Webhook struct {
	ID      int64  `json:"id"`
	Enabled bool   `json:"enabled"`
	URL     string `json:"url"`
	WebhookWants
	Created   int64   `json:"created" doc:"UNIX nanoseconds"`
	CreatedBy *Member `json:"created_by"`
	UpdatedBy *Member `json:"updated_by"`
}

// WebhookWants says which events a webhook is told of (D-36).
type WebhookWants struct {
	Processed    bool `json:"processed"`
	Delivered    bool `json:"delivered"`
	Dropped      bool `json:"dropped"`
	SoftBounced  bool `json:"softBounced"`
	HardBounced  bool `json:"hardBounced"`
	Opened       bool `json:"opened"`
	Clicked      bool `json:"clicked"`
	Unsubscribed bool `json:"unsubscribed"`
	Spam         bool `json:"spam"`
	Sent         bool `json:"sent"`
	SMTPDropped  bool `json:"smtpDropped"`
	UniqueOpen   bool `json:"uniqueOpen" doc:"of opens, a person's first of each message alone"`
	UniqueClick  bool `json:"uniqueClick" doc:"of clicks, a person's first of each message alone"`
}

// WebhookV1 is a webhook in the contract v1.
type WebhookV1 struct {
	Webhook
	Status         string `json:"status" enum:"active,degraded,disabled"`
	DisabledAt     *int64 `json:"disabledAt" doc:"UNIX nanoseconds; null while it is enabled"`
	DisabledReason string `json:"disabledReason"`
}

// WebhookWithStats is a webhook in the lists of the contract v1.
type WebhookWithStats struct {
	WebhookV1
	SuccessRate float64 `json:"successRate" doc:"0 to 100, of all attempts"`
}

// WebhookRequest is the body of a webhook's creation and change; what a change
// leaves out stays. Created without any flags, a webhook is told of delivered,
// dropped, softBounced, hardBounced, opened, clicked, unsubscribed and spam.
type WebhookRequest struct {
	URL          *string `json:"url,omitempty"`
	Enabled      *bool   `json:"enabled,omitempty" doc:"default true"`
	Processed    *bool   `json:"processed,omitempty" doc:"default false"`
	Delivered    *bool   `json:"delivered,omitempty" doc:"default true"`
	Dropped      *bool   `json:"dropped,omitempty" doc:"default true"`
	SoftBounced  *bool   `json:"softBounced,omitempty" doc:"default true"`
	HardBounced  *bool   `json:"hardBounced,omitempty" doc:"default true"`
	Opened       *bool   `json:"opened,omitempty" doc:"default true"`
	Clicked      *bool   `json:"clicked,omitempty" doc:"default true"`
	Unsubscribed *bool   `json:"unsubscribed,omitempty" doc:"default true"`
	Spam         *bool   `json:"spam,omitempty" doc:"default true"`
	Sent         *bool   `json:"sent,omitempty" doc:"default false"`
	SMTPDropped  *bool   `json:"smtpDropped,omitempty" doc:"default false"`
	UniqueOpen   *bool   `json:"uniqueOpen,omitempty" doc:"default false"`
	UniqueClick  *bool   `json:"uniqueClick,omitempty" doc:"default false"`

	PayloadContract *string `json:"payloadContract,omitempty" enum:"legacy,v1" doc:"of the bodies sent to the URL; default legacy"`
	NativeTypes     *bool   `json:"nativeTypes,omitempty" doc:"type carries 0 to 10, the numbers of the hosted service's own servers, instead of 58 to 68; default false"`
}

// wantsByDefault are those of a webhook that is created without flags.
const wantsByDefault = waypost.WantDelivered | waypost.WantDropped | waypost.WantSoftBounced | waypost.WantHardBounced |
	waypost.WantOpened | waypost.WantClicked | waypost.WantUnsubscribed | waypost.WantSpam

func (r *WebhookRequest) flags() map[waypost.WebhookFlags]*bool {
	return map[waypost.WebhookFlags]*bool{
		waypost.WantProcessed: r.Processed, waypost.WantDelivered: r.Delivered, waypost.WantDropped: r.Dropped,
		waypost.WantSoftBounced: r.SoftBounced, waypost.WantHardBounced: r.HardBounced, waypost.WantOpened: r.Opened,
		waypost.WantClicked: r.Clicked, waypost.WantUnsubscribed: r.Unsubscribed, waypost.WantSpam: r.Spam, waypost.WantSent: r.Sent,
		waypost.WantSMTPDropped: r.SMTPDropped, waypost.WantUniqueOpen: r.UniqueOpen, waypost.WantUniqueClick: r.UniqueClick,
		waypost.NativeTypes: r.NativeTypes,
	}
}

var webhookViews = views[waypost.Webhook, Webhook, WebhookV1]{legacy: webhookView, v1: webhookViewV1}

func webhookView(w waypost.Webhook) Webhook {
	has := func(f waypost.WebhookFlags) bool { return w.Wants&f != 0 }
	return Webhook{ID: w.ID, Enabled: w.Enabled, URL: w.URL, Created: w.Created.UnixNano(), WebhookWants: WebhookWants{
		Processed: has(waypost.WantProcessed), Delivered: has(waypost.WantDelivered), Dropped: has(waypost.WantDropped),
		SoftBounced: has(waypost.WantSoftBounced), HardBounced: has(waypost.WantHardBounced), Opened: has(waypost.WantOpened),
		Clicked: has(waypost.WantClicked), Unsubscribed: has(waypost.WantUnsubscribed), Spam: has(waypost.WantSpam),
		Sent: has(waypost.WantSent), SMTPDropped: has(waypost.WantSMTPDropped), UniqueOpen: has(waypost.WantUniqueOpen),
		UniqueClick: has(waypost.WantUniqueClick),
	}}
}

func webhookViewV1(w waypost.Webhook) WebhookV1 {
	out := WebhookV1{Webhook: webhookView(w), Status: string(w.State), DisabledReason: w.DisabledReason}
	if !w.Enabled {
		out.Status = string(waypost.WebhookDisabled)
	}
	if !w.DisabledAt.IsZero() {
		at := w.DisabledAt.UnixNano()
		out.DisabledAt = &at
	}
	return out
}

func webhookWithStats(w waypost.Webhook) WebhookWithStats {
	out := WebhookWithStats{WebhookV1: webhookViewV1(w), SuccessRate: 100}
	if all := w.Delivered + w.Failed; all > 0 {
		out.SuccessRate = float64(w.Delivered*10_000/all) / 100
	}
	return out
}

func (a *API) webhookRoutes() {
	const all, one = "/account/webhook", "/account/webhook/{id}"
	created := webhookViews
	created.v1Code = http.StatusCreated
	create := operation(http.MethodPost, all, "Create a webhook; its secret is shown by an operation of its own", waypost.KeyAccount)
	create.Errors = append(create.Errors, http.StatusNotAcceptable)
	registerBoth(a, create, WebhookRequest{}, a.createWebhook, created)
	registerBoth(a, operation(http.MethodGet, all, "List the webhooks", waypost.KeyAccount), nil, a.listWebhooks,
		views[[]waypost.Webhook, []Webhook, []WebhookWithStats]{legacy: each(webhookView), v1: each(webhookWithStats)})
	registerBoth(a, operation(http.MethodGet, one, "Read one webhook", waypost.KeyAccount), nil, a.getWebhook, webhookViews)
	registerBoth(a, operation(http.MethodPut, one, "Change a webhook; fields left out stay as they are", waypost.KeyAccount), WebhookRequest{}, a.updateWebhook, webhookViews)
	register(a, operation(http.MethodDelete, one, "Delete a webhook with its deliveries", waypost.KeyAccount), nil, a.deleteWebhook)
	a.deliveryRoutes()
	a.webhookSecretRoutes()
}

func (a *API) createWebhook(ctx context.Context, in *raw) (waypost.Webhook, error) {
	req, err := decode[WebhookRequest](in.RawBody)
	if err != nil {
		return waypost.Webhook{}, err
	}
	if req.URL == nil || *req.URL == "" {
		e := unacceptable("url is missing: give the https URL that events are sent to") // 406: sendpost.md, a.1
		e.Body.Param = "url"
		return waypost.Webhook{}, e
	}
	now := time.Now().Truncate(time.Millisecond)
	w := waypost.Webhook{
		Account: caller(ctx).Account, UUID: waypost.NewUUID(now), Enabled: true, Wants: wantsByDefault, State: waypost.WebhookActive,
		Created: now,
	}
	if err := a.planWebhook(&req, &w, now); err != nil {
		return w, err
	}
	if w.Secret, err = webhook.Seal(a.cfg.Box, webhook.Secrets{Current: webhook.NewSecret()}); err != nil {
		return w, err
	}
	if err := a.cfg.Store.CreateWebhook(ctx, &w); err != nil {
		return w, webhookFault(&w, err)
	}
	a.audit(ctx, "webhook.create", webhookObject(&w), "created webhook %s", w.URL)
	return w, nil
}

// planWebhook puts a request onto a webhook: what it leaves out stays.
func (a *API) planWebhook(r *WebhookRequest, w *waypost.Webhook, now time.Time) error {
	if r.URL != nil {
		if err := a.cfg.Webhooks.CheckURL(*r.URL); err != nil {
			return badField("url", "%v", err)
		}
		w.URL = *r.URL
	}
	if r.PayloadContract != nil {
		switch contract(*r.PayloadContract) {
		case legacy:
			w.Wants &^= waypost.PayloadV1
		case v1:
			w.Wants |= waypost.PayloadV1
		default:
			return badField("payloadContract", "must be legacy or v1")
		}
	}
	for flag, set := range r.flags() {
		switch {
		case set == nil:
		case *set:
			w.Wants |= flag
		default:
			w.Wants &^= flag
		}
	}
	if r.Enabled != nil && *r.Enabled != w.Enabled {
		w.Enabled = *r.Enabled
		if w.Enabled { // it begins anew
			w.State, w.Failures, w.DisabledAt, w.DisabledReason = waypost.WebhookActive, 0, time.Time{}, ""
		} else {
			w.State, w.DisabledAt, w.DisabledReason = waypost.WebhookDisabled, now, "disabled by a request"
		}
	}
	w.Updated = now
	return nil
}

func webhookObject(w *waypost.Webhook) string { return fmt.Sprintf("webhook %d", w.ID) }

func webhookFault(w *waypost.Webhook, err error) error {
	switch {
	case errors.Is(err, store.ErrExists):
		e := fail(http.StatusForbidden, "the account has a webhook of this URL already; change that one, or choose another URL")
		e.Body.Param = "url"
		return e
	case isNotFound(err):
		return notFound("webhook", w.ID)
	}
	return fmt.Errorf("store webhook %d: %w", w.ID, err)
}

func (a *API) webhook(ctx context.Context, id int64) (waypost.Webhook, error) {
	w, err := a.cfg.Store.Webhook(ctx, caller(ctx).Account, id)
	if isNotFound(err) {
		return w, notFound("webhook", id)
	}
	if err != nil {
		return w, fmt.Errorf("read webhook %d: %w", id, err)
	}
	return w, nil
}

func (a *API) listWebhooks(ctx context.Context, in *page) ([]waypost.Webhook, error) {
	all, err := a.cfg.Store.Webhooks(ctx, caller(ctx).Account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return all, nil
}

func (a *API) getWebhook(ctx context.Context, in *idPath) (waypost.Webhook, error) {
	return a.webhook(ctx, in.ID)
}

func (a *API) updateWebhook(ctx context.Context, in *idBody) (waypost.Webhook, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return w, err
	}
	req, err := decode[WebhookRequest](in.RawBody)
	if err != nil {
		return w, err
	}
	if err := a.planWebhook(&req, &w, time.Now().Truncate(time.Millisecond)); err != nil {
		return w, err
	}
	if err := a.cfg.Store.UpdateWebhook(ctx, &w); err != nil {
		return w, webhookFault(&w, err)
	}
	a.audit(ctx, "webhook.update", webhookObject(&w), "changed webhook %s: enabled %t, flags %b", w.URL, w.Enabled, w.Wants)
	return w, nil
}

func (a *API) deleteWebhook(ctx context.Context, in *idPath) (Deleted, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	if err := a.cfg.Store.DeleteWebhook(ctx, w.Account, w.ID); err != nil {
		return Deleted{}, webhookFault(&w, err)
	}
	a.audit(ctx, "webhook.delete", webhookObject(&w), "deleted webhook %s", w.URL)
	return Deleted{w.ID, fmt.Sprintf("Webhook (%s) has been deleted successfully", w.URL)}, nil
}

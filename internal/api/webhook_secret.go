package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// WebhookSecret signs what a webhook is sent.
type WebhookSecret struct {
	Secret string `json:"secret" doc:"key of X-SendPost-Signature as it is; of webhook-signature what follows whsec_, as base64"`
}

// WebhookSecretRequest sets a secret.
type WebhookSecretRequest struct {
	Secret string `json:"secret,omitempty" doc:"16 to 200 printable characters; the account's API key, for receivers that verify with it; a fresh one without it"`
}

func (a *API) webhookSecretRoutes() {
	const one = "/account/webhook/{id}/secret"
	// POST, so that a key that may read everything cannot read this.
	register(a, operation(http.MethodPost, one+"/show", "Show the secret that signs what a webhook is sent", waypost.KeyAccount), nil, a.showWebhookSecret)
	register(a, operation(http.MethodPut, one, "Set the secret of a webhook, or make a fresh one; in webhook-signature the one before signs on for a day", waypost.KeyAccount), WebhookSecretRequest{}, a.setWebhookSecret)
	register(a, operation(http.MethodPost, "/subaccount/webhook/secret/show", "Show the secret that signs what the webhookEndpoint of a call is sent", waypost.KeySubAccount), nil, a.showEndpointSecret)
}

func (a *API) showWebhookSecret(ctx context.Context, in *idPath) (WebhookSecret, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return WebhookSecret{}, err
	}
	s, err := webhook.Open(a.cfg.Box, w.Secret)
	if err != nil {
		return WebhookSecret{}, fmt.Errorf("webhook %d: %w", w.ID, err)
	}
	a.audit(ctx, "webhook.secret.show", webhookObject(&w), "showed the secret of webhook %s", w.URL)
	return WebhookSecret{s.Current}, nil
}

func (a *API) setWebhookSecret(ctx context.Context, in *idBody) (WebhookSecret, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return WebhookSecret{}, err
	}
	req, err := decode[WebhookSecretRequest](in.RawBody)
	if err != nil {
		return WebhookSecret{}, err
	}
	fresh := strings.TrimSpace(req.Secret)
	if fresh == "" {
		fresh = webhook.NewSecret()
	} else if err := webhook.CheckSecret(fresh); err != nil {
		return WebhookSecret{}, badField("secret", "%v", err)
	}
	s, err := webhook.Open(a.cfg.Box, w.Secret)
	if err != nil {
		s = webhook.Secrets{} // of a key file that is gone: begin anew
	}
	now := time.Now().Truncate(time.Millisecond)
	s.Change(fresh, now)
	if w.Secret, err = webhook.Seal(a.cfg.Box, s); err != nil {
		return WebhookSecret{}, err
	}
	w.Updated = now
	if err := a.cfg.Store.UpdateWebhook(ctx, &w); err != nil {
		return WebhookSecret{}, webhookFault(&w, err)
	}
	a.audit(ctx, "webhook.secret.set", webhookObject(&w), "changed the secret of webhook %s", w.URL)
	return WebhookSecret{fresh}, nil
}

func (a *API) showEndpointSecret(ctx context.Context, _ *struct{}) (WebhookSecret, error) {
	sub := caller(ctx).SubAccount
	s, err := webhook.EndpointSecret(a.cfg.Box, sub)
	if err != nil {
		return WebhookSecret{}, fmt.Errorf("the endpoint secret of sub-account %d: %w", sub, err)
	}
	a.audit(ctx, "webhook.secret.show", fmt.Sprintf("sub-account %d", sub), "showed the secret of webhookEndpoint")
	return WebhookSecret{s}, nil
}

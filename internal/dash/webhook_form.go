package dash

import (
	"fmt"
	"net/http"

	"github.com/waypost-mail/waypost"
)

// hookEvent is an event that a webhook may be told of.
type hookEvent struct {
	name   string // of the API
	label  string
	flag   waypost.WebhookFlags
	given  bool // ticked in the form of a new webhook
	sample bool // a test can send one
}

var hookEvents = []hookEvent{
	{"processed", "accepted", waypost.WantProcessed, false, true},
	{"sent", "sent", waypost.WantSent, false, true},
	{"delivered", "delivered", waypost.WantDelivered, true, true},
	{"softBounced", "soft bounce", waypost.WantSoftBounced, true, true},
	{"hardBounced", "hard bounce", waypost.WantHardBounced, true, true},
	{"dropped", "dropped before relaying", waypost.WantDropped, true, true},
	{"smtpDropped", "dropped by the relay", waypost.WantSMTPDropped, false, true},
	{"opened", "opened", waypost.WantOpened, true, true},
	{"clicked", "clicked", waypost.WantClicked, true, true},
	{"unsubscribed", "unsubscribed", waypost.WantUnsubscribed, true, true},
	{"spam", "spam report", waypost.WantSpam, true, true},
	{"uniqueOpen", "of opens, only the first by a person", waypost.WantUniqueOpen, false, false},
	{"uniqueClick", "of clicks, only the first by a person", waypost.WantUniqueClick, false, false},
}

// hookPage is the form of a webhook.
type hookPage struct {
	ID        int64
	Form      *form
	Events    []option
	Contracts []option
}

func (d *Dash) showHookForm(v *visit, status int, p hookPage) error {
	for _, e := range hookEvents {
		p.Events = append(p.Events, option{e.name, capital(e.label)})
	}
	p.Contracts = options("legacy", "as SendPost's webhooks always were", "v1", "as SendPost's API v1")
	return d.showStatus(v, status, "webhook-form", p)
}

func (d *Dash) newWebhook(v *visit) error {
	f := filled("payloadContract", "legacy")
	for _, e := range hookEvents {
		if e.given {
			f.Values.Set(e.name, "1")
		}
	}
	return d.showHookForm(v, http.StatusOK, hookPage{Form: f})
}

func hookBody(f *form) map[string]any {
	body := map[string]any{"url": f.Get("url"), "payloadContract": orElse(f.Get("payloadContract"), "legacy")}
	any := false
	for _, e := range hookEvents {
		body[e.name] = f.On(e.name)
		any = any || e.sample && f.On(e.name)
	}
	if !any {
		f.wrong("events", "Choose at least one.")
	}
	return body
}

// createWebhook makes one and shows its secret this once.
func (d *Dash) createWebhook(v *visit) error {
	f := newForm(v.r.PostForm)
	body := hookBody(f)
	var made struct {
		ID int64 `json:"id"`
	}
	if f.OK() {
		if err := d.call(v, 0, http.MethodPost, "/account/webhook", body, &made); err != nil && !f.refuse(err, "url", "payloadContract") {
			return err
		}
	}
	if !f.OK() {
		return d.showHookForm(v, http.StatusUnprocessableEntity, hookPage{Form: f})
	}
	if !may(&v.person, waypost.RoleOwner) {
		return d.after(v, nil, "The webhook is made. An owner can show the secret that signs what it is sent.", fmt.Sprintf("/webhooks/%d", made.ID))
	}
	return d.tellSecret(v, made.ID, http.MethodPost, "/secret/show", "The secret of the new webhook")
}

func (d *Dash) editWebhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	f := filled("url", w.URL, "payloadContract", "legacy")
	if w.Wants&waypost.PayloadV1 != 0 {
		f.Values.Set("payloadContract", "v1")
	}
	for _, e := range hookEvents {
		if w.Wants&e.flag != 0 {
			f.Values.Set(e.name, "1")
		}
	}
	return d.showHookForm(v, http.StatusOK, hookPage{ID: w.ID, Form: f})
}

func (d *Dash) updateWebhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	body := hookBody(f)
	if f.OK() {
		if err := d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/webhook/%d", w.ID), body, nil); err != nil && !f.refuse(err, "url", "payloadContract") {
			return err
		}
	}
	if !f.OK() {
		return d.showHookForm(v, http.StatusUnprocessableEntity, hookPage{ID: w.ID, Form: f})
	}
	return d.after(v, nil, "The webhook is saved.", fmt.Sprintf("/webhooks/%d", w.ID))
}

func (d *Dash) showSecret(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	return d.tellSecret(v, w.ID, http.MethodPost, "/secret/show", "The secret of this webhook")
}

func (d *Dash) askSecret(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Make a new secret?", Text: "Receivers that verify X-SendPost-Signature with the old one refuse what comes from then on, until they know the new one. The header webhook-signature carries both for a day.",
		Action: fmt.Sprintf("/webhooks/%d/secret/new", w.ID), Button: "Make a new secret", Back: fmt.Sprintf("/webhooks/%d", w.ID),
	})
}

func (d *Dash) newSecret(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	return d.tellSecret(v, w.ID, http.MethodPut, "/secret", "The new secret")
}

func (d *Dash) tellSecret(v *visit, id int64, method, path, title string) error {
	var answer struct {
		Secret string `json:"secret"`
	}
	if err := d.call(v, 0, method, fmt.Sprintf("/account/webhook/%d%s", id, path), map[string]string{}, &answer); err != nil {
		return d.after(v, err, "", fmt.Sprintf("/webhooks/%d", id))
	}
	return d.once(v, oncePage{
		Title: title, Text: "Receivers verify with it that an event came from here. Keep it where they keep their secrets.", Value: answer.Secret,
		Note: "It is the key of X-SendPost-Signature (HMAC-SHA256 of the body, in hexadecimal), and of webhook-signature.",
		Back: fmt.Sprintf("/webhooks/%d", id), Crumb: "Webhook",
	})
}

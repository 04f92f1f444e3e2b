package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var webhooksScreen = screen{Path: "/webhooks", Title: "Webhooks", Icon: "hook", Group: "Sending", Routes: []route{
	{"GET /webhooks", waypost.RoleViewer, (*Dash).webhooks},
	{"POST /webhooks", waypost.RoleOperator, (*Dash).createWebhook},
	{"GET /webhooks/new", waypost.RoleOperator, (*Dash).newWebhook},
	{"GET /webhooks/{id}", waypost.RoleViewer, (*Dash).webhook},
	{"GET /webhooks/{id}/edit", waypost.RoleOperator, (*Dash).editWebhook},
	{"POST /webhooks/{id}/edit", waypost.RoleOperator, (*Dash).updateWebhook},
	{"POST /webhooks/{id}/enable", waypost.RoleOperator, (*Dash).enableWebhook},
	{"POST /webhooks/{id}/disable", waypost.RoleOperator, (*Dash).disableWebhook},
	{"POST /webhooks/{id}/test", waypost.RoleOperator, (*Dash).testWebhook},
	{"POST /webhooks/{id}/replay", waypost.RoleOperator, (*Dash).replayWebhook},
	{"POST /webhooks/{id}/secret", waypost.RoleOwner, (*Dash).showSecret},
	{"GET /webhooks/{id}/secret/new", waypost.RoleOwner, (*Dash).askSecret},
	{"POST /webhooks/{id}/secret/new", waypost.RoleOwner, (*Dash).newSecret},
	{"GET /webhooks/{id}/delete", waypost.RoleOperator, (*Dash).askWebhook},
	{"POST /webhooks/{id}/delete", waypost.RoleOperator, (*Dash).deleteWebhook},
}}

// webhooksPage is the list of webhooks.
type webhooksPage struct {
	Rows  []webhookRow
	Query string
	More  string
}

// webhookRow is a webhook with its state.
type webhookRow struct {
	Hook  waypost.Webhook
	State chip
	Rate  string
	Wants []string
}

const webhooksPerPage = 50

func webhookRowOf(w *waypost.Webhook) webhookRow {
	r := webhookRow{Hook: *w, Rate: "–"}
	switch {
	case !w.Enabled || w.State == waypost.WebhookDisabled:
		r.State = makeChip("quiet", "disabled", w.DisabledReason)
		if w.Failures >= waypost.DisabledAfter {
			r.State = makeChip("bad", "disabled", w.DisabledReason)
		}
	case w.State == waypost.WebhookDegraded:
		r.State = makeChip("warn", "degraded", plural(w.Failures, "failure", "failures")+" in a row")
	default:
		r.State = makeChip("ok", "active")
	}
	if all := w.Delivered + w.Failed; all > 0 {
		r.Rate = percent(float64(w.Delivered) / float64(all))
	}
	for _, e := range hookEvents {
		if w.Wants&e.flag != 0 {
			r.Wants = append(r.Wants, e.label)
		}
	}
	return r
}

func (d *Dash) webhooks(v *visit) error {
	q := newForm(v.r.URL.Query())
	p := webhooksPage{Query: clip(q.Get("q"), 200)}
	offset := int(min(formID(q, "from"), 1_000_000))
	list, err := d.cfg.Store.Webhooks(v.ctx(), v.account(), store.Page{Limit: webhooksPerPage + 1, Offset: offset, Search: p.Query})
	if err != nil {
		return fmt.Errorf("list the webhooks: %w", err)
	}
	for i := range list[:min(len(list), webhooksPerPage)] {
		p.Rows = append(p.Rows, webhookRowOf(&list[i]))
	}
	if len(list) > webhooksPerPage {
		p.More = link("/webhooks", "q", p.Query, "from", strconv.Itoa(offset+webhooksPerPage))
	}
	return d.show(v, "webhooks", p)
}

// webhookOf finds the webhook that a request's path names.
func (d *Dash) webhookOf(v *visit) (waypost.Webhook, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.Webhook{}, errNoPage
	}
	w, err := d.cfg.Store.Webhook(v.ctx(), v.account(), id)
	if err != nil {
		return w, fmt.Errorf("read webhook %d: %w", id, err)
	}
	return w, nil
}

// webhookPage is one webhook and what was sent to it.
type webhookPage struct {
	webhookRow
	Form   *form
	Events []option
	States []option
	Rows   []deliveryRow
	Dead   bool // there are dead letters
	Test   *hookTest
	Pager  pager
}

// deliveryRow is one event on its way.
type deliveryRow struct {
	waypost.Delivery
	Chip chip
}

// hookTest is what a receiver made of a sample event.
type hookTest struct {
	Success bool   `json:"success"`
	Status  int    `json:"status"`
	Millis  int64  `json:"ms"`
	Error   string `json:"error"`
	Answer  string `json:"answer"`
	Sent    string `json:"sent"`

	Event string
}

var deliveryStates = map[string]waypost.DeliveryState{
	"waiting": waypost.DeliveryWaiting, "done": waypost.DeliveryDone, "dead": waypost.DeliveryDead,
}

func (d *Dash) webhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	return d.showWebhook(v, &w, nil)
}

func (d *Dash) showWebhook(v *visit, w *waypost.Webhook, test *hookTest) error {
	f := newForm(v.r.URL.Query())
	p := webhookPage{webhookRow: webhookRowOf(w), Form: f, Test: test, States: options("", "all", "waiting", "waiting", "done", "delivered", "dead", "dead letters")}
	for _, e := range hookEvents {
		if e.sample {
			p.Events = append(p.Events, option{e.name, e.label})
		}
	}
	q := store.DeliveryQuery{Account: v.account(), Webhook: w.ID, Before: formID(f, "before"), Limit: perPage + 1}
	if s, ok := deliveryStates[f.Get("state")]; ok {
		q.State = &s
	}
	list, err := d.cfg.Store.ListDeliveries(v.ctx(), q)
	if err != nil {
		return fmt.Errorf("list the deliveries of webhook %d: %w", w.ID, err)
	}
	for i := range list[:min(len(list), perPage)] {
		p.Rows = append(p.Rows, deliveryRow{list[i], deliveryChip(&list[i], v.now)})
	}
	dead := waypost.DeliveryDead
	letters, err := d.cfg.Store.ListDeliveries(v.ctx(), store.DeliveryQuery{Account: v.account(), Webhook: w.ID, State: &dead, Limit: 1})
	if err != nil {
		return fmt.Errorf("look for dead letters of webhook %d: %w", w.ID, err)
	}
	p.Dead = len(letters) > 0
	p.Pager = pages(v, len(list) > perPage, func() string { return strconv.FormatInt(list[perPage-1].ID, 10) })
	return d.show(v, "webhook", p)
}

func deliveryChip(d *waypost.Delivery, now time.Time) chip {
	switch d.State {
	case waypost.DeliveryDone:
		return makeChip("ok", "delivered")
	case waypost.DeliveryDead:
		return makeChip("bad", "dead letter", "Given up; it can be replayed.")
	case waypost.DeliveryWaiting:
	}
	if d.Attempt > 0 {
		return makeChip("warn", "retried "+until(d.Due, now))
	}
	return makeChip("info", "waiting")
}

// onWebhook calls an operation of a webhook and leads back to its page.
func (d *Dash) onWebhook(v *visit, method, path string, body any, done string) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, 0, method, fmt.Sprintf("/account/webhook/%d%s", w.ID, path), body, nil)
	return d.after(v, err, done, fmt.Sprintf("/webhooks/%d", w.ID))
}

func (d *Dash) enableWebhook(v *visit) error {
	return d.onWebhook(v, http.MethodPut, "", map[string]bool{"enabled": true}, "It is enabled, and begins anew.")
}

func (d *Dash) disableWebhook(v *visit) error {
	return d.onWebhook(v, http.MethodPut, "", map[string]bool{"enabled": false}, "It is disabled: nothing is sent to it.")
}

func (d *Dash) testWebhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	test := hookTest{Event: orElse(v.r.PostForm.Get("event"), "delivered")}
	path := fmt.Sprintf("/account/webhook/%d", w.ID)
	if err := d.call(v, 0, http.MethodPost, path+"/test", map[string]string{"event": test.Event}, &test); err != nil {
		return d.after(v, err, "", fmt.Sprintf("/webhooks/%d", w.ID))
	}
	return d.showWebhook(v, &w, &test)
}

// replayWebhook sends one delivery again, or every dead letter.
func (d *Dash) replayWebhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	body := map[string]any{}
	f := newForm(v.r.PostForm)
	if id := formID(f, "delivery"); id != 0 {
		body["ids"] = []int64{id}
	}
	if !f.OK() {
		return errNoPage
	}
	var answer struct {
		Replayed int `json:"replayed"`
	}
	err = d.call(v, 0, http.MethodPost, fmt.Sprintf("/account/webhook/%d/replay", w.ID), body, &answer)
	return d.after(v, err, plural(answer.Replayed, "delivery goes", "deliveries go")+" out again.", fmt.Sprintf("/webhooks/%d", w.ID))
}

func (d *Dash) askWebhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Delete this webhook?", Text: w.URL + " is told of nothing any more.",
		Losses: []string{"Its deliveries go with it, waiting ones and dead letters too.", "Disabling it instead keeps them."},
		Action: fmt.Sprintf("/webhooks/%d/delete", w.ID), Button: "Delete this webhook", Back: fmt.Sprintf("/webhooks/%d", w.ID),
	})
}

func (d *Dash) deleteWebhook(v *visit) error {
	w, err := d.webhookOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, 0, http.MethodDelete, fmt.Sprintf("/account/webhook/%d", w.ID), nil, nil)
	return d.after(v, err, "The webhook is deleted.", "/webhooks")
}

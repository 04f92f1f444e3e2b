package dash

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var queueScreen = screen{Path: "/queue", Title: "Queue", Icon: "clock", Routes: []route{
	{"GET /queue", waypost.RoleViewer, (*Dash).queue},
	{"POST /queue/retry", waypost.RoleOperator, (*Dash).retryLane},
	{"POST /queue/cancel", waypost.RoleOperator, (*Dash).cancelLane},
}}

// queuePage is what waits, by lane and message by message.
type queuePage struct {
	Queue    queueState
	Lanes    []laneRow
	Provider string
	Name     string
	Rows     []queueRow
	Next     string
	First    string
}

// laneRow is one lane.
type laneRow struct {
	store.LaneDepth
	Provider string
	Paused   string
}

// queueRow is one message that waits.
type queueRow struct {
	store.Queued
	Provider string
	Code     string
}

func (d *Dash) queue(v *visit) error {
	var p queuePage
	var err error
	if p.Queue, err = d.queueState(v); err != nil {
		return err
	}
	names, err := d.providerNames(v)
	if err != nil {
		return err
	}
	pauses, err := d.cfg.Store.Pauses(v.ctx(), v.account())
	if err != nil {
		return fmt.Errorf("list the pauses: %w", err)
	}
	for _, l := range p.Queue.Lanes {
		row := laneRow{LaneDepth: l, Provider: names[l.Lane.Provider]}
		for _, one := range pauses {
			if one.Provider == l.Lane.Provider && (one.Mailbox == waypost.AllMailboxes || one.Mailbox == l.Lane.Mailbox) {
				row.Paused = orElse(one.Reason, "no reason was given")
			}
		}
		p.Lanes = append(p.Lanes, row)
	}
	f := newForm(v.r.URL.Query())
	provider, offset := formID(f, "provider"), int(min(formID(f, "from"), 100_000))
	if provider != 0 {
		p.Provider, p.Name = strconv.FormatInt(provider, 10), names[provider]
	}
	waiting, err := d.cfg.Store.Waiting(v.ctx(), store.WaitingQuery{Account: v.account(), Provider: provider, Mailbox: waypost.AllMailboxes, Limit: perPage + 1, Offset: offset})
	if err != nil {
		return fmt.Errorf("list what waits: %w", err)
	}
	for i := range waiting[:min(len(waiting), perPage)] {
		row := queueRow{Queued: waiting[i], Provider: names[waiting[i].Pending.Lane.Provider]}
		if row.Last != nil {
			row.Code = codes(row.Last.Code, row.Last.Enhanced)
		}
		p.Rows = append(p.Rows, row)
	}
	if len(waiting) > perPage {
		p.Next = link("/queue", "provider", p.Provider, "from", strconv.Itoa(offset+perPage))
	}
	if offset > 0 {
		p.First = link("/queue", "provider", p.Provider)
	}
	return d.show(v, "queue", p)
}

func (d *Dash) retryLane(v *visit) error  { return d.onLane(v, "retry", "due now") }
func (d *Dash) cancelLane(v *visit) error { return d.onLane(v, "cancel", "cancelled") }

// onLane acts on what waits for a provider, or in one of its lanes.
func (d *Dash) onLane(v *visit, action, done string) error {
	f := newForm(v.r.PostForm)
	provider := formID(f, "provider")
	if provider == 0 {
		return errNoPage
	}
	var changed struct {
		Messages int `json:"messages"`
	}
	body := map[string]any{"tpspId": provider, "mailboxCategory": f.Get("mailbox")}
	if err := d.call(v, 0, http.MethodPost, "/account/queue/"+action, body, &changed); err != nil {
		return err
	}
	d.say(v, "ok", plural(changed.Messages, "message is ", "messages are ")+done+".")
	return v.redirect("/queue")
}

package dash

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var messagesScreen = screen{Path: "/messages", Title: "Messages", Icon: "mail", Routes: []route{
	{"GET /messages", waypost.RoleViewer, (*Dash).messages},
	{"GET /messages/{id}", waypost.RoleViewer, (*Dash).message},
	{"GET /messages/{id}/html", waypost.RoleOperator, (*Dash).messageHTML},
	{"GET /messages/{id}/raw", waypost.RoleOperator, (*Dash).messageRaw},
	{"POST /messages/{id}/retry", waypost.RoleOperator, (*Dash).retryMessage},
	{"POST /messages/{id}/cancel", waypost.RoleOperator, (*Dash).cancelMessage},
	{"POST /messages/{id}/suppress", waypost.RoleOperator, (*Dash).suppressRecipient},
	{"GET /reports/{id}", waypost.RoleOperator, (*Dash).reportRaw},
	{"GET /find", waypost.RoleViewer, (*Dash).find},
}}

const perPage = 50

// messagesPage is a list of messages.
type messagesPage struct {
	Form    *form
	Subs    []option
	Rows    []messageRow
	Pager   pager
	Content bool // the person may see subjects
	Filters bool
}

// messageRow is one line of it.
type messageRow struct {
	Message  waypost.Message
	Heading  heading
	Status   chip
	At       time.Time // of the status
	Provider string
	Sub      string
}

// pager leads through a list: keyset paging, newest first.
type pager struct{ First, Next, Text string }

func (d *Dash) messages(v *visit) error {
	f := newForm(v.r.URL.Query())
	p := messagesPage{Form: f, Content: may(&v.person, waypost.RoleOperator)}
	q := store.MessageQuery{Account: v.account(), Limit: perPage + 1, Recipient: waypost.FoldEmail(f.Get("to"))}
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	q.SubAccount = formID(f, "sub")
	q.From, q.To = dateRange(f)
	if before := f.Get("before"); before != "" {
		if q.Before, err = waypost.ParseUUID(before); err != nil {
			return errNoPage
		}
	}
	p.Subs = subOptions(subs)
	p.Filters = q.Recipient != "" || q.SubAccount != 0 || !q.From.IsZero() || !q.To.IsZero()
	if f.OK() {
		list, err := d.cfg.Store.ListMessages(v.ctx(), q)
		if err != nil {
			return fmt.Errorf("list messages: %w", err)
		}
		if p.Rows, err = d.messageRows(v, list[:min(len(list), perPage)], subs); err != nil {
			return err
		}
		p.Pager = pages(v, len(list) > perPage, func() string { return list[perPage-1].ID.String() })
	}
	return d.show(v, "messages", p)
}

// pages makes the pager of a list whose address keeps its filters.
func pages(v *visit, more bool, last func() string) (p pager) {
	q := v.r.URL.Query()
	if q.Get("before") != "" {
		q.Del("before")
		p.First = v.r.URL.Path + "?" + q.Encode()
	}
	if more {
		q.Set("before", last())
		p.Next = v.r.URL.Path + "?" + q.Encode()
	}
	return p
}

// formID reads an id out of a filter; 0 is none.
func formID(f *form, name string) int64 {
	s := f.Get(name)
	if s == "" {
		return 0
	}
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 0 {
		f.wrong(name, "This is no number.")
		return 0
	}
	return id
}

// dateRange reads the days of a filter, in UTC and both inclusive.
func dateRange(f *form) (from, to time.Time) {
	read := func(name string) time.Time {
		s := f.Get(name)
		if s == "" {
			return time.Time{}
		}
		t, err := time.Parse("2006-01-02", s)
		if err != nil {
			f.wrong(name, "Write a day as 2026-01-31.")
		}
		return t
	}
	from, to = read("from"), read("until")
	if !to.IsZero() {
		to = to.AddDate(0, 0, 1)
		if to.Before(from) {
			f.wrong("until", "This is before the first day.")
		}
	}
	return from, to
}

func subOptions(subs []waypost.SubAccount) []option {
	out := []option{{"", "all"}}
	for i := range subs {
		out = append(out, option{strconv.FormatInt(subs[i].ID, 10), subs[i].Name})
	}
	return out
}

// outcomeTypes are the events that say where a message stands.
var outcomeTypes = []waypost.EventType{
	waypost.CSProcessed, waypost.CSSent, waypost.CSDelivered, waypost.CSDropped, waypost.CSHardBounced, waypost.CSSoftBounced,
}

func (d *Dash) messageRows(v *visit, list []waypost.Message, subs []waypost.SubAccount) ([]messageRow, error) {
	names, err := d.providerNames(v)
	if err != nil {
		return nil, err
	}
	out := make([]messageRow, len(list))
	for i := range list {
		m := &list[i]
		row := messageRow{Message: *m, Provider: names[m.Provider]}
		for k := range subs {
			if subs[k].ID == m.SubAccount {
				row.Sub = subs[k].Name
			}
		}
		if row.Heading, err = d.subjects.of(v.ctx(), m.Content); err != nil {
			return nil, err
		}
		if may(&v.person, waypost.RoleOperator) {
			row.Heading.Subject = orElse(row.Heading.Subject, "(no subject)")
		} else {
			row.Heading.Subject = ""
		}
		events, err := d.cfg.Store.ListEvents(v.ctx(), store.EventQuery{Account: v.account(), Message: m.ID, Types: outcomeTypes, Limit: 10})
		if err != nil {
			return nil, fmt.Errorf("list the events of message %s: %w", m.ID, err)
		}
		row.Status, row.At = standing(events, m)
		out[i] = row
	}
	return out, nil
}

// standing is where a message stands, by its events.
func standing(events []waypost.Event, m *waypost.Message) (chip, time.Time) {
	best := -1
	for i := range events {
		e := &events[i]
		if e.Evidence {
			continue
		}
		if best < 0 || weight(e.Type) > weight(events[best].Type) ||
			weight(e.Type) == weight(events[best].Type) && e.At.After(events[best].At) {
			best = i
		}
	}
	if best < 0 {
		return makeChip("quiet", "events expired"), m.SubmittedAt
	}
	e := &events[best]
	if e.Type == waypost.CSProcessed {
		return chip{"info", "clock", "waiting", ""}, e.At
	}
	return eventChip(e), e.At
}

func weight(t waypost.EventType) int {
	switch {
	case t.Final():
		return 2
	case t == waypost.CSSent:
		return 1
	}
	return 0
}

// providerNames gives the names of the account's providers by id.
func (d *Dash) providerNames(v *visit) (map[int64]string, error) {
	all, err := d.providersOf(v)
	if err != nil {
		return nil, err
	}
	out := map[int64]string{}
	for i := range all {
		out[all[i].ID] = all[i].Name
	}
	return out, nil
}

var anyUUID = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)

// find leads from the search box to what was meant: a message by its id, also
// inside a Message-ID or a return path, or the messages of an address.
func (d *Dash) find(v *visit) error {
	text := strings.TrimSpace(clip(v.r.URL.Query().Get("q"), 400))
	if id := anyUUID.FindString(text); id != "" {
		u, err := waypost.ParseUUID(id)
		if err != nil {
			return errNoPage
		}
		switch _, err := d.cfg.Store.Message(v.ctx(), v.account(), u); {
		case err == nil:
			return v.redirect("/messages/" + u.String())
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("look for message %s: %w", u, err)
		}
		d.say(v, "warn", "There is no message with the id "+u.String()+".")
		return v.redirect("/messages")
	}
	if strings.Contains(text, "@") {
		return v.redirect(link("/messages", "to", text))
	}
	if text != "" {
		d.say(v, "warn", "Search for a whole e-mail address, or for the id of a message.")
	}
	return v.redirect("/messages")
}

func (d *Dash) retryMessage(v *visit) error  { return d.actOn(v, "retry", "It is due now.") }
func (d *Dash) cancelMessage(v *visit) error { return d.actOn(v, "cancel", "It is cancelled.") }

// actOn changes one message that waits.
func (d *Dash) actOn(v *visit, action, done string) error {
	id, err := waypost.ParseUUID(v.r.PathValue("id"))
	if err != nil {
		return errNoPage
	}
	var changed struct {
		Messages int `json:"messages"`
	}
	err = d.call(v, 0, http.MethodPost, "/account/queue/"+action, map[string]any{"messageIds": []string{id.String()}}, &changed)
	if err != nil {
		return err
	}
	if changed.Messages == 0 {
		d.say(v, "warn", "Nothing was changed: the message is being sent this moment, or is finished.")
	} else {
		d.say(v, "ok", done)
	}
	return v.redirect("/messages/" + id.String())
}

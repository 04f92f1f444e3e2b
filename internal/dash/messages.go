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
	Status  []option
	Help    string
	Rows    []messageRow
	Pager   pager
	Content bool // the person may see subjects
	Filters bool
	Since   time.Time // when older messages are not found by what is asked for; zero: all are
}

// messageRow is one line of it.
type messageRow struct {
	Message  waypost.Message
	Heading  heading
	Status   chip
	At       time.Time // of the status
	Attempts int       // to relay it, so far
	Due      time.Time // of the next one; zero when none is to come
	Provider string
	Sub      string
}

// pager leads through a list: keyset paging, newest first.
type pager struct{ First, Next, Text string }

func (d *Dash) messages(v *visit) error {
	f := newForm(v.r.URL.Query())
	p := messagesPage{Form: f, Status: statusChoices, Help: queryHelp, Content: may(&v.person, waypost.RoleOperator)}
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	p.Subs = subOptions(subs)
	q, err := messageFilters(v, f, p.Content)
	if err != nil {
		return err
	}
	for _, name := range []string{"q", "to", "status", "sub", "from", "until"} {
		p.Filters = p.Filters || f.Get(name) != ""
	}
	if f.OK() {
		found, err := d.cfg.Store.FindMessages(v.ctx(), q)
		if err != nil {
			return fmt.Errorf("find messages: %w", err)
		}
		if q.Sender != "" || q.Tag != "" || q.Subject != "" {
			if p.Since, err = d.cfg.Store.SearchedSince(v.ctx()); err != nil {
				return fmt.Errorf("look from when on messages are found: %w", err)
			}
		}
		if p.Rows, err = d.messageRows(v, found.Messages, subs); err != nil {
			return err
		}
		p.Pager = pages(v, !found.Next.IsZero(), found.Next.String)
		if !found.Next.IsZero() && len(found.Messages) < perPage {
			p.Pager.Text = lookedThrough(store.MostLooked, "messages")
		}
	}
	return d.show(v, "messages", p)
}

// messageFilters reads the filters of an address: the query that was typed, and
// the fields beside it.
func messageFilters(v *visit, f *form, subjects bool) (s store.Search, err error) {
	if wrong := readQuery(clip(f.Get("q"), 400), &s, subjects); wrong != "" {
		f.wrong("q", wrong)
	}
	s.Account, s.Limit, s.SubAccount = v.account(), perPage, formID(f, "sub")
	twice := func(name string, given bool) {
		if given {
			f.wrong(name, "This is part of the query, too; leave one of them out.")
		}
	}
	if to := f.Get("to"); to != "" {
		twice("to", s.Recipient != "")
		s.Recipient = waypost.FoldEmail(to)
	}
	if word := f.Get("status"); word != "" {
		twice("status", s.Status != "")
		var ok bool
		if s.Status, ok = waypost.ParseMessageStatus(word); !ok {
			f.wrong("status", "There is no such status.")
		}
	}
	from, to := dateRange(f)
	if !from.IsZero() {
		twice("from", !s.From.IsZero())
		s.From = from
	}
	if !to.IsZero() {
		twice("until", !s.To.IsZero())
		s.To = to
	}
	if before := f.Get("before"); before != "" {
		if s.Before, err = waypost.ParseUUID(before); err != nil {
			return s, errNoPage
		}
	}
	return s, nil
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

func (d *Dash) messageRows(v *visit, list []waypost.Message, subs []waypost.SubAccount) ([]messageRow, error) {
	names, err := d.providerNames(v)
	if err != nil {
		return nil, err
	}
	ids, contents := make([]waypost.UUID, len(list)), make([]waypost.UUID, len(list))
	for i := range list {
		ids[i], contents[i] = list[i].ID, list[i].Content
	}
	stands, err := d.cfg.Store.Standings(v.ctx(), v.account(), ids)
	if err != nil {
		return nil, fmt.Errorf("read where messages stand: %w", err)
	}
	heads, err := d.subjects.all(v.ctx(), contents)
	if err != nil {
		return nil, err
	}
	out := make([]messageRow, len(list))
	for i := range list {
		m := &list[i]
		s := stands[m.ID]
		row := messageRow{Message: *m, Heading: heads[m.Content], Provider: names[m.Provider], Attempts: s.Attempts, Due: s.Due}
		for k := range subs {
			if subs[k].ID == m.SubAccount {
				row.Sub = subs[k].Name
			}
		}
		if may(&v.person, waypost.RoleOperator) {
			row.Heading.Subject = orElse(row.Heading.Subject, "(no subject)")
		} else {
			row.Heading.Subject = ""
		}
		row.Status, row.At = standing([]waypost.Event{s.Event}, m)
		out[i] = row
	}
	return out, nil
}

// standing is where a message stands, by its events.
func standing(events []waypost.Event, m *waypost.Message) (chip, time.Time) {
	status, by := waypost.StatusOf(events)
	switch status {
	case waypost.StatusExpired:
		return makeChip("quiet", "events expired"), m.SubmittedAt
	case waypost.StatusQueued:
		return chip{"info", "clock", "waiting", ""}, by.At
	case waypost.StatusSent, waypost.StatusDelivered, waypost.StatusSoftBounced, waypost.StatusHardBounced, waypost.StatusDropped:
	}
	return eventChip(by), by.At
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
// inside a Message-ID or a return path, or by the id that a mail server gave it;
// the messages of an address; or those that a query selects.
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
	all := terms(text)
	switch {
	case text == "":
		return v.redirect("/messages")
	case len(all) == 1 && all[0].key == "" && strings.Contains(text, "@"):
		return v.redirect(link("/messages", "to", text))
	case len(all) == 1 && (all[0].key == "" || all[0].key == "queue"):
		return d.findQueued(v, waypost.QueueID(all[0].value))
	}
	return v.redirect(link("/messages", "q", text))
}

// findQueued leads to the message with a mail server's id, or to the list when
// several had it: a server gives an id again.
func (d *Dash) findQueued(v *visit, id waypost.QueueID) error {
	found, err := d.cfg.Store.FindMessages(v.ctx(), store.Search{MessageQuery: store.MessageQuery{Account: v.account(), Limit: 2}, Queue: id})
	switch {
	case err != nil:
		return fmt.Errorf("look for queue id %q: %w", id, err)
	case len(found.Messages) == 1:
		return v.redirect("/messages/" + found.Messages[0].ID.String())
	case len(found.Messages) > 1:
		return v.redirect(link("/messages", "q", "queue:"+quoted(string(id))))
	}
	d.say(v, "warn", "No message has the queue id "+string(id)+". The search takes a whole e-mail address, the id of a message, a mail server's queue id, or a query such as subject:order status:dropped.")
	return v.redirect("/messages")
}

// quoted is a value as a query holds it.
func quoted(s string) string {
	if strings.ContainsAny(s, " \t") {
		return `"` + s + `"`
	}
	return s
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
		d.say(v, "warn", "Nothing was changed: the message is due already, is being sent this moment, or is finished.")
	} else {
		d.say(v, "ok", done)
	}
	return v.redirect("/messages/" + id.String())
}

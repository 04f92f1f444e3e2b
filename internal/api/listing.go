package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// EventFilter is the query that selects events (sendpost.md, a.1).
type EventFilter struct {
	Search   string `query:"search" maxLength:"320" doc:"a recipient's whole address, or a message id"`
	Type     string `query:"type" maxLength:"200" doc:"numbers or names of event types, separated by commas: 63 or CSHardBounced"`
	From     string `query:"from" maxLength:"40" doc:"stored at or after: a UTC day, or a time of RFC 3339"`
	To       string `query:"to" maxLength:"40" doc:"stored on or before this UTC day, or before this time"`
	Source   string `query:"source" enum:"subaccount,tpsp,domain" doc:"what sourceId is the id of"`
	SourceID int64  `query:"sourceId" minimum:"0"`
	Code     int    `query:"smtpCode" minimum:"0" maximum:"999"`
}

type eventList struct {
	EventFilter
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"100"`
	Offset int    `query:"offset" default:"0" minimum:"0"`
	Before string `query:"before" maxLength:"20" doc:"only events older than this eventID: goes through long lists at the same speed on every page"`
}

type eventPath struct {
	ID string `path:"id" maxLength:"64"`
}

// MessageFilter is the query that selects messages.
type MessageFilter struct {
	Search string `query:"search" maxLength:"320" doc:"a recipient's whole address"`
	From   string `query:"from" maxLength:"40" doc:"submitted at or after: a UTC day, or a time of RFC 3339"`
	To     string `query:"to" maxLength:"40" doc:"submitted on or before this UTC day, or before this time"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"100"`
	Offset int    `query:"offset" default:"0" minimum:"0"`
	Before string `query:"before" maxLength:"36" doc:"only messages older than this id: goes through long lists at the same speed on every page"`
	MessageSearch
}

// MessageSearch is what messages are searched by beside recipient and time. Such
// a list goes on by before alone.
type MessageSearch struct {
	Status  string `query:"status" enum:"queued,sent,delivered,softBounced,hardBounced,dropped" doc:"where the message stands; sent: the provider took it, and no more is known"`
	QueueID string `query:"queueId" maxLength:"255" doc:"a mail server's queue id of the message"`
	Sender  string `query:"sender" maxLength:"320" doc:"the whole address of From"`
	Tag     string `query:"tag" maxLength:"255" doc:"one of the groups, exact"`
	Subject string `query:"subject" maxLength:"200" doc:"part of the subject, in any case; has no index, so that few others should have to be looked through"`
}

func (s *MessageSearch) given() bool { return *s != MessageSearch{} }

type recipientMessages struct {
	Recipient string `path:"recipient" maxLength:"320"`
	MessageFilter
}

func (a *API) listingRoutes() {
	listed := views[[]foundMessage, []Message, []MessageV1]{legacy: each(messageView), v1: each(messageViewV1)}
	for kind, at := range map[waypost.KeyKind]string{waypost.KeyAccount: "/account", waypost.KeySubAccount: "/subaccount"} {
		registerBoth(a, operation(http.MethodGet, at+"/event", "List events, newest first", kind), nil, a.listEvents, eventListViews)
		register(a, operation(http.MethodGet, at+"/event/count", "Count events, up to 100,000", kind), nil, a.countEvents)
		registerBoth(a, operation(http.MethodGet, at+"/event/{id}", "Read one event", kind), nil, a.getEvent, eventViews)
		of := operation(http.MethodGet, at+"/recipient/{recipient}/messages", "List the messages to an address, newest first", kind)
		registerBoth(a, of, nil, a.recipientMessages, listed)
	}
	all := operation(http.MethodGet, "/account/message", "List messages of at most 60 days, newest first", waypost.KeyAccount)
	all.Errors = append(all.Errors, http.StatusBadRequest)
	registerBoth(a, all, nil, a.accountMessages, listed)
	registerBoth(a, operation(http.MethodGet, "/subaccount/message", "List messages, newest first", waypost.KeySubAccount), nil, a.listMessages, listed)
	a.exportRoutes()
}

// query puts the filter into the store's words, for the caller.
func (f *EventFilter) query(ctx context.Context) (q store.EventQuery, err error) {
	key := caller(ctx)
	q = store.EventQuery{Account: key.Account, SubAccount: key.SubAccount, Code: f.Code}
	if q.From, q.To, err = moments(f.From, f.To); err != nil {
		return q, err
	}
	if q.Types, err = eventTypes(f.Type); err != nil {
		return q, err
	}
	switch search := strings.TrimSpace(f.Search); {
	case search == "":
	case strings.Contains(search, "@"):
		q.Recipient = recipientForm(search)
	default:
		if q.Message, err = waypost.ParseUUID(search); err != nil {
			return q, badField("search", "must be a recipient's whole address or a message id")
		}
	}
	switch {
	case f.SourceID == 0 && f.Source == "":
	case f.SourceID == 0 || f.Source == "":
		return q, badField("source", "source and sourceId go together: say what and which")
	case f.Source == "tpsp":
		q.Provider = f.SourceID
	case f.Source == "domain":
		q.Domain = f.SourceID
	case key.SubAccount != 0 && key.SubAccount != f.SourceID:
		return q, unknown(ctx, "sub-account", f.SourceID)
	default:
		q.SubAccount = f.SourceID
	}
	return q, nil
}

// recipientForm is the form in which the recipients of messages are compared.
// What is no address is compared as it is: a message to it was dropped, and can
// be asked for.
func recipientForm(search string) string {
	if form, err := suppressedForm(search); err == nil {
		return form
	}
	return waypost.FoldEmail(search)
}

// eventTypes reads a list of numbers or names.
func eventTypes(text string) ([]waypost.EventType, error) {
	var out []waypost.EventType
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		t, ok := waypost.ParseEventType(part)
		if n, err := strconv.ParseInt(part, 10, 16); err == nil {
			t, ok = waypost.EventType(n), waypost.EventType(n).String() != ""
		}
		if !ok {
			return nil, badField("type", "has a word that is no event type; types are 58 to 68, or names such as CSHardBounced")
		}
		out = append(out, t)
	}
	return out, nil
}

// moments reads a range of time [from, to): a day as its end is included.
func moments(from, to string) (f, t time.Time, err error) {
	read := func(field, text string, end bool) time.Time {
		if text = strings.TrimSpace(text); text == "" || err != nil {
			return time.Time{}
		}
		if d, bad := time.Parse(time.DateOnly, text); bad == nil {
			if end {
				d = d.AddDate(0, 0, 1)
			}
			return d
		}
		at, bad := time.Parse(time.RFC3339, text)
		if bad != nil {
			err = badField(field, "must be a day such as 2026-03-14 or a time such as 2026-03-14T09:26:53Z")
		}
		return at
	}
	f, t = read("from", from, false), read("to", to, true)
	if err == nil && !f.IsZero() && !t.IsZero() && !f.Before(t) {
		err = badField("to", "the range ends before it begins; swap from and to")
	}
	return f, t, err
}

func (a *API) listEvents(ctx context.Context, in *eventList) ([]foundEvent, error) {
	q, err := in.query(ctx)
	if err != nil {
		return nil, err
	}
	q.Limit, q.Offset = in.Limit, in.Offset
	if in.Before != "" {
		if q.Before, err = strconv.ParseInt(in.Before, 10, 64); err != nil || q.Before < 1 {
			return nil, badField("before", "must be the eventID of an event")
		}
	}
	key := cursorKey(q)
	if last, ok := a.cursors.find(key(q.Offset)); ok && q.Before == 0 && q.Offset > 0 {
		q.Before, q.Offset = last.event, 0
	}
	if q.Offset > mostCounted {
		return nil, tooFar()
	}
	all, err := a.cfg.Store.ListEvents(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	if len(all) == in.Limit && in.Before == "" {
		a.cursors.note(key(in.Offset+in.Limit), cursor{event: all[len(all)-1].ID})
	}
	return a.withMessages(ctx, all)
}

func (a *API) countEvents(ctx context.Context, in *EventFilter) (Count, error) {
	q, err := in.query(ctx)
	if err != nil {
		return Count{}, err
	}
	n, err := a.cfg.Store.CountEvents(ctx, q)
	if err != nil {
		return Count{}, fmt.Errorf("count events: %w", err)
	}
	return Count{n}, nil
}

func (a *API) getEvent(ctx context.Context, in *eventPath) (foundEvent, error) {
	key := caller(ctx)
	id, err := strconv.ParseInt(in.ID, 10, 64)
	if err != nil {
		return foundEvent{}, unknown(ctx, "event", strconv.Quote(in.ID))
	}
	e, err := a.cfg.Store.Event(ctx, key.Account, id)
	if isNotFound(err) || err == nil && key.SubAccount != 0 && e.SubAccount != key.SubAccount {
		return foundEvent{}, unknown(ctx, "event", id)
	}
	if err != nil {
		return foundEvent{}, fmt.Errorf("read event %d: %w", id, err)
	}
	all, err := a.withMessages(ctx, []waypost.Event{e})
	if err != nil {
		return foundEvent{}, err
	}
	return all[0], nil
}

// accountMessages wants a range, of at most 60 days; what is wrong with it is
// a 400 (sendpost.md, a.1).
func (a *API) accountMessages(ctx context.Context, in *MessageFilter) ([]foundMessage, error) {
	from, to, err := moments(in.From, in.To)
	switch {
	case err != nil:
		field, _, _ := strings.Cut(err.Error(), ":")
		return nil, badRange(field, strings.TrimPrefix(err.Error(), field+": "))
	case from.IsZero() || to.IsZero():
		return nil, badRange("from", "from and to are missing: say which days, at most 60")
	case to.Sub(from) > 60*24*time.Hour:
		return nil, badRange("to", "the range is longer than 60 days")
	}
	return a.listMessages(ctx, in)
}

func (a *API) recipientMessages(ctx context.Context, in *recipientMessages) ([]foundMessage, error) {
	if in.Search != "" {
		return nil, badField("search", "the address stands in the path; leave search out")
	}
	if in.Search = in.Recipient; !strings.Contains(in.Search, "@") { // a blank one would select everybody
		return nil, badField("recipient", "must be a whole address")
	}
	return a.listMessages(ctx, &in.MessageFilter)
}

func (a *API) listMessages(ctx context.Context, in *MessageFilter) ([]foundMessage, error) {
	key := caller(ctx)
	q := store.MessageQuery{Account: key.Account, SubAccount: key.SubAccount, Limit: in.Limit, Offset: in.Offset}
	var err error
	if q.From, q.To, err = moments(in.From, in.To); err != nil {
		return nil, err
	}
	if search := strings.TrimSpace(in.Search); search != "" {
		if !strings.Contains(search, "@") {
			return nil, badField("search", "must be a recipient's whole address")
		}
		q.Recipient = recipientForm(search)
	}
	if in.Before != "" {
		if q.Before, err = waypost.ParseUUID(in.Before); err != nil {
			return nil, badField("before", "must be the id of a message")
		}
	}
	if in.given() {
		return a.searchMessages(ctx, q, &in.MessageSearch)
	}
	at := cursorKey(q)
	if last, ok := a.cursors.find(at(q.Offset)); ok && q.Before.IsZero() && q.Offset > 0 {
		q.Before, q.Offset = last.message, 0
	}
	if q.Offset > mostCounted {
		return nil, tooFar()
	}
	all, err := a.cfg.Store.ListMessages(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	if len(all) == in.Limit && in.Before == "" {
		a.cursors.note(at(in.Offset+in.Limit), cursor{message: all[len(all)-1].ID})
	}
	return a.withContents(ctx, all)
}

// mostLooked is how many messages, or calls, one search looks through: some
// hundred milliseconds' work.
const mostLooked = 50_000

// searchMessages lists the messages that a search finds. It never leaves a page
// short without saying so: a program would take that for the end.
func (a *API) searchMessages(ctx context.Context, q store.MessageQuery, in *MessageSearch) ([]foundMessage, error) {
	if q.Offset != 0 {
		return nil, badField("offset", "status, queueId, sender, tag and subject go on behind a message: give before, the id of the last one")
	}
	status, _ := waypost.ParseMessageStatus(in.Status) // the framework took no other
	found, err := a.cfg.Store.FindMessages(ctx, store.Search{
		MessageQuery: q, Status: status, Queue: waypost.QueueID(strings.TrimSpace(in.QueueID)), Sender: waypost.FoldEmail(strings.TrimSpace(in.Sender)),
		Tag: in.Tag, Subject: strings.TrimSpace(in.Subject), Look: mostLooked,
	})
	if err != nil {
		return nil, fmt.Errorf("search messages: %w", err)
	}
	if !found.Next.IsZero() && len(found.Messages) < q.Limit {
		return nil, badField("before", "%d messages were looked through and %d found; narrow the search with from and to, ask for fewer with limit, or go on with before=%s",
			mostLooked, len(found.Messages), found.Next)
	}
	return a.withContents(ctx, found.Messages)
}

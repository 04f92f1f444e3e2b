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
	"github.com/waypost-mail/waypost/internal/suppresslist"
)

// SuppressionEntry is a suppressed address with what the documented shapes
// leave out: where it came from, and until when it holds.
type SuppressionEntry struct {
	ID        int64      `json:"id"`
	Email     string     `json:"email"`
	Type      string     `json:"type" enum:"hardBounce,manual,spamComplaint,unsubscribe"`
	Reason    string     `json:"reason" doc:"the same in words"`
	Text      string     `json:"text" doc:"the reply behind a bounce, or what a person wrote"`
	MessageID string     `json:"messageId" doc:"the message that led to it; empty when a person did"`
	Created   time.Time  `json:"created"`
	Expires   *time.Time `json:"expires" doc:"null: never"`
}

// SuppressionEntries is a page of them.
type SuppressionEntries struct {
	Entries []SuppressionEntry `json:"entries"`
	Next    string             `json:"next" doc:"value of before for the next page; empty: there is none"`
}

// SuppressionEntryRequest adds addresses with a text and an end.
type SuppressionEntryRequest struct {
	Entries []NewSuppression `json:"entries"`
}

// NewSuppression is one address to add.
type NewSuppression struct {
	Email   string     `json:"email"`
	Type    string     `json:"type,omitempty" doc:"hardBounce, manual, spamComplaint or unsubscribe; manual when absent"`
	Text    string     `json:"text,omitempty"`
	Expires *time.Time `json:"expires,omitempty" doc:"when the address may be mailed again; absent: never"`
}

type entryList struct {
	SuppressionFilter
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Before string `query:"before" maxLength:"20" doc:"next of the page before: goes through long lists at the same speed on every page. A page of a search looks through 100,000 entries, so one with fewer than limit, or none, may have a next"`
}

func (a *API) suppressionEntryRoutes() {
	const path = "/subaccount/suppression/entry"
	register(a, operation(http.MethodGet, path, "List suppressed addresses with origin and expiry, newest first", waypost.KeySubAccount), nil, a.listEntries)
	add := operation(http.MethodPost, path, "Add addresses with a text and an expiry; one that is on the list keeps its entry", waypost.KeySubAccount)
	register(a, add, SuppressionEntryRequest{}, a.addEntries)
}

func entryView(s waypost.Suppression) SuppressionEntry {
	out := SuppressionEntry{
		ID: s.ID, Email: s.Email, Type: suppresslist.TypeName(s.Reason), Reason: s.Reason.String(), Text: s.Text,
		MessageID: originOf(&s), Created: s.Created.UTC(),
	}
	if !s.Expires.IsZero() {
		at := s.Expires.UTC()
		out.Expires = &at
	}
	return out
}

// mostEntriesLooked is how many entries one page looks through for a part of an
// address, which no index finds.
const mostEntriesLooked = 100_000

func (a *API) listEntries(ctx context.Context, in *entryList) (SuppressionEntries, error) {
	q, err := in.query(ctx, false)
	if err != nil {
		return SuppressionEntries{}, err
	}
	q.Limit = in.Limit
	if q.Search != "" {
		q.Look = mostEntriesLooked
	}
	if in.Before != "" {
		if q.Before, err = strconv.ParseInt(in.Before, 10, 64); err != nil || q.Before < 1 {
			return SuppressionEntries{}, badField("before", "must be next of another page")
		}
	}
	all, err := a.cfg.Store.ListSuppressions(ctx, q)
	if err != nil {
		return SuppressionEntries{}, fmt.Errorf("list suppressions: %w", err)
	}
	out := SuppressionEntries{Entries: each(entryView)(all)}
	if len(all) == in.Limit {
		out.Next = strconv.FormatInt(all[len(all)-1].ID, 10)
		return out, nil
	}
	if q.Look == 0 {
		return out, nil
	}
	edge, err := a.cfg.Store.ListSuppressions(ctx, store.SuppressionQuery{SubAccount: q.SubAccount, Before: q.Before, Offset: q.Look - 1, Limit: 1})
	if err != nil {
		return SuppressionEntries{}, fmt.Errorf("list suppressions: %w", err)
	}
	if len(edge) > 0 {
		out.Next = strconv.FormatInt(edge[0].ID, 10)
	}
	return out, nil
}

func (a *API) addEntries(ctx context.Context, in *raw) (SuppressionEntries, error) {
	req, err := decode[SuppressionEntryRequest](in.RawBody)
	switch {
	case err != nil:
		return SuppressionEntries{}, err
	case len(req.Entries) == 0:
		return SuppressionEntries{}, badField("entries", "has no address")
	case len(req.Entries) > mostSuppressed:
		return SuppressionEntries{}, badField("entries", "%d addresses; at most %d in one call", len(req.Entries), mostSuppressed)
	}
	now := time.Now().Truncate(time.Millisecond)
	rows := make([]waypost.Suppression, len(req.Entries))
	for i := range req.Entries {
		if rows[i], err = newSuppression(ctx, &req.Entries[i], fmt.Sprintf("entries[%d]", i), now); err != nil {
			return SuppressionEntries{}, err
		}
	}
	all, err := a.suppress(ctx, rows)
	return SuppressionEntries{Entries: each(entryView)(all)}, err
}

func newSuppression(ctx context.Context, n *NewSuppression, at string, now time.Time) (waypost.Suppression, error) {
	s := waypost.Suppression{Account: caller(ctx).Account, SubAccount: caller(ctx).SubAccount, Text: n.Text, Created: now}
	var err error
	if s.Email, err = suppressedForm(n.Email); err != nil {
		return s, badField(at+".email", "%v", err)
	}
	ok := n.Type == ""
	if !ok {
		s.Reason, ok = suppresslist.ParseType(n.Type)
	}
	switch {
	case !ok:
		return s, badField(at+".type", "must be hardBounce, manual, spamComplaint or unsubscribe")
	case len(n.Text) > waypost.MaxText || strings.ContainsFunc(n.Text, isControl):
		return s, badField(at+".text", "must have at most %d bytes without control characters", waypost.MaxText)
	}
	if n.Expires != nil {
		if s.Expires = n.Expires.UTC().Truncate(time.Millisecond); !s.Expires.After(now) {
			return s, badField(at+".expires", "lies in the past")
		}
		if !dated(s.Expires) {
			return s, badField(at+".expires", "lies beyond the year 9999; leave it out for never")
		}
	}
	return s, nil
}

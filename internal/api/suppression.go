package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/suppresslist"
)

// Suppression answers with the legacy fields of a suppressed address
// (sendpost.md, a.3 and h).
type Suppression struct {
	ID        int64  `json:"id"`
	Reason    int    `json:"reason" doc:"0 manual, 1 unsubscribe, 2 hard bounce, 3 spam complaint"`
	SMTPError string `json:"smtp_error"`
	Email     string `json:"email"`
	Created   int64  `json:"created" doc:"UNIX nanoseconds"`
}

// SuppressionV1 is a suppressed address in the contract v1.
type SuppressionV1 struct {
	ID          int64  `json:"id"`
	Email       string `json:"email"`
	Reason      int    `json:"reason" doc:"0 manual, 1 unsubscribe, 2 hard bounce, 3 spam complaint, 4 hard bounce found after sending"`
	ReasonText  string `json:"reasonText"`
	SMTPError   string `json:"smtpError"`
	MessageUUID string `json:"messageUUID"`
	Created     int64  `json:"created" doc:"UNIX nanoseconds"`
}

func suppressionView(s waypost.Suppression) Suppression {
	reason := s.Reason
	if reason == waypost.SuppressValidation { // of v1 only
		reason = waypost.SuppressHardBounce
	}
	return Suppression{s.ID, int(reason), s.Text, s.Email, s.Created.UnixNano()}
}

func suppressionViewV1(s waypost.Suppression) SuppressionV1 {
	return SuppressionV1{s.ID, s.Email, int(s.Reason), s.Reason.String(), s.Text, originOf(&s), s.Created.UnixNano()}
}

// originOf is the message that led to a suppression, "" when a person did.
func originOf(s *waypost.Suppression) string {
	if s.Message.IsZero() {
		return ""
	}
	return s.Message.String()
}

// SuppressionRequest adds addresses, each list under its reason.
type SuppressionRequest struct {
	HardBounce    []SuppressionEmail `json:"hardBounce,omitempty"`
	Manual        []SuppressionEmail `json:"manual,omitempty"`
	Unsubscribe   []SuppressionEmail `json:"unsubscribe,omitempty"`
	SpamComplaint []SuppressionEmail `json:"spamComplaint,omitempty"`
}

// SuppressionEmail is an address to add or to remove.
type SuppressionEmail struct {
	Email string `json:"email"`
}

// SuppressionDeletion removes addresses, whatever their reason.
type SuppressionDeletion struct {
	Suppressions []SuppressionEmail `json:"suppressions"`
}

// DeletionMessage is the answer to a deletion in the contract v1.
type DeletionMessage struct {
	Message string `json:"message"`
}

// The limits of the suppression calls.
const (
	mostSuppressed  = 10_000 // addresses in one call
	maxSuppressDays = 60     // of a list
	maxListedV1     = 100    // entries of a page in v1; the older contract names no limit
)

// SuppressionFilter is the query that selects suppressions (sendpost.md, a.1).
type SuppressionFilter struct {
	From   string `query:"from" maxLength:"10" doc:"first UTC day, such as 2026-03-01"`
	To     string `query:"to" maxLength:"10" doc:"last UTC day; at most 60 days with from"`
	Search string `query:"search" maxLength:"320" doc:"part of the address, in any case"`
	Type   string `query:"type" maxLength:"60" doc:"hardBounce, manual, spamComplaint or unsubscribe; several separated by commas"`
}

type suppressionList struct {
	SuppressionFilter
	Limit  int `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"at most 100 in the contract v1"`
	Offset int `query:"offset" default:"0" minimum:"0"`
}

func (a *API) suppressionRoutes() {
	const path = "/subaccount/suppression"
	listed := views[[]waypost.Suppression, []Suppression, []SuppressionV1]{legacy: each(suppressionView), v1: each(suppressionViewV1)}
	list := operation(http.MethodGet, path, "List suppressed addresses that were added within at most 60 days, newest first", waypost.KeySubAccount)
	registerBoth(a, list, nil, a.listSuppressions, listed)
	register(a, operation(http.MethodGet, path+"/count", "Count suppressed addresses", waypost.KeySubAccount), nil, a.countSuppressions)
	add := operation(http.MethodPost, path, "Add addresses; one that is on the list keeps its entry", waypost.KeySubAccount)
	remove := operation(http.MethodDelete, path, "Remove addresses, whatever their reason", waypost.KeySubAccount)
	add.Errors, remove.Errors = append(add.Errors, http.StatusNotAcceptable), append(remove.Errors, http.StatusNotAcceptable)
	registerBoth(a, add, SuppressionRequest{}, a.addSuppressions, listed)
	registerBoth(a, remove, SuppressionDeletion{}, a.removeSuppressions, views[[]waypost.Suppression, []Deleted, DeletionMessage]{
		legacy: each(suppressionDeleted), v1: suppressionsDeleted,
	})
	a.suppressionEntryRoutes()
	a.suppressionFileRoutes()
}

// query puts the filter into the store's words, for the caller's sub-account.
func (f *SuppressionFilter) query(ctx context.Context, needDays bool) (q store.SuppressionQuery, err error) {
	q = store.SuppressionQuery{SubAccount: caller(ctx).SubAccount, Search: strings.TrimSpace(f.Search), Now: time.Now()}
	for field, day := range map[string]string{"from": f.From, "to": f.To} {
		if strings.TrimSpace(day) == "" && needDays {
			return q, badField(field, "is missing; from and to are days such as 2026-03-01, at most %d days apart", maxSuppressDays)
		}
		if _, bad := time.Parse(time.DateOnly, strings.TrimSpace(day)); bad != nil && day != "" {
			return q, badField(field, "must be a day such as 2026-03-01")
		}
	}
	if q.From, q.To, err = moments(f.From, f.To); err != nil {
		return q, err
	}
	if needDays && q.To.Sub(q.From) > (maxSuppressDays+1)*24*time.Hour {
		return q, badField("to", "the range has more than %d days; ask for less at once, or see GET /api/v1/subaccount/suppression/entry", maxSuppressDays)
	}
	for name := range strings.SplitSeq(f.Type, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		reason, ok := suppresslist.ParseType(name)
		if !ok {
			return q, badField("type", "must be hardBounce, manual, spamComplaint or unsubscribe")
		}
		q.Reasons = append(q.Reasons, reason)
		if reason == waypost.SuppressHardBounce {
			q.Reasons = append(q.Reasons, waypost.SuppressValidation)
		}
	}
	return q, nil
}

func (a *API) listSuppressions(ctx context.Context, in *suppressionList) ([]waypost.Suppression, error) {
	if in.Limit > maxListedV1 && contractOf(ctx) == v1 {
		return nil, badField("limit", "must be at most %d", maxListedV1)
	}
	q, err := in.query(ctx, true)
	if err != nil {
		return nil, err
	}
	q.Limit, q.Offset = in.Limit, in.Offset
	all, err := a.cfg.Store.ListSuppressions(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	return all, nil
}

func (a *API) countSuppressions(ctx context.Context, in *SuppressionFilter) (Count, error) {
	q, err := in.query(ctx, false)
	if err != nil {
		return Count{}, err
	}
	n, err := a.cfg.Store.CountSuppressions(ctx, q)
	if err != nil {
		return Count{}, fmt.Errorf("count suppressions: %w", err)
	}
	return Count{n}, nil
}

// suppressedForm is the form in which an address is on the list.
func suppressedForm(email string) (string, error) {
	folded, err := compose.Mailbox(strings.TrimSpace(email))
	if err != nil {
		return "", err
	}
	return waypost.FoldEmail(folded), nil
}

func nothingGiven(what string) *Error {
	e := unacceptable("the call has no address; " + what)
	e.Body.Param = "body"
	return e
}

func (a *API) addSuppressions(ctx context.Context, in *raw) ([]waypost.Suppression, error) {
	req, err := decode[SuppressionRequest](in.RawBody)
	if err != nil {
		return nil, err
	}
	var rows []waypost.Suppression
	var bad []ErrorDetail
	now := time.Now().Truncate(time.Millisecond)
	for _, list := range []struct {
		field  string
		reason waypost.SuppressionReason
		emails []SuppressionEmail
	}{ // the order of the answer (sendpost.md, h)
		{"hardBounce", waypost.SuppressHardBounce, req.HardBounce},
		{"manual", waypost.SuppressManual, req.Manual},
		{"unsubscribe", waypost.SuppressUnsubscribe, req.Unsubscribe},
		{"spamComplaint", waypost.SuppressComplaint, req.SpamComplaint},
	} {
		for i, e := range list.emails {
			email, err := suppressedForm(e.Email)
			if err != nil && len(bad) < 20 {
				bad = append(bad, ErrorDetail{fmt.Sprintf("%s[%d].email", list.field, i), err.Error()})
			}
			rows = append(rows, waypost.Suppression{
				Account: caller(ctx).Account, SubAccount: caller(ctx).SubAccount, Email: email, Reason: list.reason, Created: now,
			})
		}
	}
	switch {
	case len(bad) > 0:
		return nil, invalid(bad...)
	case len(rows) == 0:
		return nil, nothingGiven("give some under hardBounce, manual, unsubscribe or spamComplaint")
	case len(rows) > mostSuppressed:
		return nil, badField("body", "%d addresses; at most %d in one call; POST /api/v1/subaccount/suppression/import takes files of any length", len(rows), mostSuppressed)
	}
	return a.suppress(ctx, rows)
}

// suppressBatch is how many addresses go into one transaction.
const suppressBatch = 1000

// suppress stores rows and gives those that are on the list now, in the order
// given, each address once.
func (a *API) suppress(ctx context.Context, rows []waypost.Suppression) ([]waypost.Suppression, error) {
	var out []waypost.Suppression
	added, seen := 0, map[string]bool{}
	for len(rows) > 0 {
		batch := rows[:min(len(rows), suppressBatch)]
		rows = rows[len(batch):]
		n, err := a.cfg.Store.Suppress(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("store %d suppressions: %w", len(batch), err)
		}
		added += n
		emails := make([]string, len(batch))
		for i := range batch {
			emails[i] = batch[i].Email
		}
		now, err := a.cfg.Store.Suppressed(ctx, caller(ctx).SubAccount, emails, time.Now())
		if err != nil {
			return nil, fmt.Errorf("read %d suppressions back: %w", len(emails), err)
		}
		for _, email := range emails {
			if s, ok := now[email]; ok && !seen[email] {
				seen[email] = true
				out = append(out, s)
			}
		}
	}
	a.audit(ctx, "suppression.add", fmt.Sprintf("sub-account %d", caller(ctx).SubAccount), "added %d addresses to the suppression list", added)
	return out, nil
}

func (a *API) removeSuppressions(ctx context.Context, in *raw) ([]waypost.Suppression, error) {
	req, err := decode[SuppressionDeletion](in.RawBody)
	switch {
	case err != nil:
		return nil, err
	case len(req.Suppressions) == 0:
		return nil, nothingGiven(`give some as {"suppressions":[{"email":"…"}]}`)
	case len(req.Suppressions) > mostSuppressed:
		return nil, badField("suppressions", "%d addresses; at most %d in one call", len(req.Suppressions), mostSuppressed)
	}
	emails := make([]string, len(req.Suppressions))
	for i, s := range req.Suppressions {
		if emails[i], err = suppressedForm(s.Email); err != nil {
			return nil, badField(fmt.Sprintf("suppressions[%d].email", i), "%v", err)
		}
	}
	gone := map[string]waypost.Suppression{}
	for rest := emails; len(rest) > 0; {
		batch := rest[:min(len(rest), suppressBatch)]
		rest = rest[len(batch):]
		rows, err := a.cfg.Store.Unsuppress(ctx, caller(ctx).SubAccount, batch)
		if err != nil {
			return nil, fmt.Errorf("remove %d suppressions: %w", len(batch), err)
		}
		for _, s := range rows {
			gone[s.Email] = s
		}
	}
	a.audit(ctx, "suppression.remove", fmt.Sprintf("sub-account %d", caller(ctx).SubAccount), "removed %d addresses from the suppression list", len(gone))
	var out []waypost.Suppression
	for _, email := range emails { // the order of the request
		if s, ok := gone[email]; ok {
			out = append(out, s)
			delete(gone, email)
		}
	}
	return out, nil
}

func suppressionDeleted(s waypost.Suppression) Deleted {
	return Deleted{s.ID, fmt.Sprintf("Suppression (%s) has been deleted successfully", s.Email)}
}

func suppressionsDeleted(all []waypost.Suppression) DeletionMessage {
	switch len(all) {
	case 0:
		return DeletionMessage{"None of the addresses was on the suppression list"}
	case 1:
		return DeletionMessage{suppressionDeleted(all[0]).Message}
	}
	return DeletionMessage{fmt.Sprintf("%d suppressions have been deleted successfully", len(all))}
}

package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Audit is who changed what.
type Audit struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor" doc:"hint of the API key"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Text   string    `json:"text"`
}

func (a *API) auditRoutes() {
	register(a, operation(http.MethodGet, "/account/audit", "Who changed what, newest first", waypost.KeyAccount), nil, a.audits)
}

// audited tells whether a request has noted its change. One that has not is
// noted by its operation's name, so that no change is without a trace.
type audited struct{ done bool }

type auditedKey struct{}

// audit notes a change. A change that is made is not undone because its note
// cannot be stored; that is logged.
func (a *API) audit(ctx context.Context, action, object, format string, args ...any) {
	key := caller(ctx)
	if note, ok := ctx.Value(auditedKey{}).(*audited); ok {
		note.done = true
	}
	e := waypost.Audit{
		Account: key.Account, At: time.Now().Truncate(time.Millisecond), Actor: key.Hint,
		Action: action, Object: object, Text: fmt.Sprintf(format, args...),
	}
	if err := a.cfg.Store.AddAudit(ctx, &e); err != nil {
		a.cfg.Log.ErrorContext(ctx, "cannot store an audit entry", "action", action, "object", object, "error", err)
	}
}

// AuditFilter is the query that selects audit entries.
type AuditFilter struct {
	Actor  string `query:"actor" maxLength:"320" doc:"who: the hint of an API key, the address of a person, or cli"`
	Action string `query:"action" maxLength:"100" doc:"what was done, such as provider.update"`
	Object string `query:"object" maxLength:"200" doc:"to what, such as provider 7"`
	Search string `query:"search" maxLength:"200" doc:"part of any of these, or of the change in words, in any case"`
	From   string `query:"from" maxLength:"40" doc:"noted at or after: a UTC day, or a time of RFC 3339"`
	To     string `query:"to" maxLength:"40" doc:"noted on or before this UTC day, or before this time"`
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"entries to answer"`
	Offset int    `query:"offset" default:"0" minimum:"0" doc:"entries to pass over"`
	Before string `query:"before" maxLength:"20" doc:"only entries older than this id: goes through long lists at the same speed on every page"`
}

func (a *API) audits(ctx context.Context, in *AuditFilter) ([]Audit, error) {
	q := store.AuditQuery{
		Account: caller(ctx).Account, Actor: strings.TrimSpace(in.Actor), Action: strings.TrimSpace(in.Action), Object: strings.TrimSpace(in.Object),
		Search: strings.TrimSpace(in.Search), Limit: in.Limit, Offset: in.Offset,
	}
	var err error
	if q.From, q.To, err = moments(in.From, in.To); err != nil {
		return nil, err
	}
	if in.Before != "" {
		if q.Before, err = strconv.ParseInt(in.Before, 10, 64); err != nil || q.Before < 1 {
			return nil, badField("before", "must be the id of an entry")
		}
	}
	if q.Offset > mostCounted {
		return nil, tooFar()
	}
	all, err := a.cfg.Store.Audits(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list the audit: %w", err)
	}
	out := make([]Audit, len(all.Entries))
	for i, e := range all.Entries {
		out[i] = Audit{e.ID, e.At, e.Actor, e.Action, e.Object, e.Text}
	}
	return out, nil
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

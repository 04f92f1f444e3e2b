package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
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

func (a *API) audits(ctx context.Context, in *page) ([]Audit, error) {
	all, err := a.cfg.Store.Audits(ctx, caller(ctx).Account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list the audit: %w", err)
	}
	out := make([]Audit, len(all))
	for i, e := range all {
		out[i] = Audit{e.ID, e.At, e.Actor, e.Action, e.Object, e.Text}
	}
	return out, nil
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

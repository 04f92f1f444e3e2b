package store

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
)

// Surgery lets people see and change what waits. A message that a worker holds
// is in flight and is not touched.
type Surgery interface {
	// Lanes lists the lanes of an account that have messages, with their
	// numbers, counted up to 100,000 each. That of simulated recipients, which
	// all accounts share, is left out.
	Lanes(ctx context.Context, account int64) ([]LaneDepth, error)
	// Waiting lists messages that wait, in the order of lane, due time and id.
	Waiting(ctx context.Context, q WaitingQuery) ([]Queued, error)
	// RetryNow makes messages due at once and tells how many.
	RetryNow(ctx context.Context, account int64, s Selection, now time.Time) (int, error)
	// Cancel finishes messages as CSDropped with the reason cancelled.
	Cancel(ctx context.Context, account int64, s Selection, text string, now time.Time) (int, error)
	// Move gives messages to another pool: choose picks the provider of each;
	// one for which it answers 0 stays. Due times and attempts stay.
	Move(ctx context.Context, account int64, s Selection, pool int64, choose func(*waypost.Message) int64) (int, error)

	// SetPause stores a pause, replacing one of the same lane.
	SetPause(ctx context.Context, p waypost.Pause) error
	// DeletePause ends a pause; ErrNotFound when there is none.
	DeletePause(ctx context.Context, account, provider int64, mailbox waypost.Mailbox) error
	// Pauses lists the pauses of an account, or of all when it is 0.
	Pauses(ctx context.Context, account int64) ([]waypost.Pause, error)
}

// Selection says which waiting messages to act on: those listed, or else those
// of a provider, or of one of its lanes, the earliest due first.
type Selection struct {
	Messages []waypost.UUID // at most 1,000; those of other accounts are passed over
	Provider int64
	Mailbox  waypost.Mailbox // AllMailboxes: every lane of the provider
	Limit    int             // 1 to 10,000
}

// LaneDepth is how much waits in a lane.
type LaneDepth struct {
	Lane     waypost.Lane
	Messages int
	Unknown  int       // of them, wait for the agent's evidence (D-20)
	Due      time.Time // of the earliest
}

// WaitingQuery selects waiting messages of an account.
type WaitingQuery struct {
	Account  int64
	Provider int64           // 0: of every provider
	Mailbox  waypost.Mailbox // AllMailboxes: every lane; looked at only with Provider
	Limit    int             // 1 to 1000
	Offset   int
}

// Queued is a message that waits.
type Queued struct {
	Message waypost.Message
	Pending Pending
	Last    *waypost.Attempt // nil: none made yet
}

// Journal keeps what people should be able to look up later.
type Journal interface {
	AddProviderEvent(ctx context.Context, e *waypost.ProviderEvent) error
	// ProviderEvents lists the newest first.
	ProviderEvents(ctx context.Context, provider int64, p Page) ([]waypost.ProviderEvent, error)
	AddAudit(ctx context.Context, a *waypost.Audit) error
	// Audits lists the newest first.
	Audits(ctx context.Context, q AuditQuery) (AuditPage, error)
	// PruneJournal deletes up to limit provider events and audit entries older
	// than a time.
	PruneJournal(ctx context.Context, before time.Time, limit int) (int, error)
}

// AuditQuery selects audit entries of an account. Zero fields select all.
// Actor, Action and Object each have an index; what else is asked for is decided
// on the entries that one of them selects.
type AuditQuery struct {
	Account  int64
	Actor    string    // exact
	Action   string    // exact, such as provider.update
	Object   string    // exact, such as "provider 7"
	Search   string    // part of actor, action, object or text; ASCII letters in any case
	From, To time.Time // noted in [From, To)
	Before   int64     // only ids below it: the keyset cursor; 0: from the newest
	Look     int       // how many entries one call may look through, 0: all
	Limit    int       // 1 to 1000
	Offset   int
}

// AuditPage is a piece of the audit.
type AuditPage struct {
	Entries []waypost.Audit
	// Next is the Before that goes on from here; 0: there is nothing more. A
	// page with fewer entries than Limit and a Next ended because of Look.
	Next int64
}

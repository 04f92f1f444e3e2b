package waypost

import "time"

// ProviderEvent is a change of a provider's state that people should see
// (D-22). It is no event of a message.
type ProviderEvent struct {
	ID       int64
	Provider int64
	At       time.Time
	Kind     ProviderEventKind
	Text     string // what happened and why, at most MaxText bytes
}

// ProviderEventKind is the word for what changed. The words are stored.
type ProviderEventKind string

// The kinds.
const (
	BreakerOpened   ProviderEventKind = "breaker_opened"    // sessions failed again and again; its mail waits or fails over
	BreakerHalfOpen ProviderEventKind = "breaker_half_open" // one message probes whether it is back
	BreakerClosed   ProviderEventKind = "breaker_closed"
)

// Audit is who changed what.
type Audit struct {
	ID      int64
	Account int64
	At      time.Time
	Actor   string // hint of the key, or "cli"
	Action  string // such as provider.update
	Object  string // such as "provider 7"
	Text    string // the change in words, without secrets; at most MaxText bytes
}

// Pause stops the relay of a provider, or of one of its lanes, until someone
// resumes it. Messages wait; nothing is dropped.
type Pause struct {
	Account  int64
	Provider int64
	Mailbox  Mailbox // AllMailboxes: the whole provider
	Reason   string
	At       time.Time
}

// AllMailboxes stands for every category of a provider.
const AllMailboxes Mailbox = -1

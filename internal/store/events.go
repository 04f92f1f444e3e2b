package store

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
)

// Events keeps the facts about messages, and finds messages.
type Events interface {
	// Record stores facts from outside (agent, bounce processor, tracking) in
	// one transaction and tells for each what became of it.
	Record(ctx context.Context, facts []Fact) ([]Recorded, error)

	Message(ctx context.Context, account int64, id waypost.UUID) (waypost.Message, error)
	// Messages finds messages of whatever account by id; unknown ids are left
	// out. At most 1,000 ids.
	Messages(ctx context.Context, ids []waypost.UUID) (map[waypost.UUID]waypost.Message, error)
	// SentAs finds the messages of calls that brought this Message-ID of their
	// own, of whatever account; only those to a recipient, folded, unless it is
	// "". At most 10: a call's recipients share the id.
	SentAs(ctx context.Context, id waypost.MessageID, recipient string) ([]waypost.Message, error)
	// Trail is all that is known of one message's way.
	Trail(ctx context.Context, account int64, id waypost.UUID) (Trail, error)
	// ListEvents lists events, newest first.
	ListEvents(ctx context.Context, q EventQuery) ([]waypost.Event, error)
	// CountEvents counts what the query selects, whatever its page, exactly up
	// to a bound of 100,000.
	CountEvents(ctx context.Context, q EventQuery) (int, error)
	// Event finds one event of an account; ErrNotFound.
	Event(ctx context.Context, account, id int64) (waypost.Event, error)
	// ListMessages lists messages, newest first.
	ListMessages(ctx context.Context, q MessageQuery) ([]waypost.Message, error)
	// FindMessages searches, as far as one search may look.
	FindMessages(ctx context.Context, s Search) (Found, error)
	// Standings tells where messages of an account stand, at most 1,000. Of one
	// that is unknown or another account's it knows nothing: StatusExpired.
	Standings(ctx context.Context, account int64, ids []waypost.UUID) (map[waypost.UUID]Standing, error)
	// Headlines gives what lists show of contents, at most 1,000, of whatever
	// account: callers have read messages that name them. Contents that are gone
	// are left out, and so are those that were stored before headlines were kept.
	Headlines(ctx context.Context, contents []waypost.UUID) (map[waypost.UUID]Headline, error)
	// SearchedSince tells from when on messages are found by sender, tag and
	// subject: those of calls that were stored before headlines were kept are
	// not. Zero: all that are left are found.
	SearchedSince(ctx context.Context) (time.Time, error)
	// PruneEvents deletes up to limit events older than a time, with the keys
	// of their facts, and tells how many. An engine that can drop whole
	// partitions does that.
	PruneEvents(ctx context.Context, before time.Time, limit int) (int, error)
	// PruneMessages deletes up to limit finished messages submitted before a
	// time, with attempts, transcripts and deferrals, and contents that no message needs any
	// more.
	PruneMessages(ctx context.Context, before time.Time, limit int) (int, error)
}

// Fact is something reported about a message from outside.
type Fact struct {
	// Event is what would be stored. Ignored for a deferral but for Message,
	// At and the reply.
	Event waypost.Event
	// Key makes the report idempotent: a second fact of the same message with
	// the same key is a duplicate. "" : not checked. At most 100 bytes.
	Key string
	// Once is a key that only one event of a message may carry, whatever its
	// Key: "bounce" for terminal bounces, "delivered". A second one is stored
	// as evidence (Event.Evidence) and changes no counter. "" : not checked.
	Once string
	// Deferral notes the reply as the message's last deferral instead of
	// storing an event.
	Deferral bool
	// Relayed says that the fact proves that the provider took the message: one
	// that waits though its last attempt is unknown (D-20) is finished as CSSent
	// first. So is one whose last attempt came before Event.At; in the place of
	// an attempt stands the claim while somebody holds it, or when the lease of
	// one who died has run out, and else its acceptance. Who holds it gets
	// ErrLost from Settle.
	Relayed bool
	// Suppress is stored with the event when the event is, unless nil.
	Suppress *waypost.Suppression
	// First is a key that marks the first event of a message to carry it:
	// its Visit.First is set, and cleared in every other. "" : not checked, and
	// cleared. Looked at only when the event has a Visit.
	First string
}

// Recorded says what became of a fact.
type Recorded int

// The answers of Record.
const (
	Stored    Recorded = iota + 1 // an event, or a noted deferral
	Duplicate                     // its Key was known: nothing changed
	Evidence                      // its Once was taken: kept as evidence
)

// Trail is the way of one message.
type Trail struct {
	Message     waypost.Message
	Events      []waypost.Event // by time, evidence included
	Attempts    []waypost.Attempt
	Transcripts []waypost.Transcript // by attempt, those that succeeded included
	Deferral    *Deferral            // nil: none reported
	Waiting     *Pending             // nil: finished
}

// Transcript is what was said in the attempt of that number; nil when nothing
// is kept.
func (t *Trail) Transcript(attempt int) *waypost.Transcript {
	for i := range t.Transcripts {
		if t.Transcripts[i].Attempt == attempt {
			return &t.Transcripts[i]
		}
	}
	return nil
}

// Deferral is the last deferral that the agent reported for a message.
type Deferral struct {
	At       time.Time
	Code     int
	Enhanced string
	Text     string
	Count    int // deferrals reported so far
}

// Pending is where an unfinished message stands.
type Pending struct {
	Lane    waypost.Lane
	Due     time.Time
	Attempt int  // attempts made
	Unknown bool // the last attempt may have succeeded
}

// EventQuery selects events of an account. Zero fields select all.
type EventQuery struct {
	Account    int64
	SubAccount int64
	Provider   int64
	Types      []waypost.EventType
	Recipient  string    // exact, folded by the caller
	From, To   time.Time // stored in [From, To)
	Before     int64     // only ids below it: the keyset cursor; 0: from the newest
	After      int64     // only ids above it, for a live tail; 0: no bound
	Limit      int       // 1 to 1000
	Offset     int

	Message waypost.UUID // of one message, evidence left out
	Domain  int64        // of messages from a sender domain
	Code    int          // with this SMTP code
}

// MessageQuery selects messages of an account. Zero fields select all.
type MessageQuery struct {
	Account    int64
	SubAccount int64
	Recipient  string       // exact, folded by the caller; messages are found whatever their case
	From, To   time.Time    // submitted in [From, To)
	Before     waypost.UUID // only ids below it: the keyset cursor; zero: from the newest
	Limit      int          // 1 to 1000
	Offset     int
}

package store

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
)

// Queue keeps messages until they are finished.
type Queue interface {
	// Accept stores one API call: its content, one message a recipient, their
	// events, and a queue row for each entry. Ids and times are the caller's.
	Accept(ctx context.Context, a *Acceptance) error

	// Claim leases up to Max messages of one lane that are due, and takes a
	// token for each from the lane's limits. It never waits.
	Claim(ctx context.Context, c Claim) (Claimed, error)
	// Extend moves the end of leases, for a relay that takes long. Entries
	// that are no longer held are passed over.
	Extend(ctx context.Context, held []Entry, until time.Time) error
	// Settle finishes or reschedules one claimed message: the queue row, the
	// attempt, its transcript, the events and the counters in one transaction. ErrLost when the
	// entry is no longer held; nothing is stored then.
	Settle(ctx context.Context, s *Settlement) error

	// LaneHeads lists every lane that has messages, with its earliest due
	// time. Its cost depends on the number of lanes, not of messages.
	LaneHeads(ctx context.Context) ([]LaneHead, error)
	// Depth counts all messages that wait, exactly up to a bound of 100,000.
	Depth(ctx context.Context) (int, error)

	// Buckets gives what went out through a provider per category and minute,
	// of minutes from since on: the state of its limits.
	Buckets(ctx context.Context, provider, since int64) (map[waypost.Mailbox][]waypost.Bucket, error)

	// Content finds what the messages of one call share.
	Content(ctx context.Context, id waypost.UUID) (waypost.Content, error)
	// PackedContent finds the same as it is stored; its bytes only when they are
	// at most so many.
	PackedContent(ctx context.Context, id waypost.UUID, most int) (Packed, error)
}

// Acceptance is one API call, stored whole. The ids of its content and messages
// are of one millisecond: searches find the messages of a content by it.
type Acceptance struct {
	Content  waypost.Content
	Messages []waypost.Message
	Events   []waypost.Event // CSProcessed of each message, CSDropped of those refused at once
	Queue    []Waiting
	// Replay is stored with the rest, unless nil. When its key is live already,
	// nothing is stored and Accept answers ErrExists.
	Replay *Replay
	// Encoded is Content as EncodeContent gives it, for a caller that let go of
	// the bytes of its attachments; nil: Accept encodes it.
	Encoded []byte
}

// Body is the stored form of the content.
func (a *Acceptance) Body() ([]byte, error) {
	if a.Encoded != nil {
		return a.Encoded, nil
	}
	return EncodeContent(&a.Content)
}

// Waiting is a new queue row.
type Waiting struct {
	Lane    waypost.Lane
	Message waypost.UUID
	Due     time.Time
}

// Claim asks for due messages of a lane.
type Claim struct {
	Lane        waypost.Lane
	Now         time.Time
	Max         int       // 1 to 1000
	LeaseUntil  time.Time // when unfinished messages become due again
	Burst       bool      // both limits let a burst through, see waypost.Limit
	PerHour     int       // the provider's limit over all of its lanes, 0: none
	LanePerHour int       // the limit of this lane, 0: none
}

// Claimed is the answer to a claim.
type Claimed struct {
	Entries []Claimable
	// NextDue is when the lane should be asked again: the due time of its
	// earliest message that was not handed out (in the past when Max or the
	// limits cut the answer short), or the end of the earliest lease when that
	// comes first. Zero when the lane is empty.
	NextDue time.Time
	// NextToken is when a limit lets the next message through; zero when no
	// limit held anything back.
	NextToken time.Time
}

// Claimable is a message handed out by a claim.
type Claimable struct {
	Entry   Entry
	Message waypost.Message
}

// Entry names a queue row that a worker holds.
type Entry struct {
	Lane    waypost.Lane
	Message waypost.UUID
	Due     time.Time // as stored: part of the row's key
	Attempt int       // attempts made before this claim
	Token   int64     // minute of the bucket that its token was taken from, 0 when none was taken
	Lease   int64     // the store's own mark of this claim: a later claim of the same row has another
}

// Settlement is what became of a claimed message.
type Settlement struct {
	Entry   Entry
	Message waypost.Message
	// Retry is when the message is due again; zero: it is finished and its row
	// is deleted. A retry counts as an attempt made, unless Attempt is nil.
	Retry time.Time
	// Provider moves the message to another provider's lane for its retry; 0:
	// it stays. Message.Provider changes with it.
	Provider int64
	// Unknown marks a retry whose attempt may have succeeded (D-20): evidence
	// from the agent, see Fact.Relayed, finishes it as CSSent before it is due.
	Unknown bool
	// Attempt is recorded when not nil.
	Attempt *waypost.Attempt
	// Transcript of an attempt, whether it failed or not, is kept as long as the
	// message, unless nil.
	Transcript *waypost.Transcript
	// Exchange is counted for the provider's plots when not nil.
	Exchange *Exchange
	Events   []waypost.Event
	// Refund gives the token back: the message never reached the provider.
	Refund bool
}

// Exchange is one conversation with a provider about a message, whatever came
// of it.
type Exchange struct {
	Provider int64
	At       time.Time // its end
	Took     time.Duration
	Code     int // of the last reply, 0 when there was none
}

// LaneHead is the earliest due time of a lane.
type LaneHead struct {
	Lane waypost.Lane
	Due  time.Time
}

package store

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

// Search finds messages by more than [MessageQuery] has: by where they stand,
// and by what was sent.
type Search struct {
	MessageQuery                       // its Offset is not looked at
	Status       waypost.MessageStatus // "" : any
	Queue        waypost.QueueID       // a mail server's id of the message, exact
	Sender       string                // the address of From, exact, folded
	Tag          string                // one of the groups, exact
	Subject      string                // part of it, ASCII letters in any case; no index helps
	// Look is how many messages, or calls when they are found by Sender or Tag,
	// one search may look through; 0: [MostLooked]. A search ends there, with what it
	// has found.
	Look int
}

// MostLooked is how much one search looks through unless it says: as much as a
// person waits for.
const MostLooked = 5000

// Found is a page of a search.
type Found struct {
	Messages []waypost.Message // newest first
	// Next is the Before that goes on from here; zero: there is nothing more. A
	// page with fewer messages than Limit and a Next ended because of Look.
	Next waypost.UUID
}

// Standing is where a message stands.
type Standing struct {
	Status   waypost.MessageStatus
	Event    waypost.Event // that says so; zero when its events have expired
	Attempts int           // made to relay it so far
	Due      time.Time     // of the next attempt; zero when none is to come
}

// Headline is what lists show of a content.
type Headline struct {
	From    waypost.Address
	Subject string // at most MaxHeadline bytes of it
}

// MaxHeadline bounds what is kept of a subject for lists, in bytes.
const MaxHeadline = 500

// SearchedSince is [Events.SearchedSince] of the ids of the first and the last
// content, and of the first with a headline; nil where there is none.
func SearchedSince(first, last, headline *waypost.UUID) time.Time {
	switch {
	case first == nil, headline != nil && bytes.Compare(headline[:], first[:]) <= 0:
		return time.Time{}
	case headline != nil:
		return headline.Time()
	case last != nil:
		return last.Time().Add(time.Millisecond)
	}
	return time.Time{}
}

// HeadlineOf is the headline of a content.
func HeadlineOf(c *waypost.Content) Headline {
	subject := c.Subject
	if len(subject) > MaxHeadline {
		subject = strings.ToValidUTF8(subject[:MaxHeadline], "")
	}
	return Headline{c.From, subject}
}

// Tags are the groups of a content that its messages are found by, each once.
func Tags(c *waypost.Content) []string {
	all := slices.Sorted(slices.Values(c.Groups))
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

// ByContent tells whether a search walks the calls rather than the messages:
// where sender or tag is asked for, and nothing that leads to messages.
func (s *Search) ByContent() bool {
	return (s.Sender != "" || s.Tag != "") && s.Queue == "" && s.Recipient == "" && s.Status == ""
}

// Walk is what an engine offers to searches.
type Walk struct {
	// Candidates gives up to n ids of messages, or of contents when the search
	// goes by these, below an id and in descending order. All of what the search
	// asks for is among them.
	Candidates func(ctx context.Context, below waypost.UUID, n int) ([]waypost.UUID, error)
	// Pick gives the messages of candidates that fit the search, newest first.
	Pick func(ctx context.Context, candidates []waypost.UUID) ([]waypost.Message, error)
}

// beyond is above every id.
var beyond = waypost.UUID(bytes.Repeat([]byte{0xff}, 16))

// The steps of a search: the first is small, for most fit. A call may have a
// thousand messages.
const (
	firstStep  = 100
	firstCalls = 4
	mostStep   = 1000
)

// Find walks down the candidates of a search until the page is full, enough is
// looked through, or there are no more. The ids of the messages of a call are of
// the same millisecond as its content's: a step by contents ends between two
// milliseconds.
func (s *Search) Find(ctx context.Context, w Walk) (Found, error) {
	limit, look := min(max(s.Limit, 1), 1000), s.Look
	if look <= 0 {
		look = MostLooked
	}
	below := beyond
	if !s.Before.IsZero() {
		below = s.Before
		if s.ByContent() {
			below = above(below)
		}
	}
	var out Found
	step := firstStep
	if s.ByContent() {
		step = firstCalls
	}
	for ; look > 0; step = min(2*step, mostStep) {
		n := min(step, look)
		candidates, err := w.Candidates(ctx, below, n)
		if err != nil || len(candidates) == 0 {
			return out, err
		}
		more := len(candidates) >= n
		if below = candidates[len(candidates)-1]; s.ByContent() && more {
			if candidates, err = wholeMillisecond(ctx, w, candidates); err != nil {
				return out, err
			}
			below = floor(below)
		}
		look -= len(candidates)
		messages, err := w.Pick(ctx, candidates)
		if err != nil {
			return out, err
		}
		if out.Messages = append(out.Messages, messages...); len(out.Messages) > limit {
			out.Messages = out.Messages[:limit]
			out.Next = out.Messages[limit-1].ID
			return out, nil
		}
		if !more {
			return out, nil
		}
	}
	out.Next = below
	return out, nil
}

// wholeMillisecond adds the candidates that are as old as the last one.
func wholeMillisecond(ctx context.Context, w Walk, candidates []waypost.UUID) ([]waypost.UUID, error) {
	last := candidates[len(candidates)-1]
	for {
		more, err := w.Candidates(ctx, candidates[len(candidates)-1], mostStep)
		if err != nil {
			return nil, err
		}
		for i, id := range more {
			if !bytes.Equal(id[:6], last[:6]) {
				return append(candidates, more[:i]...), nil
			}
		}
		if candidates = append(candidates, more...); len(more) < mostStep {
			return candidates, nil
		}
	}
}

// floor is at or below every id of the millisecond of u.
func floor(u waypost.UUID) waypost.UUID {
	clear(u[6:])
	return u
}

// above is above every id of the millisecond of u.
func above(u waypost.UUID) waypost.UUID {
	for i := 6; i < len(u); i++ {
		u[i] = 0xff
	}
	return u
}

// Milliseconds are the bounds [from, to) of the ids that are as old as u.
func Milliseconds(u waypost.UUID) (from, to waypost.UUID) {
	from, to = floor(u), above(u)
	return from, to
}

// Stand sums up the standing of messages from their events of
// [StandingTypes], and from what waits in the queue.
func Stand(ids []waypost.UUID, events []waypost.Event, waiting map[waypost.UUID]Pending) map[waypost.UUID]Standing {
	of := make(map[waypost.UUID][]waypost.Event, len(ids))
	for i := range events {
		of[events[i].Message] = append(of[events[i].Message], events[i])
	}
	out := make(map[waypost.UUID]Standing, len(ids))
	for _, id := range ids {
		status, by := waypost.StatusOf(of[id])
		s := Standing{Status: status}
		if by != nil {
			s.Event = *by
		}
		for i := range of[id] {
			s.Attempts = max(s.Attempts, of[id][i].Attempt)
		}
		if p, ok := waiting[id]; ok {
			s.Attempts, s.Due = max(s.Attempts, p.Attempt), p.Due
		}
		out[id] = s
	}
	return out
}

// StandingTypes are the events that say where a message stands.
func StandingTypes() []waypost.EventType {
	return []waypost.EventType{
		waypost.CSProcessed, waypost.CSSent, waypost.CSDelivered, waypost.CSDropped, waypost.CSHardBounced, waypost.CSSoftBounced,
	}
}

// Opens tells whether an event leaves its message sent with no more known of
// it, and Closes whether it says what became of one that was: the engines keep
// a list of those between the two. What was never sent is not on it.
func Opens(e *waypost.Event) bool { return !e.Evidence && e.Type == waypost.CSSent }

// Closes is said with [Opens].
func Closes(e *waypost.Event) bool {
	return !e.Evidence && e.Type.Final() && e.Type != waypost.CSDropped
}

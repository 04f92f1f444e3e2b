package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
)

// quickOutcome is what should become of one of the first mails.
type quickOutcome struct {
	local    string            // local part of the recipient, which decides
	final    waypost.EventType // the end of its way
	refused  bool              // the mail server refuses the first attempt
	deferred bool              // the recipient's server defers the first attempt
	reads    bool              // somebody opens it, follows its link, and unsubscribes
}

var quickOutcomes = []quickOutcome{
	{local: "deliver", final: waypost.CSDelivered},
	{local: "reader", final: waypost.CSDelivered, reads: true},
	{local: "hardbounce", final: waypost.CSHardBounced},
	{local: "softbounce", final: waypost.CSSoftBounced},
	{local: "deferred", final: waypost.CSDelivered, deferred: true},
	{local: "refused", final: waypost.CSDelivered, refused: true},
}

// readerEvents are what comes of a mail with a link that is read.
var readerEvents = []waypost.EventType{waypost.CSOpen, waypost.CSClick, waypost.CSUnsubscribe}

// The words of expected and got.
const (
	wordRefused  = "refused attempt"
	wordDeferral = "deferral"
)

// expected lists what should happen, in order.
func (o *quickOutcome) expected() []string {
	want := []string{waypost.CSProcessed.String()}
	if o.refused {
		want = append(want, wordRefused)
	}
	want = append(want, waypost.CSSent.String())
	if o.deferred {
		want = append(want, wordDeferral)
	}
	want = append(want, o.final.String())
	if o.reads {
		for _, e := range readerEvents {
			want = append(want, e.String())
		}
	}
	return want
}

// whatHappened lists what happened, each thing once, in the same words and order.
func whatHappened(t *api.Timeline) []string {
	happened := map[string]bool{}
	for i := range t.Entries {
		switch e := &t.Entries[i]; e.Kind {
		case "event":
			happened[e.TypeName] = true
		case "attempt":
			happened[wordRefused] = true
		case "deferral":
			happened[wordDeferral] = true
		}
	}
	order := []string{waypost.CSProcessed.String(), wordRefused, waypost.CSSent.String(), wordDeferral}
	for _, e := range waypost.EventTypes() {
		if !slices.Contains(order, e.String()) {
			order = append(order, e.String())
		}
	}
	return slices.DeleteFunc(order, func(word string) bool { return !happened[word] })
}

// atItsEnd tells whether nothing more is to come: the end of the message's way,
// the relay's own word, which may be stored after the agent's, and what its
// reader does.
func (w *watched) atItsEnd() bool {
	words := whatHappened(&w.last)
	if slices.Contains(words, waypost.CSDropped.String()) {
		return true
	}
	for _, e := range w.awaited() {
		if !slices.Contains(words, e.String()) {
			return false
		}
	}
	return slices.Contains(words, waypost.CSSent.String()) && slices.ContainsFunc(words, func(w string) bool {
		e, ok := waypost.ParseEventType(w)
		return ok && e.Final()
	})
}

// watched is a message whose way is shown.
type watched struct {
	id      string
	outcome *quickOutcome // nil: sent by hand
	last    api.Timeline
	shown   map[string]bool
	until   time.Time           // of one sent by hand: when it is no longer looked at
	mail    []byte              // as it arrived in the mailbox of reader@, nil when nobody reads it
	did     []waypost.EventType // by the reader, nil before
	reading error               // why the reader failed, nil otherwise
}

// awaited are the events that must come of the reader.
func (w *watched) awaited() []waypost.EventType {
	switch {
	case w.reading != nil:
		return nil
	case w.did != nil:
		return w.did
	case w.mail != nil:
		return []waypost.EventType{waypost.CSUnsubscribe}
	case w.outcome != nil && w.outcome.reads:
		return readerEvents
	}
	return nil
}

// good tells whether a message went the way it should.
func (w *watched) good() bool { return slices.Equal(w.outcome.expected(), whatHappened(&w.last)) }

// quickShow sends the first mails and follows them.
type quickShow struct {
	house   *quickHouse
	view    *quickView
	started time.Time
	all     []*watched // the first mails
	byHand  []*watched
	trouble error // why a timeline could not be read, nil when it could
}

// The pace of looking, and the bounds of mail sent by hand.
const (
	lookEvery    = 100 * time.Millisecond
	maxByHand    = 100
	byHandWithin = 10 * time.Minute
	readAfter    = 2 * time.Second
)

func (s *quickShow) sendAll(ctx context.Context) error {
	for i := range quickOutcomes {
		o := &quickOutcomes[i]
		id, err := s.house.client.send(ctx, o.local+"@"+quickRecipients, o.local)
		if err != nil {
			return err
		}
		s.all = append(s.all, &watched{id: id, outcome: o, shown: map[string]bool{}})
		s.look(ctx, s.all[i])
	}
	return nil
}

// watch shows what happens as it happens, until ctx ends, or, when first is
// set, until the first mails are at the end of their ways.
func (s *quickShow) watch(ctx context.Context, first bool) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		open := 0
		for _, w := range s.all {
			if !w.atItsEnd() {
				s.look(ctx, w)
				open++
			}
		}
		if first && open == 0 {
			return
		}
		for _, w := range s.byHand {
			s.look(ctx, w)
		}
		now := time.Now()
		s.byHand = slices.DeleteFunc(s.byHand, func(w *watched) bool { return w.atItsEnd() || now.After(w.until) })
		select {
		case <-ctx.Done():
			return
		case id := <-s.house.newcomer:
			s.meet(id.String())
		case <-tick.C:
		}
	}
}

// meet begins to follow a message that the mail server was offered, unless it
// is known.
func (s *quickShow) meet(id string) {
	known := func(w *watched) bool { return w.id == id }
	if slices.ContainsFunc(s.all, known) || slices.ContainsFunc(s.byHand, known) || len(s.byHand) >= maxByHand {
		return
	}
	s.byHand = append(s.byHand, &watched{id: id, shown: map[string]bool{}, until: time.Now().Add(byHandWithin)})
}

// look reads a message's timeline and shows what is new in it.
func (s *quickShow) look(ctx context.Context, w *watched) {
	t, err := s.house.client.timeline(ctx, w.id)
	if ctx.Err() != nil {
		return
	}
	if s.trouble = err; err != nil {
		return
	}
	w.last = t
	for i := range t.Entries {
		e := &t.Entries[i]
		mark := fmt.Sprint(e.Kind, e.Type, " ", e.Attempt, " ", e.Count, " ", e.At.UnixNano())
		if !w.shown[mark] {
			w.shown[mark] = true
			s.view.entry(time.Since(s.started), &t, e)
		}
	}
	s.read(ctx, w)
}

// read has reader@ read a message that is delivered, as soon as it can be a
// person who does: what is clicked in the instant of arrival counts as a
// program's.
func (s *quickShow) read(ctx context.Context, w *watched) {
	at := slices.IndexFunc(w.last.Entries, func(e api.TimelineEntry) bool { return e.Type == int(waypost.CSDelivered) })
	if at < 0 || w.did != nil || w.reading != nil {
		return
	}
	if w.mail == nil {
		w.mail = s.house.mailbox.take(w.id)
	}
	if w.mail != nil && time.Since(w.last.Entries[at].At) > readAfter {
		w.did, w.reading = s.house.client.read(ctx, w.mail)
	}
}

// summary shows expected and got, and tells whether they agree.
func (s *quickShow) summary(limit time.Duration) bool {
	rows := [][]string{{"recipient", "expected after CSProcessed", "got", "result"}}
	good := 0
	for _, w := range s.all {
		verdict := "WRONG"
		if w.good() {
			good++
			verdict = "ok"
		}
		have := slices.DeleteFunc(whatHappened(&w.last), func(word string) bool { return word == waypost.CSProcessed.String() })
		rows = append(rows, []string{w.outcome.local, strings.Join(w.outcome.expected()[1:], ", "), strings.Join(have, ", "), verdict})
	}
	s.view.line("")
	s.view.table(rows)
	s.view.line("\n%d of %d outcomes are as they should be, after %.1fs.", good, len(s.all), time.Since(s.started).Seconds())
	for _, w := range s.all {
		if !w.good() {
			s.view.line("  %s (message %s): %s", w.outcome.local, w.id, w.fault(limit))
		}
	}
	if s.trouble != nil {
		s.view.line("  The last look at a timeline failed: %v", s.trouble)
	}
	return good == len(s.all)
}

// fault says what is missing or too much.
func (w *watched) fault(limit time.Duration) string {
	want, have := w.outcome.expected(), whatHappened(&w.last)
	var parts []string
	for _, word := range want {
		if !slices.Contains(have, word) {
			parts = append(parts, "no "+word)
		}
	}
	for _, word := range have {
		if !slices.Contains(want, word) {
			parts = append(parts, "unexpected "+word)
		}
	}
	if w.reading != nil {
		parts = append(parts, fmt.Sprintf("the reader failed: %v", w.reading))
	}
	if !w.atItsEnd() {
		parts = append(parts, fmt.Sprintf("not at its end after %s, state %q", limit, w.last.State))
	}
	return strings.Join(parts, ", ")
}

package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// Door writes events. It is safe for concurrent use.
type Door struct {
	store   store.Store
	judge   *bounce.Judge
	breaker breaker
	watch   watch
	tally   tally
}

// New makes the door of a store.
func New(s store.Store, judge *bounce.Judge) *Door { return &Door{store: s, judge: judge} }

// Draft is one recipient's message on its way in.
type Draft struct {
	Message waypost.Message
	Drop    waypost.Reason // not empty: refused at once
	Text    string         // the documented text of the drop
}

// Accept stores one API call whole: content, messages, CSProcessed for each
// message, CSDropped for those refused, and a queue row for the others, due
// now. It returns after the commit; an error means that nothing was stored.
func (d *Door) Accept(ctx context.Context, content waypost.Content, drafts []Draft, now time.Time) error {
	return d.AcceptOnce(ctx, content, nil, drafts, nil, now)
}

// AcceptOnce is Accept, and stores the answer to an idempotency key with the
// rest unless replay is nil: store.ErrExists when the key has one. Encoded is
// the content as store.EncodeContent gives it when its attachments have no
// bytes any longer.
func (d *Door) AcceptOnce(ctx context.Context, content waypost.Content, encoded []byte, drafts []Draft, replay *store.Replay, now time.Time) error {
	a := store.Acceptance{
		Content:  content,
		Encoded:  encoded,
		Replay:   replay,
		Messages: make([]waypost.Message, 0, len(drafts)),
		Events:   make([]waypost.Event, 0, len(drafts)),
	}
	for i := range drafts {
		m := &drafts[i].Message
		a.Messages = append(a.Messages, *m)
		e := eventOf(m, waypost.CSProcessed, waypost.SourceAPI, now)
		a.Events = append(a.Events, e)
		if reason := drafts[i].Drop; reason != "" {
			e.Type, e.Reason, e.Text = waypost.CSDropped, reason, clean(drafts[i].Text)
			a.Events = append(a.Events, e)
			continue
		}
		a.Queue = append(a.Queue, store.Waiting{
			Lane:    waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox},
			Message: m.ID,
			Due:     now,
		})
	}
	if err := d.store.Accept(ctx, &a); err != nil {
		return fmt.Errorf("store %d messages: %w", len(drafts), err)
	}
	d.tally.add(a.Events...)
	return nil
}

// Settled is how an attempt to relay a message ended.
type Settled struct {
	Attempt  waypost.Attempt
	Outcome  waypost.Outcome
	Unseen   bool  // it failed before MAIL: its token goes back to the limits
	Provider int64 // another provider for the retry, 0: the same

	Transcript *waypost.Transcript // of the attempt, nil: none
}

// Settle stores the outcome of an attempt to relay a claimed message.
// store.ErrLost means that the message is no longer this worker's.
func (d *Door) Settle(ctx context.Context, c *store.Claimable, end Settled) error {
	a, o := end.Attempt, end.Outcome
	a.Text = clean(a.Text)
	s := store.Settlement{
		Entry: c.Entry, Message: c.Message, Retry: o.Retry, Provider: end.Provider, Refund: end.Unseen, Transcript: end.Transcript,
	}
	s.Exchange = &store.Exchange{Provider: a.Provider, At: a.At, Took: a.Took, Code: a.Code}
	e := eventOf(&c.Message, waypost.CSSent, waypost.SourceRelay, a.At)
	e.Code, e.Enhanced, e.Text, e.Attempt = a.Code, a.Enhanced, a.Text, a.N
	switch {
	case o.Sent:
		s.Events = append(s.Events, e)
	case !o.Retry.IsZero():
		s.Attempt = &a
		s.Unknown = a.Result == waypost.AttemptUnknown
	default:
		s.Attempt = &a
		e.Type, e.Reason, e.Rule = waypost.CSDropped, o.Drop, d.refusal(&a).Rule
		s.Events = append(s.Events, e)
	}
	if err := d.settle(ctx, &s); err != nil {
		return err
	}
	if v := d.refusal(&a); v.Rule != "" {
		d.watch.note(c.Entry.Lane, &e, v.Reason, a.At)
	}
	return nil
}

// refusal judges what the provider said against the message itself, by the
// rules of every other reply (D-33): zero when it took the message, said
// nothing, or spoke of the session. It decides nothing about retries, which
// the customer's mail server is owed whatever its words (D-19).
func (d *Door) refusal(a *waypost.Attempt) waypost.Verdict {
	if a.Result == waypost.AttemptSent || a.Code < 400 {
		return waypost.Verdict{}
	}
	about := []smtp.Stage{smtp.StageMail, smtp.StageRcpt, smtp.StageData, smtp.StageBody, smtp.StageFinal}
	if !slices.Contains(about, smtp.Stage(a.Stage)) {
		return waypost.Verdict{}
	}
	return d.judge.Judge(bounce.Reply{Code: a.Code, Enhanced: a.Enhanced, Text: a.Text})
}

// Reroute gives a claimed message to another provider, due now, without
// counting an attempt: its own cannot send.
func (d *Door) Reroute(ctx context.Context, c *store.Claimable, provider int64, now time.Time) error {
	return d.settle(ctx, &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: now, Provider: provider, Refund: true})
}

// Drop finishes a claimed message without an attempt: it was suppressed
// meanwhile, its provider is gone, or it cannot be rendered.
func (d *Door) Drop(ctx context.Context, c *store.Claimable, reason waypost.Reason, text string, now time.Time) error {
	e := eventOf(&c.Message, waypost.CSDropped, waypost.SourceRelay, now)
	e.Reason, e.Text, e.Attempt = reason, clean(text), c.Entry.Attempt
	return d.settle(ctx, &store.Settlement{
		Entry: c.Entry, Message: c.Message, Events: []waypost.Event{e}, Refund: true,
	})
}

// Postpone gives a claimed message back, due at a time, without counting an
// attempt: something of ours was missing, not of the provider's.
func (d *Door) Postpone(ctx context.Context, c *store.Claimable, until time.Time) error {
	return d.settle(ctx, &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: until, Refund: true})
}

func (d *Door) settle(ctx context.Context, s *store.Settlement) error {
	if err := d.store.Settle(ctx, s); err != nil {
		return fmt.Errorf("settle message %s: %w", s.Message.ID, err)
	}
	d.tally.add(s.Events...)
	return nil
}

func eventOf(m *waypost.Message, t waypost.EventType, src waypost.Source, at time.Time) waypost.Event {
	return waypost.Event{
		Type: t, Account: m.Account, SubAccount: m.SubAccount, Provider: m.Provider,
		Message: m.ID, Recipient: m.Recipient, At: at, Source: src, Facets: m.Facets(),
	}
}

// clean makes text from outside fit to store and show: valid UTF-8, no control
// characters, at most waypost.MaxText bytes.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, s)
	if len(s) <= waypost.MaxText {
		return s
	}
	cut := waypost.MaxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

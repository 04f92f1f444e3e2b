package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// onceUnsubscribe is the key of a message's one CSUnsubscribe, whether it came
// by tracking URL or by a feedback report.
const onceUnsubscribe = "unsubscribe"

// Track stores up to 1,000 visits to tracking URLs in one transaction and tells
// how many were of messages that are known; the others are passed over. The
// token named the message, and the message says whose it is. The error wraps
// track.ErrLater when storage is away and the visits may come again.
func (d *Door) Track(ctx context.Context, hits []track.Hit) (known int, err error) {
	defer func() {
		if errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w: %w", track.ErrLater, err)
		}
	}()
	ids := make([]waypost.UUID, 0, len(hits))
	seen := make(map[waypost.UUID]bool, len(hits))
	for i := range hits {
		if id := hits[i].Message; !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	messages, err := d.store.Messages(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("find %d visited messages: %w", len(ids), err)
	}
	facts := make([]store.Fact, 0, len(hits))
	for i := range hits {
		if m, ok := messages[hits[i].Message]; ok {
			facts = append(facts, visitFact(&m, &hits[i]))
		}
	}
	if len(facts) == 0 {
		return 0, nil
	}
	recorded, err := d.store.Record(ctx, facts)
	if err != nil {
		return 0, fmt.Errorf("store %d visits: %w", len(facts), err)
	}
	d.tally.addRecorded(facts, recorded)
	return len(facts), d.again(ctx, facts, recorded)
}

// visitFact turns a visit into what the store records.
func visitFact(m *waypost.Message, h *track.Hit) store.Fact {
	visit := h.Visit
	e := eventOf(m, waypost.CSOpen, waypost.SourceTrack, h.At)
	e.Visit = &visit
	f := store.Fact{Event: e}
	switch h.Kind {
	case track.Open:
		if visit.Machine == "" {
			f.First = "open"
		}
	case track.Click:
		f.Event.Type = waypost.CSClick
		if visit.Machine == "" {
			f.First = "click"
		}
	case track.Unsubscribe:
		f.Event.Type, f.Once, f.Key = waypost.CSUnsubscribe, onceUnsubscribe, "track:unsubscribe"
		f.Suppress = &waypost.Suppression{
			Account: m.Account, SubAccount: m.SubAccount, Email: waypost.FoldEmail(m.Recipient),
			Reason: waypost.SuppressUnsubscribe, Message: m.ID, Created: h.At,
		}
	}
	return f
}

// again suppresses recipients who unsubscribe from a message a second time:
// somebody took them off the list in between, and they still want no mail.
func (d *Door) again(ctx context.Context, facts []store.Fact, recorded []store.Recorded) error {
	var all []waypost.Suppression
	for i := range facts {
		if facts[i].Suppress != nil && recorded[i] != store.Stored {
			all = append(all, *facts[i].Suppress)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if _, err := d.store.Suppress(ctx, all); err != nil {
		return fmt.Errorf("suppress %d recipients again: %w", len(all), err)
	}
	return nil
}

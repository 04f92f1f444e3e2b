package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/store"
)

// The keys of which a message has one event (D-32).
const (
	onceBounce    = store.OnceBounce
	onceDelivered = "delivered"
)

// Report stores the items of an agent's report for one provider (D-31) and
// says what became of each, in their order. A bad item never fails its
// neighbours; an error means that nothing was stored and the whole report may
// come again.
func (d *Door) Report(ctx context.Context, provider int64, items []waypost.ReportItem, now time.Time) ([]waypost.ReportResult, error) {
	results := make([]waypost.ReportResult, len(items))
	ids := make([]waypost.UUID, len(items))
	var known []waypost.UUID
	for i := range items {
		results[i].Index = i
		id, err := checkItem(&items[i])
		if err != nil {
			results[i].Status, results[i].Error = waypost.ReportRejected, err.Error()
			continue
		}
		ids[i] = id
		known = append(known, id)
	}
	messages, err := d.store.Messages(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("find %d reported messages: %w", len(known), err)
	}
	var facts []store.Fact
	var places []int // facts[k] is item places[k]
	for i := range items {
		if results[i].Status != "" {
			continue
		}
		m, ok := messages[ids[i]]
		if !ok || m.Provider != provider {
			results[i].Status = waypost.ReportRejected
			results[i].Error = "message_id: no message of this provider has this id; is the agent using this provider's key?"
			continue
		}
		fact, err := d.fact(ctx, &m, &items[i], now)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact)
		places = append(places, i)
	}
	markLate(facts)
	recorded, err := d.store.Record(ctx, facts)
	if err != nil {
		return nil, fmt.Errorf("store %d reported events: %w", len(facts), err)
	}
	d.tally.addRecorded(facts, recorded)
	for k, r := range recorded {
		results[places[k]].Status, results[places[k]].Error = status(&facts[k], r)
		if m := messages[ids[places[k]]]; r != store.Duplicate {
			d.watchReported(&m, &facts[k].Event, now)
		}
	}
	return results, nil
}

func checkItem(it *waypost.ReportItem) (waypost.UUID, error) {
	if it.MessageID == "" {
		return waypost.UUID{}, errors.New("message_id is required")
	}
	id, err := waypost.ParseUUID(it.MessageID)
	if err != nil {
		return waypost.UUID{}, fmt.Errorf("message_id: %w", err)
	}
	switch it.EventType {
	case waypost.ReportDelivered, waypost.ReportBounced, waypost.ReportDeferred, waypost.ReportSoftBounced:
	case "":
		return waypost.UUID{}, errors.New("event_type is required")
	default:
		return waypost.UUID{}, errors.New("event_type must be delivered, bounced, deferred or soft_bounced")
	}
	if len(it.EventID) > 64 {
		return waypost.UUID{}, errors.New("event_id is longer than 64 bytes")
	}
	if it.SMTPCode != 0 && (it.SMTPCode < 200 || it.SMTPCode > 599) {
		return waypost.UUID{}, errors.New("smtp_code must be 200 to 599")
	}
	return id, nil
}

// fact turns a checked item into what the store records.
func (d *Door) fact(ctx context.Context, m *waypost.Message, it *waypost.ReportItem, now time.Time) (store.Fact, error) {
	at := when(it.Timestamp.Time, m.SubmittedAt, now)
	e := eventOf(m, waypost.CSDelivered, waypost.SourceAgent, at)
	e.Code, e.Enhanced, e.Text = it.SMTPCode, bound(clean(it.EnhancedCode), 12), clean(it.SMTPDescription)
	if code, enhanced := bounce.StatedCodes(e.Text); e.Code == 0 { // not every reporter takes them out of the text
		e.Code = code
		if e.Enhanced == "" {
			e.Enhanced = enhanced
		}
	}
	e.Queue, e.Relay = waypost.QueueID(bound(clean(string(it.QueueID)), 64)), bound(clean(it.Relay), 255)
	f := store.Fact{Event: e, Relayed: true}
	if it.EventID != "" {
		f.Key = "agent:" + clean(it.EventID)
	}
	switch it.EventType {
	case waypost.ReportDeferred:
		f.Event.Type, f.Deferral = waypost.CSDeferred, true
		return f, nil
	case waypost.ReportDelivered:
		f.Once = onceDelivered
	default:
		_, delivered, err := d.store.Reported(ctx, m.ID)
		if err != nil {
			return f, fmt.Errorf("read whether message %s was delivered: %w", m.ID, err)
		}
		d.bounced(m, &f, delivered)
	}
	if it.Recipient != "" && waypost.FoldEmail(it.Recipient) != waypost.FoldEmail(m.Recipient) {
		// An archive copy (always_bcc) or one leg of an alias: it says nothing
		// sure about the recipient, but belongs in the timeline.
		f.Event.Evidence, f.Event.Recipient, f.Once, f.Suppress = true, bound(clean(it.Recipient), waypost.MaxEmail), "", nil
	}
	return f, nil
}

// when is the time of a reported fact: never before the message, and never in
// the future, whatever the mail server's clock says. A time of whole seconds
// was cut by a traditional log, so it counts as the end of its second: what
// we did in the same second came before it.
func when(at, submitted, now time.Time) time.Time {
	if at.IsZero() || at.After(now.Add(5*time.Minute)) {
		return now
	}
	if at.Nanosecond() == 0 {
		if at = at.Add(999 * time.Millisecond); at.After(now) {
			at = now
		}
	}
	if at.Before(submitted) {
		return submitted
	}
	return at
}

// bounced judges the reply and adds what a bounce brings with it. It is late
// when the message was delivered before.
func (d *Door) bounced(m *waypost.Message, f *store.Fact, delivered bool) {
	v := d.judge.Judge(bounce.Reply{Code: f.Event.Code, Enhanced: f.Event.Enhanced, Text: f.Event.Text})
	f.Event.Type, f.Event.Reason, f.Event.Rule = v.Type(), v.Reason, v.Rule
	f.Once, f.Event.Late = onceBounce, delivered
	if v.Hard {
		f.Suppress = hardSuppression(m, f.Event.Text, f.Event.At)
	}
}

// markLate marks bounces whose delivery stands before them in one report.
func markLate(facts []store.Fact) {
	delivered := map[waypost.UUID]bool{}
	for i := range facts {
		e := &facts[i].Event
		if e.Type == waypost.CSDelivered && !e.Evidence {
			delivered[e.Message] = true
		}
		if e.Type.Bounce() && delivered[e.Message] {
			e.Late = true
		}
	}
}

func status(f *store.Fact, r store.Recorded) (waypost.ReportStatus, string) {
	switch {
	case r == store.Duplicate:
		return waypost.ReportDuplicate, ""
	case f.Deferral:
		return waypost.ReportIgnored, ""
	case f.Event.Evidence:
		return waypost.ReportIgnored, "recipient: not the recipient of this message; kept as evidence"
	case r == store.Evidence:
		return waypost.ReportDuplicate, "an event of this kind is known already; kept as evidence"
	}
	return waypost.ReportAccepted, ""
}

func bound(s string, n int) string {
	if len(s) > n {
		return clean(s[:n]) // clean drops a character cut in the middle
	}
	return s
}

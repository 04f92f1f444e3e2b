package ingest

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/store"
)

// Simulation is what a simulated recipient gives now (D-40).
type Simulation struct {
	Events []SimulatedEvent
	Next   time.Time // when there is more; zero: the message is finished
}

// SimulatedEvent is one of its events.
type SimulatedEvent struct {
	Type  waypost.EventType
	Visit *waypost.Visit // of an open or a click, nil otherwise
}

// Simulate stores events of a claimed message to a simulated recipient. They
// are counted and told to webhooks as those of any recipient of the
// sub-account, but belong to no provider: no statistics of a provider, no
// limit, no breaker and no warning knows them. A simulated hard bounce does not
// suppress its address, which would give another outcome the next time.
func (d *Door) Simulate(ctx context.Context, c *store.Claimable, s Simulation, now time.Time) error {
	out := store.Settlement{Entry: c.Entry, Message: c.Message, Retry: s.Next}
	for _, one := range s.Events {
		e := eventOf(&c.Message, one.Type, waypost.SourceSimulator, now)
		e.Code, e.Enhanced, e.Text = waypost.SimulatedReply(one.Type)
		e.Visit = one.Visit
		switch one.Type { //nolint:exhaustive // the others say no more
		case waypost.CSSent:
			e.Attempt = 1
		case waypost.CSDropped:
			e.Attempt, e.Reason = 1, waypost.DropRelayRefused
		case waypost.CSHardBounced, waypost.CSSoftBounced:
			v := d.judge.Judge(bounce.Reply{Code: e.Code, Enhanced: e.Enhanced, Text: e.Text})
			e.Reason, e.Rule = v.Reason, v.Rule
		}
		out.Events = append(out.Events, e)
	}
	return d.settle(ctx, &out)
}

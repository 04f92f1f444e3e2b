package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// Who opens and follows the links of a simulated recipient: an address of
// TEST-NET-1 (RFC 5737) and a browser that programs can take apart.
const (
	simulatedIP    = "192.0.2.1"
	simulatedAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// simulate gives a message to a simulated recipient its events (D-40). It is
// composed as any other, and then nothing is sent. What was stored before tells
// how far it got, so that a restart goes on with the next event.
func (q *Queue) simulate(ctx context.Context, r *relay, c *store.Claimable) {
	now := time.Now()
	s, err := q.simulation(ctx, &c.Message, now)
	if unready, ok := errors.AsType[*notReady](err); ok {
		q.unready(ctx, r, c, unready, now)
		return
	}
	q.settle(ctx, c, func(ctx context.Context) error { return q.cfg.Door.Simulate(ctx, c, s, now) })
	if !s.Next.IsZero() {
		q.lanes.note(c.Entry.Lane, s.Next)
	}
}

// simulation finds the events that come now, and when the next is due. The
// error is nil or a *notReady.
func (q *Queue) simulation(ctx context.Context, m *waypost.Message, now time.Time) (ingest.Simulation, error) {
	who, _ := waypost.Simulate(m.Recipient, waypost.EmailDomain(m.Recipient)) // it was one when it was accepted
	trail, err := q.cfg.Store.Trail(ctx, m.Account, m.ID)
	if err != nil {
		return ingest.Simulation{}, &notReady{wait: 5 * time.Second, err: err}
	}
	in, err := q.ingredients(ctx, m)
	if err != nil {
		return ingest.Simulation{}, err
	}
	defer in.free()
	made, err := guarded(func() (compose.Preview, error) { return in.prepared.Preview(m, in.options) })
	if err != nil {
		return ingest.Simulation{}, unmade(err)
	}
	opens, clicks := in.prepared.Tracks()
	url := ""
	if clicks && in.options.Track != nil {
		url = firstTracked(compose.Links([]byte(made.HTML), []byte(made.Text)))
	}
	visit := &waypost.Visit{IP: simulatedIP, UserAgent: simulatedAgent, First: true}
	var left []ingest.SimulatedEvent
	for _, t := range who.Events() {
		e := ingest.SimulatedEvent{Type: t}
		switch {
		case slices.ContainsFunc(trail.Events, func(e waypost.Event) bool { return e.Type == t }):
			continue
		case t == waypost.CSOpen && (!opens || in.options.Track == nil || made.HTML == ""), t == waypost.CSClick && url == "":
			continue
		case t == waypost.CSOpen:
			e.Visit = visit
		case t == waypost.CSClick:
			followed := *visit
			followed.URL, followed.Link = url, 1
			e.Visit = &followed
		}
		left = append(left, e)
	}
	return paced(left, now, q.cfg.SimulatorPause), nil
}

// paced takes what comes at once off the events that are left: all up to the
// first visit, or that alone. An open comes 2 to 5 seconds after the delivery
// when the longest pause is 5, and a click 1 to 3 after the open.
func paced(left []ingest.SimulatedEvent, now time.Time, longest time.Duration) ingest.Simulation {
	n := slices.IndexFunc(left, func(e ingest.SimulatedEvent) bool { return e.Visit != nil })
	if n == 0 {
		n = 1
	}
	if n < 0 || n == len(left) {
		return ingest.Simulation{Events: left}
	}
	pause := longest/5*2 + rand.N(longest/5*3+1)
	if left[n].Type == waypost.CSClick {
		pause = longest/5 + rand.N(longest/5*2+1)
	}
	return ingest.Simulation{Events: left[:n], Next: now.Add(pause)}
}

// firstTracked is the URL of the first link that click tracking rewrites.
func firstTracked(links []compose.Link) string {
	for i := range links {
		if links[i].Tracked > 0 {
			return links[i].URL
		}
	}
	return ""
}

package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// Config is what workers need. Zero values of the optional part are the
// defaults that the comments give.
type Config struct {
	Store  store.Store
	Box    *secret.Box
	Sender *Sender
	Log    *slog.Logger
	Geo    *track.Geo // where visits come from; nil: not told
	IP     string     // what payloads call the IP that stands for providers (D-8); "": waypost.DefaultPseudoIP

	Schedule   []time.Duration  // pauses before retries: waypost.WebhookSchedule
	PerWebhook int              // requests at once for one webhook: 32
	Total      int              // requests at once for all: 256
	Poll       time.Duration    // how often the outbox is looked at: 1 s
	Rest       time.Duration    // between single requests to an endpoint that fails: 30 s
	Lease      time.Duration    // of a claimed delivery: 2 m
	Now        func() time.Time // the clock of due times: time.Now
}

// maxLanes bounds the webhooks that are worked on at once.
const maxLanes = 256

// flushEvery is how long an attempt's outcome may wait for others, flushMost
// how many are noted in one transaction.
const (
	flushEvery = 50 * time.Millisecond
	flushMost  = 128
)

// Workers drain the outbox. Make them with NewWorkers.
type Workers struct {
	cfg      Config
	places   chan struct{} // requests at once
	subjects *subjects
	hosts    hosts

	mu    sync.Mutex
	lanes map[int64]*lane

	done, failed, dead atomic.Int64
	lag                atomic.Int64 // nanoseconds since the oldest due delivery should have gone
	waiting            atomic.Int64 // webhooks with deliveries waiting
}

// lane is one webhook's work on this node.
type lane struct {
	busy     bool
	rest     time.Time    // not looked at before
	failures atomic.Int32 // in a row, on this node
}

// Counts says what workers did since the start.
type Counts struct {
	Done, Failed, Dead int64         // attempts that went well, that did not, dead letters
	Waiting            int64         // webhooks with deliveries waiting
	Lag                time.Duration // by which the oldest of those that are due is late
}

// NewWorkers makes workers.
func NewWorkers(c Config) *Workers {
	def := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	defTime := func(v *time.Duration, to time.Duration) {
		if *v <= 0 {
			*v = to
		}
	}
	if len(c.Schedule) == 0 {
		c.Schedule = waypost.WebhookSchedule
	}
	def(&c.PerWebhook, 32)
	def(&c.Total, 256)
	defTime(&c.Poll, time.Second)
	defTime(&c.Rest, 30*time.Second)
	defTime(&c.Lease, 2*time.Minute)
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Workers{
		cfg: c, places: make(chan struct{}, c.Total), subjects: newSubjects(c.Store, c.Geo, c.IP),
		hosts: hosts{rest: c.Rest, most: max(1, c.PerWebhook/4)}, lanes: map[int64]*lane{},
	}
}

// Counts tells of the work so far.
func (w *Workers) Counts() Counts {
	return Counts{Done: w.done.Load(), Failed: w.failed.Load(), Dead: w.dead.Load(), Waiting: w.waiting.Load(), Lag: time.Duration(w.lag.Load())}
}

// Run works until ctx ends, then waits for the requests in flight, which end
// within their time limit. It returns nil.
func (w *Workers) Run(ctx context.Context) error {
	var flight sync.WaitGroup
	tick := time.NewTicker(w.cfg.Poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		w.look(ctx, &flight)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	flight.Wait()
	w.cfg.Sender.Close()
	return nil
}

// look starts a lane for each webhook that has something due.
func (w *Workers) look(ctx context.Context, flight *sync.WaitGroup) {
	heads, err := w.cfg.Store.DeliveryHeads(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.cfg.Log.ErrorContext(ctx, "cannot read the outbox of webhooks; trying again", "error", err)
		}
		return
	}
	now := w.cfg.Now()
	w.waiting.Store(int64(len(heads)))
	var lag time.Duration
	// From a chance place, so that those beyond maxLanes get their turn.
	start := 0
	if len(heads) > 0 {
		start = rand.IntN(len(heads)) //nolint:gosec // fairness is no secret
	}
	for i := range heads {
		h := heads[(start+i)%len(heads)]
		if h.Due.After(now) {
			continue
		}
		lag = max(lag, now.Sub(h.Due))
		l := w.begin(h.Webhook, now)
		if l == nil {
			continue
		}
		flight.Go(func() {
			rest := w.drain(ctx, h.Webhook, l)
			w.end(l, rest)
		})
	}
	w.lag.Store(int64(lag))
}

// begin marks a lane as busy; nil when it is, or rests, or too many are.
func (w *Workers) begin(id int64, now time.Time) *lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lanes[id]
	if l == nil {
		if len(w.lanes) >= 8*maxLanes {
			w.tidy(now)
		}
		l = &lane{}
		w.lanes[id] = l
	}
	if l.busy || now.Before(l.rest) || w.busy() >= maxLanes {
		return nil
	}
	l.busy = true
	return l
}

func (w *Workers) busy() (n int) {
	for _, l := range w.lanes {
		if l.busy {
			n++
		}
	}
	return n
}

// tidy forgets lanes that are neither busy nor at rest.
func (w *Workers) tidy(now time.Time) {
	for id, l := range w.lanes {
		if !l.busy && !now.Before(l.rest) {
			delete(w.lanes, id)
		}
	}
}

func (w *Workers) end(l *lane, rest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.busy, l.rest = false, w.cfg.Now().Add(rest)
}

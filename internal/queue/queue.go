package queue

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// Config is what a queue needs. The zero values of the optional part are the
// defaults named there.
type Config struct {
	Store store.Store
	Door  *ingest.Door
	Box   *secret.Box
	Log   *slog.Logger

	Retry        waypost.RetrySchedule // default waypost.DefaultRetrySchedule
	AllowPrivate bool                  // relay to loopback and private addresses too (D-14)
	Resolver     *net.Resolver         // default the system's
	HeaderPrefix string                // default "X-Sendpost-" (D-25)
	Separator    waypost.Separator     // in return paths, default "+"
	MX           MXResolver            // default: none, consumer domains alone are classified (D-17)
	Track        *Tracking             // default: nothing is tracked (D-27)

	SimulatorDomain string        // of simulated recipients (D-40), default: none
	SimulatorPause  time.Duration // longest pause before a simulated open, default 5 seconds

	Sessions      int           // SMTP sessions per provider, default 20
	PerSession    int           // messages per session, default 500
	InFlight      int           // messages in flight per provider, default 4 per session
	Lease         time.Duration // default 2 minutes (D-21)
	UnknownWindow time.Duration // wait for the agent's evidence, default 2 minutes (D-20)
	Grace         time.Duration // for what is in flight when stopping, default 20 seconds
	RelayBytes    int64         // messages being relayed and the files of their contents, default 128 MiB
	CacheBytes    int           // content cache, default 32 MiB

	// Observe hears of every attempt to relay a message, after it; nil: nobody
	// does. It must not block.
	Observe func(provider int64, result waypost.AttemptResult, took time.Duration)
}

func (c *Config) defaults() {
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
	if len(c.Retry) == 0 {
		c.Retry = waypost.DefaultRetrySchedule
	}
	def(&c.Sessions, 20)
	def(&c.PerSession, 500)
	def(&c.InFlight, 4*c.Sessions)
	def(&c.CacheBytes, 32<<20)
	defTime(&c.Lease, 2*time.Minute)
	defTime(&c.UnknownWindow, 2*time.Minute)
	defTime(&c.Grace, 20*time.Second)
	defTime(&c.SimulatorPause, 5*time.Second)
	if c.RelayBytes <= 0 {
		c.RelayBytes = 128 << 20
	}
}

// Queue is one node's part in the queue. Make it with New; Enqueue may be
// called whether or not Run runs.
type Queue struct {
	cfg       Config
	mailboxes *mailboxes
	lanes     *lanes
	paused    *pauses
	relays    *relays
	pools     *pools
	contents  *contents
	compiler  *compose.Compiler
	domains   *domains
	composing *composing
	held      *held
	outage    *outage
}

// New makes a queue.
func New(cfg Config) *Queue {
	cfg.defaults()
	compiler := compose.NewCompiler(cfg.CacheBytes / 8)
	return &Queue{
		cfg:       cfg,
		mailboxes: newMailboxes(cfg.MX),
		lanes:     newLanes(),
		paused:    &pauses{},
		pools:     newPools(cfg.Store),
		relays:    newRelays(&cfg),
		contents:  newContents(cfg.Store, compiler, cfg.CacheBytes, cfg.RelayBytes/2),
		compiler:  compiler,
		domains:   newDomains(cfg.Store, cfg.Box),
		composing: newComposing(cfg.RelayBytes / 2),
		held:      newHeld(),
		outage:    &outage{rest: afterOutage},
	}
}

// Backlog counts the messages that wait, up to 100,000.
func (q *Queue) Backlog(ctx context.Context) (int, error) { return q.cfg.Store.Depth(ctx) }

// Late is for how long the message has been due that is due longest, paused
// lanes aside, as of the last look at the store some seconds ago. Mail that
// waits for an hourly limit counts. Zero on a node that does not relay.
func (q *Queue) Late() time.Duration { return q.lanes.late(time.Now(), q.paused.has) }

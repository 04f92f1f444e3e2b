package ingest

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
)

// A warning stands for a lane, that is a provider and mailbox category, while
// in the last WarningWindow the agent reported, or the relay met, at least
// WarningCount replies that speak of blocking, rate, spam or authentication,
// and these are at least one in WarningShare of all of the lane's results.
const (
	WarningWindow = 30 * time.Minute
	WarningCount  = 20
	WarningShare  = 10
)

// Warning says that a mailbox provider turns a lane's mail away.
type Warning struct {
	Account  int64
	Lane     waypost.Lane
	Since    time.Time // when the stream began, to the minute
	Last     time.Time // of the last such reply
	Troubled int       // such replies in the window
	Reports  int       // all results reported in the window
	Reason   waypost.Reason
	Code     int    // of the last such reply
	Text     string // of the last such reply
}

// troubling tells whether a reason is about the sender's standing rather than
// one recipient.
func troubling(r waypost.Reason) bool {
	return r == bounce.Blocked || r == bounce.RateLimited || r == bounce.Spam || r == bounce.Auth
}

// watch counts the agent's results per lane and minute, in the memory of one
// node.
type watch struct {
	mu    sync.Mutex
	lanes map[waypost.Lane]*stream
}

// maxLanes bounds the memory: one lane takes about 1 KB.
const maxLanes = 20_000

type stream struct {
	account int64
	at      [windowMinutes]int64
	all     [windowMinutes]int
	bad     [windowMinutes]int
	reasons map[waypost.Reason]int // since the stream began
	since   time.Time
	last    waypost.Event
}

const windowMinutes = int64(WarningWindow / time.Minute)

// note counts one result; reason is empty for a delivery.
func (w *watch) note(lane waypost.Lane, e *waypost.Event, reason waypost.Reason, now time.Time) {
	minute := now.Unix() / 60
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lanes == nil || len(w.lanes) > maxLanes {
		w.lanes = map[waypost.Lane]*stream{}
	}
	s := w.lanes[lane]
	if s == nil {
		s = &stream{account: e.Account}
		w.lanes[lane] = s
	}
	i := minute % windowMinutes
	if s.at[i] != minute {
		s.at[i], s.all[i], s.bad[i] = minute, 0, 0
	}
	s.all[i]++
	if !troubling(reason) {
		return
	}
	if bad, _ := s.sum(minute); bad == 0 {
		s.since, s.reasons = now.Truncate(time.Minute), map[waypost.Reason]int{}
	}
	s.bad[i]++
	s.reasons[reason]++
	s.last = *e
	s.last.At = now
}

func (s *stream) sum(minute int64) (bad, all int) {
	for i, at := range s.at {
		if at > minute-windowMinutes {
			bad += s.bad[i]
			all += s.all[i]
		}
	}
	return bad, all
}

// Warnings lists what stands now for an account, the worst first; an account
// of 0 means all. It knows what this node's agents reported since it started.
func (d *Door) Warnings(account int64, now time.Time) []Warning {
	w := &d.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Warning
	for lane, s := range w.lanes {
		bad, all := s.sum(now.Unix() / 60)
		if account != 0 && s.account != account || bad < WarningCount || bad*WarningShare < all {
			continue
		}
		often := slices.MaxFunc(slices.Sorted(maps.Keys(s.reasons)), func(a, b waypost.Reason) int { return cmp.Compare(s.reasons[a], s.reasons[b]) })
		out = append(out, Warning{
			Account: s.account, Lane: lane, Since: s.since, Last: s.last.At, Troubled: bad, Reports: all,
			Reason: often, Code: s.last.Code, Text: s.last.Text,
		})
	}
	slices.SortFunc(out, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(b.Troubled, a.Troubled), cmp.Compare(a.Lane.Provider, b.Lane.Provider), cmp.Compare(a.Lane.Mailbox, b.Lane.Mailbox))
	})
	return out
}

// watchReported counts what an agent's item said of a lane.
func (d *Door) watchReported(m *waypost.Message, e *waypost.Event, now time.Time) {
	reason := e.Reason
	if e.Type == waypost.CSDeferred {
		reason = d.judge.Judge(bounce.Reply{Code: e.Code, Enhanced: e.Enhanced, Text: e.Text}).Reason
	}
	d.watch.note(waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}, e, reason, now)
}

package agent

import (
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
)

// status is what the two goroutines tell and the health server shows.
type status struct {
	mu sync.Mutex

	// From the reader.
	format      string
	file        string
	offset      int64
	lag         int64
	lines       int64
	parseErrors int64
	lastLine    time.Time // the stamp of the last line understood
	lastEvent   time.Time
	events      map[string]int64 // by type
	counts      Counts
	unmatched   []string // queue ids, the latest last
	entries     int
	held        int
	tail        TailStats
	missing     bool   // there is no log
	reading     string // what keeps the reader from going on; empty when nothing does

	// From the shipper.
	sent, duplicate, ignored int64
	rejected, dropped        int64
	lastFlush                time.Time // last answer that was ours
	failing                  time.Time // since when sending fails; zero when it does not
	refused                  bool      // the key is refused
	requests                 map[int]int64
	latency                  time.Duration // of all requests together
	skew                     time.Duration // the server's clock ahead of ours

	lastError   string
	lastErrorAt time.Time
}

func newStatus() *status {
	return &status{events: map[string]int64{}, requests: map[int]int64{}}
}

// with runs f under the lock.
func (s *status) with(f func(s *status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// fail notes an error for the health page.
func (s *status) fail(err error, now time.Time) {
	s.with(func(s *status) { s.lastError, s.lastErrorAt = err.Error(), now })
}

// patience is how long sending may fail before the agent calls itself stuck.
const patience = 2 * time.Minute

// verdict gives the status word and its reasons.
func (s *status) verdict(spool SpoolStats, now time.Time) (word string, reasons []string) {
	word = "ok"
	degraded := func(reason string) {
		reasons = append(reasons, reason)
		if word == "ok" {
			word = "degraded"
		}
	}
	failing := func(reason string) { reasons, word = append(reasons, reason), "failing" }
	if s.reading != "" {
		failing(s.reading)
	}
	if s.missing {
		degraded("the log does not exist yet: check log-path")
	}
	switch {
	case s.refused:
		failing("the server refuses the key: check api-key and the provider it belongs to")
	case !s.failing.IsZero() && now.Sub(s.failing) >= patience:
		failing("nothing was delivered to the server for " + now.Sub(s.failing).Round(time.Second).String())
	case !s.failing.IsZero():
		degraded("the last request failed and is repeated")
	}
	if spool.Full && s.reading == "" {
		degraded("the spool is nearly full")
	}
	if s.tail.Broken > 0 {
		degraded("a compressed log is damaged: what it held beyond the damage is not reported")
	}
	if spool.Damaged > 0 {
		degraded("records of the spool were damaged: see lastError")
	}
	return word, reasons
}

// state is what a report says of the agent beside its name.
func (s *status) state(spool SpoolStats, now time.Time) waypost.AgentState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := waypost.AgentState{
		Log: s.file, Position: s.offset, LagBytes: s.lag, LastLine: waypost.Timestamp{Time: s.lastLine},
		Buffered: spool.Records, Unmatched: s.counts.Unknown(), Sample: s.unmatched,
	}
	out.Status, out.Reasons = s.verdict(spool, now)
	out.Reasons = out.Reasons[:min(len(out.Reasons), waypost.MaxAgentReasons)]
	return out
}

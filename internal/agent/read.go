package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// logReader is the goroutine that reads, parses, correlates and spools.
type logReader struct {
	a        *agent
	tailer   feed
	parser   mtalog.Parser
	corr     *Correlator
	encoder  encoder
	encoded  []byte   // events read off the log that are not on disk yet
	payloads [][]byte // room for store
	ends     []int    // where each of them ends
	stuck    bool     // the spool took them not
	changed  bool     // something was read since the last checkpoint
	saved    time.Time
	cost     time.Duration // of the last checkpoint
	turns    TailStats     // at the last checkpoint
	ready    bool
	waiting  bool // said that there is no log
	unknown  int64
}

// checkpointEvery is how often the place is written down while lines come; a
// large table makes it rarer, so that it takes a twentieth of the time at most.
// A new file is written down at once: archives do not stay for ever.
const checkpointEvery = 250 * time.Millisecond

// storeAt is how many bytes of events a reader that catches up gathers before
// it syncs them to disk. At the end of the log they go at once.
const storeAt = 1 << 20

func newReader(a *agent) (*logReader, error) {
	parser, err := mtalog.New(a.cfg.MTA, a.cfg.parse)
	if err != nil {
		return nil, err
	}
	r := &logReader{a: a, parser: parser}
	r.corr = NewCorrelator(CorrelatorOptions{IgnoreDiscarded: a.cfg.IgnoreDiscarded, Hold: a.cfg.hold, HopRelays: a.cfg.HopRelays, LocalIP: ownAddress()})
	now := time.Now()
	at, warning := loadCheckpoint(a.cfg.StateDir, r.corr, now)
	if warning != nil {
		a.cfg.Log.Warn("a checkpoint cannot be read; what was read since the one before is read again", "error", warning)
		a.status.fail(warning, now)
	}
	if r.tailer, err = openFeed(&a.cfg, at); err != nil {
		return nil, err
	}
	if n := r.tailer.Stats().Relocated; n > 0 && warning == nil {
		a.cfg.Log.Warn("the place reached before is in no file any more; reading the log from its beginning", "log", a.cfg.LogPath)
	}
	return r, nil
}

// ownAddress gives a test for this machine's addresses: a relay on one of them
// may be a filter or another instance.
func ownAddress() func(string) bool {
	own := map[string]bool{}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return func(string) bool { return false }
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			own[n.IP.String()] = true
		}
	}
	return func(ip string) bool { return own[ip] }
}

func (r *logReader) close() {
	r.tailer.Close()
}

// run reads until ctx ends, then spools what it has and writes its place down.
func (r *logReader) run(ctx context.Context, health string) error {
	for ctx.Err() == nil {
		now := time.Now()
		wait := r.step(now)
		r.announce(health)
		r.a.notify.alive(now)
		if wait > 0 {
			r.tailer.Wait(ctx, wait)
		}
	}
	if r.a.killed.Load() {
		return nil
	}
	if r.store(time.Now()) != nil {
		return nil //nolint:nilerr // the checkpoint stays where it is: nothing is lost
	}
	return r.checkpoint(time.Now(), true)
}

// announce says once that the log is followed, or that there is none yet.
func (r *logReader) announce(health string) {
	switch {
	case r.ready:
	case r.tailer.Open():
		r.ready = true
		r.a.notify.send("READY=1\nSTATUS=following " + r.a.cfg.sourceName())
		_, _ = fmt.Fprintf(r.a.cfg.Ready, "ready health=%s log=%s\n", health, r.a.cfg.sourceName()) // nobody listens
	case !r.waiting:
		r.waiting = true
		r.a.notify.send("READY=1\nSTATUS=waiting for " + r.a.cfg.sourceName() + " to appear")
		r.a.cfg.Log.Warn("there is no log yet; waiting for it to appear", "log", r.a.cfg.LogPath, "health", health)
	}
}

// step reads one piece of the log and says how long to wait for more.
func (r *logReader) step(now time.Time) time.Duration {
	if r.stuck {
		if err := r.store(now); err != nil {
			return pollEvery
		}
	}
	lines, err := r.tailer.Read()
	r.note(err)
	if len(lines) > 0 {
		r.changed = true
		r.lines(lines, now)
	}
	r.corr.Advance(now)
	r.encode(now)
	more := len(lines) > readBuffer/2 // it is catching up
	if !more || len(r.encoded) >= min(storeAt, int(r.a.cfg.SpoolSize/64)) || r.checkpointDue(now) {
		if err := r.store(now); err != nil {
			return pollEvery
		}
	}
	r.tell()
	if err := r.checkpoint(now, false); err != nil {
		r.a.cfg.Log.Error("the place reached cannot be written down", "error", err)
		r.a.status.fail(err, now)
		return pollEvery
	}
	if len(lines) > 0 {
		return 0
	}
	return pollEvery
}

// note tells the health page what stands in the way of reading.
func (r *logReader) note(err error) {
	missing := errors.Is(err, fs.ErrNotExist)
	reading := ""
	if err != nil && !missing {
		reading = "the log cannot be read: " + err.Error()
	}
	r.a.status.with(func(s *status) {
		if reading != "" && s.reading != reading {
			s.lastError, s.lastErrorAt = reading, time.Now()
			r.a.cfg.Log.Error("the log cannot be read", "error", err)
		}
		s.missing, s.reading = missing, reading
	})
}

// lines parses and correlates whole lines.
func (r *logReader) lines(b []byte, now time.Time) {
	var f mtalog.Fact
	var lines, strange int64
	form := firstForm(b)
	for at := 0; at < len(b); {
		end := at + bytes.IndexByte(b[at:], '\n')
		if end < at {
			end = len(b)
		}
		line := b[at:end:end]
		at = end + 1
		lines++
		if r.parser.Parse(line, &f) {
			r.corr.Observe(&f, now)
		} else if formOf(line) == "" && len(line) > 0 {
			strange++
		}
	}
	r.a.status.with(func(s *status) {
		s.lines += lines
		s.parseErrors += strange
		if form != "" {
			s.format = form
		}
		if last := r.corr.seen; !last.IsZero() {
			s.lastLine = last
		}
	})
}

// firstForm names the form of the first line that has one.
func firstForm(b []byte) string {
	for line := range bytes.Lines(b) {
		if form := formOf(line); form != "" {
			return form
		}
	}
	return ""
}

// formOf names the form of a line's beginning; empty is unknown.
func formOf(line []byte) string {
	switch {
	case len(line) < 16:
		return ""
	case line[0] == '<' && bytes.Contains(line[:min(len(line), 8)], []byte(">1 ")):
		return "rfc5424"
	case line[0] >= '0' && line[0] <= '9' && line[4] == '-' && (line[10] == 'T' || line[10] == ' '):
		return "rfc3339"
	case line[0] >= 'A' && line[0] <= 'Z' && line[3] == ' ' && line[6] == ' ' && line[9] == ':':
		return "traditional"
	}
	return ""
}

// encode turns what the correlator found into records for the spool.
func (r *logReader) encode(now time.Time) {
	items := r.corr.Take()
	if len(items) == 0 {
		return
	}
	r.changed = true
	for i := range items {
		r.encoded = r.encoder.append(r.encoded, &items[i])
		r.ends = append(r.ends, len(r.encoded))
	}
	r.a.status.with(func(s *status) {
		last, n := items[0].Item.EventType, int64(0) // one type mostly follows itself
		for i := range items {
			if word := items[i].Item.EventType; word != last {
				s.events[last] += n
				last, n = word, 0
			}
			n++
		}
		s.events[last] += n
		s.lastEvent = now
	})
}

// store brings the events read so far to disk. While it fails nothing is read:
// the log itself is the buffer.
func (r *logReader) store(now time.Time) error {
	if len(r.ends) == 0 {
		return nil
	}
	payloads := slices.Grow(r.payloads[:0], len(r.ends))
	start := 0
	for _, end := range r.ends {
		payloads = append(payloads, r.encoded[start:end])
		start = end
	}
	r.payloads = payloads
	err := r.a.spool.Append(payloads)
	if r.stuck = err != nil; !r.stuck {
		r.encoded, r.ends = r.encoded[:0], r.ends[:0]
		return nil
	}
	reading := "events cannot be written to state-dir: " + err.Error()
	if errors.Is(err, ErrSpoolFull) {
		reading = "the spool is full: reading goes on once the server takes events"
	}
	r.a.status.with(func(s *status) {
		if s.reading != reading {
			s.lastError, s.lastErrorAt = reading, now
			r.a.cfg.Log.Error("reading stopped; no event is lost as long as the log is kept", "reason", reading)
		}
		s.reading = reading
	})
	return err
}

// tell updates the health page.
func (r *logReader) tell() {
	file, offset := r.tailer.Place()
	counts := r.corr.Counts()
	if n := counts.NotSeen; n > r.unknown {
		if r.unknown == 0 || n >= 2*r.unknown { // sampled
			r.a.cfg.Log.Warn("outcomes of queue ids whose arrival is not in this log", "count", n,
				"hint", "normal for messages queued before the agent started; otherwise see waypost-agent doctor")
		}
		r.unknown = n
	}
	lag, unmatched := r.tailer.Lag(), r.corr.Unmatched()
	r.a.status.with(func(s *status) {
		s.file, s.offset, s.lag = file, offset, lag
		s.unmatched = unmatched
		s.counts, s.entries, s.held, s.tail = counts, r.corr.Entries(), r.corr.Held(), r.tailer.Stats()
	})
}

// checkpointDue tells whether it is time to write the place down.
func (r *logReader) checkpointDue(now time.Time) bool {
	stats := r.tailer.Stats()
	turned := r.saved.IsZero() || stats.Rotations != r.turns.Rotations || stats.Truncation != r.turns.Truncation
	return r.tailer.Open() && turned || r.changed && now.Sub(r.saved) >= max(checkpointEvery, 20*r.cost)
}

// checkpoint writes the place and the correlator down, when it is time to. All
// events before the place are on disk by then.
func (r *logReader) checkpoint(now time.Time, final bool) error {
	stats := r.tailer.Stats()
	if len(r.ends) > 0 || !final && !r.checkpointDue(now) || final && !r.changed {
		return nil
	}
	p := r.tailer.Position()
	start := time.Now()
	if err := saveCheckpoint(r.a.cfg.StateDir, &p, r.corr); err != nil {
		return err
	}
	r.turns = stats
	r.changed, r.saved, r.cost = false, now, time.Since(start)
	return nil
}

package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

// The bounds of sending.
const (
	KeyHeader      = "X-SP-Event-ApiKey" // D-31
	maxBody        = waypost.MaxReportBytes - 16<<10
	firstBackoff   = time.Second
	longestBackoff = 5 * time.Minute
	longestWait    = time.Hour // of a Retry-After
	requestTimeout = 30 * time.Second
)

// Shipper sends what is in the spool to the server, oldest first, and takes it
// out of the spool only when the server has answered for it.
type Shipper struct {
	cfg    *Config
	spool  *Spool
	status *status
	client *http.Client
	agent  waypost.ReportAgent // without its state
	zip    *gzip.Writer        // nil before the first report

	key      string
	most     int // events in the next request; halved by 413
	backoff  time.Duration
	refused  bool // said so already
	rejected int64
}

func newShipper(cfg *Config, id string, spool *Spool, st *status) *Shipper {
	who := waypost.ReportAgent{ID: id, Version: cfg.Version, Hostname: cfg.Hostname, MTA: cfg.MTA}
	return &Shipper{cfg: cfg, spool: spool, status: st, client: newClient(), agent: who, key: cfg.APIKey, most: cfg.Batch}
}

// newClient verifies certificates and follows no redirection: the key is for
// the configured host only.
func newClient() *http.Client {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableCompression: true,
		MaxIdleConns: 2, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: requestTimeout, MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{Transport: t, Timeout: requestTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// Run sends until ctx ends.
func (s *Shipper) Run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	beat := time.Time{} // a heartbeat at once tells a wrong key or endpoint early
	for ctx.Err() == nil {
		wait := time.Until(beat.Add(s.cfg.Heartbeat))
		if waiting := s.spool.Stats().Records > 0; waiting || wait <= 0 {
			if waiting && !s.gather(ctx) {
				return
			}
			pause := s.once(ctx)
			if beat = time.Now(); pause > 0 {
				sleep(ctx, pause, nil)
			}
			continue
		}
		sleep(ctx, wait, s.spool.Wake())
	}
}

// gather waits until a batch is full or the flush interval is over.
func (s *Shipper) gather(ctx context.Context) bool {
	deadline := time.Now().Add(s.cfg.Flush)
	for s.spool.Stats().Records < int64(s.most) {
		left := time.Until(deadline)
		if left <= 0 {
			break
		}
		sleep(ctx, left, s.spool.Wake())
		if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// Drain sends all that waits and stops at the first failure.
func (s *Shipper) Drain(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	for s.spool.Stats().Records > 0 && ctx.Err() == nil {
		if s.once(ctx) > 0 {
			return
		}
	}
}

// once sends one batch, or a heartbeat when nothing waits, and says how long
// to pause.
func (s *Shipper) once(ctx context.Context) time.Duration {
	b, err := s.spool.Next(s.most, maxBody)
	if err != nil {
		s.trouble(err)
		return s.next()
	}
	a := s.post(ctx, b.Payloads)
	if ctx.Err() != nil {
		return 0
	}
	now := time.Now()
	s.status.with(func(st *status) {
		st.requests[a.code]++
		st.latency += a.took
		if a.dated {
			st.skew = a.skew
		}
	})
	switch a.kind {
	case taken:
		s.took(b, a.reply, now)
		return 0
	case tooMuch:
		if len(b.Payloads) > 1 {
			s.most = max(len(b.Payloads)/2, 1)
			return 0
		}
		if len(b.Payloads) == 1 {
			s.refuse(b, a.err)
			return 0
		}
	case keyRefused:
		s.status.with(func(st *status) { st.refused = true })
		if !s.refused {
			s.refused = true
			s.cfg.Log.ErrorContext(ctx, "the server refuses the key; events are kept on disk and sent once it is accepted", "status", a.code)
		}
		if s.anotherKey() {
			return 0
		}
	case failed:
	}
	s.trouble(a.err)
	if a.after > 0 { // it is there, and knows better than we when it can take more
		s.backoff = firstBackoff
		return min(a.after, longestWait) + rand.N(firstBackoff)
	}
	return s.next()
}

// anotherKey reads the key's file again, and tells whether it holds another
// one by now: a rotated key needs no restart.
func (s *Shipper) anotherKey() bool {
	if s.cfg.KeyFile == "" {
		return false
	}
	b, err := os.ReadFile(s.cfg.KeyFile)
	if err != nil {
		return false
	}
	key := strings.TrimSpace(string(b))
	if key == s.key || checkKey(key) != nil {
		return false
	}
	s.key = key
	s.cfg.Log.Info("the key's file holds another key by now; trying that", "file", s.cfg.KeyFile)
	return true
}

// next gives the pause after another failure: doubled each time, with jitter.
func (s *Shipper) next() time.Duration {
	s.backoff = min(max(2*s.backoff, firstBackoff), longestBackoff)
	return s.backoff/2 + rand.N(s.backoff/2)
}

func (s *Shipper) trouble(err error) {
	now := time.Now()
	first := false
	s.status.with(func(st *status) {
		if first = st.failing.IsZero(); first {
			st.failing = now
		}
	})
	s.status.fail(err, now)
	if first && !s.refused {
		s.cfg.Log.Warn("sending fails; events are kept on disk", "error", err)
	}
}

// took notes the answer for a batch and takes it out of the spool.
func (s *Shipper) took(b Batch, r *waypost.ReportReply, now time.Time) {
	rejected := 0
	var reason string
	for _, res := range r.Results {
		if res.Status == waypost.ReportRejected {
			rejected++
			reason = res.Error
		}
	}
	if len(r.Results) == 0 {
		rejected = min(max(r.Rejected, 0), len(b.Payloads))
	}
	if rejected > 0 {
		// Sampled: the 1st, 2nd, 4th, 8th ... time.
		if s.rejected++; s.rejected&(s.rejected-1) == 0 {
			s.cfg.Log.Warn("the server rejected events; they are not sent again", "count", rejected, "of", len(b.Payloads), "reason", reason)
		}
	}
	if s.refused || s.backoff > 0 {
		s.cfg.Log.Info("sending works again", slog.Int("waiting", int(s.spool.Stats().Records)))
	}
	s.refused, s.backoff = false, 0
	s.most = min(s.most*2, s.cfg.Batch)
	s.status.with(func(st *status) {
		st.sent += int64(len(b.Payloads) - rejected)
		st.rejected += int64(rejected)
		st.lastFlush, st.failing, st.refused = now, time.Time{}, false
		for _, res := range r.Results {
			switch res.Status {
			case waypost.ReportDuplicate:
				st.duplicate++
			case waypost.ReportIgnored:
				st.ignored++
			case waypost.ReportAccepted, waypost.ReportRejected:
			}
		}
	})
	s.ack(b)
}

// refuse gives an event up that the server would not take even alone.
func (s *Shipper) refuse(b Batch, err error) {
	s.cfg.Log.Error("the server refuses an event even alone; it is given up", "error", err)
	s.status.with(func(st *status) { st.rejected += int64(len(b.Payloads)) })
	s.status.fail(err, time.Now())
	s.ack(b)
}

func (s *Shipper) ack(b Batch) {
	if len(b.Payloads) == 0 {
		return
	}
	if err := s.spool.Ack(b); err != nil {
		s.cfg.Log.Error("the spool could not note what was sent; it may be sent again", "error", err)
		s.status.fail(err, time.Now())
	}
}

// post sends payloads in one request and judges the answer.
func (s *Shipper) post(ctx context.Context, payloads [][]byte) answer {
	who := s.agent
	if s.spool != nil { // the doctor has none: it is not the agent that runs
		who.AgentState = s.status.state(s.spool.Stats(), time.Now())
	}
	agent, err := json.Marshal(who)
	if err != nil {
		return answer{kind: failed, err: fmt.Errorf("encode agent: %w", err)}
	}
	body, err := s.encodeReport(agent, payloads)
	if err != nil {
		return answer{kind: failed, err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.Endpoint, bytes.NewReader(body))
	if err != nil {
		return answer{kind: failed, err: fmt.Errorf("build request: %w", err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "waypost-agent/"+s.cfg.Version)
	req.Header.Set(KeyHeader, s.key)
	start := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{kind: failed, took: time.Since(start), err: fmt.Errorf("send events: %w", err)}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	text = bytes.ReplaceAll(text, []byte(s.key), []byte("[key]")) // a proxy may echo it
	a := judge(resp, text, err, len(payloads), start)
	a.took = time.Since(start)
	return a
}

// encodeReport writes the body of D-31, compressed. The compressor holds more
// memory than the report it makes and is used again.
func (s *Shipper) encodeReport(agent []byte, payloads [][]byte) ([]byte, error) {
	var b bytes.Buffer // not used again: the transport may read it beyond the answer
	var err error
	if s.zip == nil {
		s.zip, err = gzip.NewWriterLevel(&b, gzip.BestSpeed)
	} else {
		s.zip.Reset(&b)
	}
	write := func(p []byte) {
		if err == nil {
			_, err = s.zip.Write(p)
		}
	}
	write([]byte(`{"agent":`))
	write(agent)
	write([]byte(`,"events":[`))
	comma := []byte(",")
	for i, p := range payloads {
		if i > 0 {
			write(comma)
		}
		write(p)
	}
	write([]byte("]}"))
	if err == nil {
		err = s.zip.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress report: %w", err)
	}
	return b.Bytes(), nil
}

// sleep waits for a time, a wake or the end of ctx.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}

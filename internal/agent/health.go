package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"
)

// Health is what GET /health answers: the fields of D-41 and a few more.
type Health struct {
	Status          string       `json:"status"` // ok, degraded; failing comes with 503
	Version         string       `json:"version"`
	MTA             string       `json:"mta"`
	Hostname        string       `json:"hostname"`
	LogPath         string       `json:"logPath"`
	LogFormat       string       `json:"logFormat"`
	Position        int64        `json:"position"` // bytes read of the file
	LagBytes        int64        `json:"lagBytes"`
	LastLineAt      *time.Time   `json:"lastLineAt"`
	LastEventAt     *time.Time   `json:"lastEventAt"`
	LastFlushAt     *time.Time   `json:"lastFlushAt"`
	LastError       string       `json:"lastError"`
	Buffered        int64        `json:"buffered"` // events on disk that the server does not have
	SpoolBytes      int64        `json:"spoolBytes"`
	Sent            int64        `json:"sent"`
	Rejected        int64        `json:"rejected"`
	Dropped         int64        `json:"dropped"`
	ParseErrors     int64        `json:"parseErrors"`
	UnknownQueueIDs int64        `json:"unknownQueueIds"`
	CorrelatedBy    CorrelatedBy `json:"correlatedBy"`

	Reasons          []string         `json:"reasons,omitempty"`
	File             string           `json:"file"` // the file of Position: the log or an archive
	Lines            int64            `json:"lines"`
	LinesCut         int64            `json:"linesCut"`
	Events           map[string]int64 `json:"events"`
	Unknown          map[string]int64 `json:"unknown"` // UnknownQueueIDs by reason
	Hops             int64            `json:"hops"`
	Discarded        int64            `json:"discarded"`
	Held             int              `json:"held"`
	Remembered       int              `json:"remembered"` // queue ids
	Evicted          int64            `json:"evicted"`
	OutcomesLost     int64            `json:"outcomesLost"`
	Rotations        int64            `json:"rotations"`
	BrokenArchives   int64            `json:"brokenArchives"`
	LastErrorAt      *time.Time       `json:"lastErrorAt"`
	ClockSkewSeconds float64          `json:"clockSkewSeconds"`
}

// CorrelatedBy counts events by how their message was found (D-42).
type CorrelatedBy struct {
	ReturnPath int64 `json:"returnPath"`
	Header     int64 `json:"header"`
	MessageID  int64 `json:"messageId"`
	Chain      int64 `json:"chain"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// health takes the picture.
func (a *agent) health(now time.Time) Health {
	spool := a.spool.Stats()
	s := a.status
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Health{
		Version: a.cfg.Version, MTA: a.cfg.MTA, Hostname: a.cfg.Hostname, LogPath: a.cfg.sourceName(), LogFormat: s.format,
		Position: s.offset, LagBytes: s.lag, LastLineAt: moment(s.lastLine), LastEventAt: moment(s.lastEvent),
		LastFlushAt: moment(s.lastFlush), LastError: s.lastError, LastErrorAt: moment(s.lastErrorAt),
		Buffered: spool.Records, SpoolBytes: spool.Bytes, Sent: s.sent, Rejected: s.rejected,
		Dropped: s.dropped + spool.Damaged, ParseErrors: s.parseErrors, UnknownQueueIDs: s.counts.Unknown(),
		CorrelatedBy: CorrelatedBy{s.counts.ReturnPath, s.counts.Header, s.counts.MessageID, s.counts.Chain},
		File:         s.file, Lines: s.lines, LinesCut: s.tail.Cut, Events: map[string]int64{},
		Unknown: map[string]int64{"arrivalNotInLog": s.counts.NotSeen, "notWaypostMail": s.counts.Foreign},
		Hops:    s.counts.Hops, Discarded: s.counts.Discarded, Held: s.held, Remembered: s.entries,
		Evicted: s.counts.Evicted, OutcomesLost: s.counts.OutcomesLost, Rotations: s.tail.Rotations, BrokenArchives: s.tail.Broken,
		ClockSkewSeconds: s.skew.Seconds(),
	}
	maps.Copy(h.Events, s.events)
	h.Status, h.Reasons = s.verdict(spool, now)
	return h
}

// serveHealth answers /health and /metrics until ctx ends.
func (a *agent) serveHealth(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		h := a.health(time.Now())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if h.Status == "failing" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(h) // the client went away
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(a.metrics(time.Now())) // the client went away
	})
	srv := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health on %s: %w", l.Addr(), err)
	}
	return nil
}

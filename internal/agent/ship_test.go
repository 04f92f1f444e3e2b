package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncBuffer is a log that a test may read while the agent writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// appendLog adds text to the log, which appears when it is not there yet.
func appendLog(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// story is the log of one message for a recipient that was delivered at once.
func story(i int, recipient string) string {
	q := fmt.Sprintf("%05X9EE5BF", i)
	return fmt.Sprintf(`Nov 24 04:00:01 mta1 postfix/smtpd[1]: %[1]s: client=app.example.com[192.0.2.1]
Nov 24 04:00:01 mta1 postfix/qmgr[1]: %[1]s: from=<bounces+018f3c7e-1111-7222-8333-%012[2]d+7@sp-bounce.example.com>, size=700, nrcpt=1 (queue active)
Nov 24 04:00:02 mta1 postfix/smtp[1]: %[1]s: to=<%[3]s>, relay=mx.dest.example[203.0.113.5]:25, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as ABC123)
Nov 24 04:00:02 mta1 postfix/qmgr[1]: %[1]s: removed
`, q, i, recipient)
}

func getHealth(t *testing.T, addr string) (Health, int) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var h Health
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h, resp.StatusCode
}

// TestServerTroubles lets the server misbehave in every way first; no event
// may be lost, and the key must not show up in the log.
func TestServerTroubles(t *testing.T) {
	fail := func(code int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, fault := range map[string]http.HandlerFunc{
		"unauthorised": fail(401, "", testKey),
		"forbidden":    fail(403, "", "no"),
		"too many":     fail(429, "1", "slow down"),
		"unavailable":  fail(503, time.Now().Add(time.Second).UTC().Format(http.TimeFormat), "later"),
		"html":         fail(200, "", "<html><body>Welcome to the hotel's network</body></html>"),
		"foreign json": fail(200, "", `{"ok":true}`),
		"short reply":  fail(200, "", `{"accepted":0,"rejected":0,"results":[]}`),
		"not found":    fail(404, "", "nothing here"),
		"redirected":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
		},
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"accepted":1`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t)
			cfg := testConfig(t, s)
			log := &syncBuffer{}
			cfg.Log = slog.New(slog.NewTextHandler(log, nil))
			appendLog(t, cfg.LogPath, "")
			r := start(t, cfg)
			s.await(t, "the first heartbeat", func() bool { return s.beats > 0 })
			s.set(func() { s.faults = []http.HandlerFunc{fault} })
			appendLog(t, cfg.LogPath, story(1, "a@dest.example"))
			s.await(t, "the event", func() bool { return len(s.items) == 1 })
			r.end(t)
			if text := log.String(); strings.Contains(text, testKey) || !strings.Contains(text, "sending works again") {
				t.Errorf("log holds the key or does not tell of recovery:\n%s", text)
			}
		})
	}
}

func TestRefusedKeyIsStuck(t *testing.T) {
	s := newSink(t)
	cfg := testConfig(t, s)
	cfg.APIKey = "another-key"
	log := &syncBuffer{}
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	appendLog(t, cfg.LogPath, "")
	r := start(t, cfg)
	appendLog(t, cfg.LogPath, story(1, "a@dest.example"))
	s.await(t, "two requests", func() bool { return s.requests >= 2 })
	eventually(t, "the health page to say so", func() bool {
		h, code := getHealth(t, r.health)
		return code == 503 && h.Status == "failing" && h.Buffered == 1 && strings.Contains(h.LastError, "refuses the key")
	})
	r.end(t)
	if n := strings.Count(log.String(), "refuses the key"); n != 1 {
		t.Errorf("said %d times that the key is refused:\n%s", n, log)
	}
}

// TestKeyRotatedInItsFile: a key that the server refuses is read again from
// its file, and what waited is sent with the new one.
func TestKeyRotatedInItsFile(t *testing.T) {
	s := newSink(t)
	cfg := testConfig(t, s)
	cfg.APIKey, cfg.KeyFile = "the-old-key", filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(cfg.KeyFile, []byte("the-old-key\n"), 0o600))
	appendLog(t, cfg.LogPath, "")
	r := start(t, cfg)
	appendLog(t, cfg.LogPath, story(1, "a@dest.example"))
	s.await(t, "a request with the old key", func() bool { return s.requests >= 1 })
	must(t, os.WriteFile(cfg.KeyFile, []byte("no key at all\n"), 0o600)) // blanks: not tried
	must(t, os.WriteFile(cfg.KeyFile, []byte(testKey+"\n"), 0o600))
	s.await(t, "the event with the new key", func() bool { return len(s.items) == 1 })
	eventually(t, "the health page to be well again", func() bool {
		h, code := getHealth(t, r.health)
		return code == 200 && h.Buffered == 0
	})
}

func TestRejectedItemsAndBatches(t *testing.T) {
	s := newSink(t)
	cfg := testConfig(t, s)
	cfg.Batch = 8
	tooLarge := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) }
	appendLog(t, cfg.LogPath, "")
	r := start(t, cfg)
	s.await(t, "the first heartbeat", func() bool { return s.beats > 0 })
	s.set(func() { s.faults = []http.HandlerFunc{tooLarge, tooLarge} })
	var text strings.Builder
	for i := range 40 {
		to := fmt.Sprintf("u%d@dest.example", i)
		if i%10 == 3 {
			to = "reject@dest.example"
		}
		text.WriteString(story(i, to))
	}
	appendLog(t, cfg.LogPath, text.String())
	s.await(t, "the events", func() bool { return len(s.items) == 36 })
	eventually(t, "the counters", func() bool {
		h, code := getHealth(t, r.health)
		return code == 200 && h.Status == "ok" && h.Sent == 36 && h.Rejected == 4 && h.Buffered == 0 &&
			h.CorrelatedBy.ReturnPath == 40 && h.LogFormat == "traditional" && h.LastFlushAt != nil
	})
	s.set(func() {
		if s.largest > 8 {
			t.Errorf("a batch of %d events", s.largest)
		}
	})
	resp, err := http.Get("http://" + r.health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || !strings.Contains(string(page), "\nwaypost_agent_sent_total 36\n") || !strings.Contains(string(page), `_events_total{type="delivered"} 40`) {
		t.Errorf("%v: metrics:\n%s", err, page)
	}
}

// TestSpoolFull stops reading while the spool is full and loses nothing.
func TestSpoolFull(t *testing.T) {
	s := newSink(t)
	s.down = true
	cfg := testConfig(t, s)
	cfg.SpoolSize = 1 << 20
	appendLog(t, cfg.LogPath, "")
	r := start(t, cfg)
	var text strings.Builder
	const n = 6000
	for i := range n {
		text.WriteString(story(i, fmt.Sprintf("u%d@dest.example", i)))
	}
	appendLog(t, cfg.LogPath, text.String())
	eventually(t, "the spool to be full", func() bool {
		h, code := getHealth(t, r.health)
		return code == 503 && strings.Contains(strings.Join(h.Reasons, " "), "spool is full") && h.SpoolBytes <= 1<<20
	})
	r.kill(t)
	s.set(func() { s.down = false })
	start(t, cfg)
	s.await(t, "all events", func() bool { return len(s.byID) == n })
}

// TestLogAppearsLater waits for a log and takes its first line.
func TestLogAppearsLater(t *testing.T) {
	s := newSink(t)
	cfg := testConfig(t, s)
	a := launch(t, cfg)
	eventually(t, "the agent to say that there is no log", func() bool { return len(a.a.health(time.Now()).Reasons) == 1 })
	appendLog(t, cfg.LogPath, story(1, "a@dest.example"))
	s.await(t, "the event", func() bool { return len(s.items) == 1 })
}

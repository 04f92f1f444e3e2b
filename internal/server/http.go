package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log" //nolint:depguard // net/http wants one; it writes into slog
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// handler is the one HTTP door: the API, the agent and its installation, the
// health of the node, its metrics, tracking URLs, and the pages for people.
func (n *node) handler(front http.Handler, agents *agentShelf) http.Handler {
	mux := http.NewServeMux()
	if n.cfg.has("api") {
		mux.Handle("/api/v1/", n.api)
		mux.Handle("GET "+api.ReferencePath, n.api.Reference())
		mux.HandleFunc("GET /agent/install.sh", agents.install)
		mux.HandleFunc("GET /agent/download/{kind}/{arch}", agents.download)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.Handle("GET /readyz", &readiness{store: n.store, log: n.cfg.Log})
	if n.tracker != nil {
		mux.Handle(track.Root, n.tracker)
	}
	mux.Handle("GET /metrics", behindToken(n.cfg.MetricsToken, promhttp.HandlerFor(n.metrics(), promhttp.HandlerOpts{})))
	mux.Handle("/", front)
	return within(bodyPatience, readPatience, singleSlashes(mux))
}

// singleSlashes reads //api/v1//account as /api/v1/account: a base URL that
// ends in a slash is common in settings of clients, and the mux would answer
// with a redirect, which many of them do not follow for a POST (D-3).
func singleSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		if !strings.Contains(escaped, "//") {
			next.ServeHTTP(w, r)
			return
		}
		single := manySlashes.ReplaceAllString(escaped, "/")
		if path, err := url.PathUnescape(single); err == nil && strings.HasPrefix(single, "/api/v1/") {
			clean := *r.URL
			clean.Path, clean.RawPath = path, single
			r = r.WithContext(r.Context())
			r.URL = &clean
		}
		next.ServeHTTP(w, r)
	})
}

var manySlashes = regexp.MustCompile(`/{2,}`)

// readiness answers 503 while storage does not answer. The page is open to
// everybody: the cause stands in the log alone, and storage is asked once a
// second at most, whoever asks how often.
type readiness struct {
	store store.Store
	log   *slog.Logger

	mu    sync.Mutex // held while storage is asked
	asked time.Time
	err   error
}

const (
	readyFresh = time.Second
	readyLimit = 3 * time.Second
)

// ServeHTTP implements [http.Handler].
func (p *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.ask(r.Context()) != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "storage": "does not answer; the server's log says why"})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready", "storage": "ok"})
}

func (p *readiness) ask(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.asked) < readyFresh {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyLimit) // the answer is for others, too
	defer cancel()
	p.err = p.store.Ping(ctx)
	p.asked = time.Now()
	if p.err != nil {
		p.log.WarnContext(ctx, "not ready: storage does not answer", "error", p.err)
	}
	return p.err
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

// httpLog takes the lines of net/http itself, such as broken handshakes.
func httpLog(l *slog.Logger) *log.Logger {
	return slog.NewLogLogger(l.Handler(), slog.LevelDebug)
}

// String gives the one line that a started server writes for scripts.
func (r Ready) String() string {
	return fmt.Sprintf("ready http=%s smtp=%s submission=%s submissions-tls=%s", r.HTTP, r.SMTP, r.Submission, r.SubmissionTLS)
}

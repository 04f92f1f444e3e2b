package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are those of this node and of the parts that it has.
func (n *node) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	queued := &gauge{count: n.queue.Backlog}
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "waypost_queue_messages",
			Help: "Messages that wait in the queue, up to 100000. When there are many, as of the scrape before, at most two minutes ago.",
		}, func() float64 { return queued.value(time.Now()) }),
		n.attempts.number, n.attempts.seconds,
		newTraffic(n.door, n.queue, n.store),
	)
	r.MustRegister(doorMetrics(n.guests)...)
	r.MustRegister(submissionMetrics(n.submission)...)
	if n.tracker != nil {
		r.MustRegister(trackMetrics(n.tracker)...)
	}
	if n.hooks != nil {
		r.MustRegister(hookMetrics(n.hooks)...)
	}
	return r
}

// The bounds of a gauge.
const (
	countLimit = 2 * time.Second
	countCheap = 2 * time.Millisecond // what a scrape may wait for
	countShare = 200                  // a count that takes longer is made so rarely that it takes one part in so many of the time
	countStale = 2 * time.Minute      // no older count is shown
)

// gauge is a number that takes long to count when it is large. Whoever asks how
// often, and at once, a count that took long is not waited for again: what it
// came to is shown while the next is under way.
type gauge struct {
	count func(context.Context) (int, error)

	mu       sync.Mutex
	n        float64
	at       time.Time // of the last count, zero before the first
	took     time.Duration
	counting chan struct{} // closed when the count under way has ended, nil without one
}

// value is the number, -1 when it cannot be counted.
func (g *gauge) value(now time.Time) float64 {
	g.mu.Lock()
	if g.took > countCheap && now.Sub(g.at) < min(countShare*g.took, countStale) {
		defer g.mu.Unlock()
		return g.n
	}
	if g.counting == nil {
		g.counting = make(chan struct{})
		go g.recount()
	}
	done, known := g.counting, g.took > countCheap && now.Sub(g.at) < countStale
	n := g.n
	g.mu.Unlock()
	if known {
		return n
	}
	<-done // within countLimit
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

func (g *gauge) recount() {
	ctx, cancel := context.WithTimeout(context.Background(), countLimit)
	defer cancel()
	began := time.Now()
	n, err := g.count(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.n = time.Now(), float64(n)
	g.took = g.at.Sub(began)
	if err != nil {
		g.n, g.took = -1, 0 // asked again by the next
	}
	close(g.counting)
	g.counting = nil
}

// behindToken asks for a bearer token (RFC 6750), unless it is "".
func behindToken(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(strings.TrimSpace(given)))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			answer(w, http.StatusUnauthorized, map[string]string{"error": "give the setting metrics-token of this server as a bearer token"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkMetricsToken finds a token that cannot be sent, or can be guessed.
func checkMetricsToken(token string) error {
	if token == "" {
		return nil
	}
	if len(token) < 16 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("metrics-token: must be 16 or more printable ASCII characters without a space")
	}
	return nil
}

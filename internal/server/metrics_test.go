package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestGauge: what was counted quickly is counted again for everybody; what took
// long is shown as it was, counted anew beside that, and never shown when it is
// too old.
func TestGauge(t *testing.T) {
	counts, failing := make(chan int, 10), false
	g := &gauge{count: func(context.Context) (int, error) {
		if failing {
			return 0, errors.New("away")
		}
		return <-counts, nil
	}}
	expect := func(now time.Time, want float64) {
		t.Helper()
		if got := g.value(now); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	slow := func() { // as if the last count had taken long
		g.mu.Lock()
		defer g.mu.Unlock()
		g.took = 100 * time.Millisecond
	}
	counts <- 1
	expect(time.Now(), 1)
	g.took = 0
	counts <- 2
	expect(time.Now(), 2)
	slow()
	expect(g.at.Add(19*time.Second), 2) // 200 times as long is not over
	expect(g.at.Add(21*time.Second), 2) // it is; the next count is under way
	expect(g.at.Add(21*time.Second), 2)
	g.mu.Lock()
	counting := g.counting
	g.mu.Unlock()
	counts <- 3
	<-counting
	slow()
	expect(g.at, 3)
	counts <- 4
	expect(g.at.Add(countStale), 4)
	g.took, failing = 0, true
	expect(time.Now(), -1)
}

// TestMetricsToken: with a token, who does not bring it sees no metric.
func TestMetricsToken(t *testing.T) {
	h := behindToken("a-long-secret-token", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metric 1") }))
	for header, want := range map[string]int{
		"": 401, "Bearer": 401, "Bearer wrong": 401, "a-long-secret-token": 401, "Basic a-long-secret-token": 401,
		"Bearer a-long-secret-token": 200, "bearer  a-long-secret-token": 200,
	} {
		r, w := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", header)
		h.ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), "metric 1") != (want == 200) {
			t.Errorf("%q: %d %s", header, w.Code, w.Body)
		}
	}
	for token, good := range map[string]bool{"": true, "short": false, "0123456789abcdef": true, "0123456789 abcdef": false, "0123456789abcdeé": false} {
		if err := checkMetricsToken(token); (err == nil) != good {
			t.Errorf("%q: %v", token, err)
		}
	}
}

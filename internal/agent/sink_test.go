package agent

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is the server's side: it takes reports as D-31 has them and can be told
// to misbehave.
type sink struct {
	*httptest.Server

	mu       sync.Mutex
	items    []waypost.ReportItem
	byID     map[string]waypost.ReportItem
	requests int
	beats    int
	largest  int
	faults   []http.HandlerFunc // answer the next requests instead
	down     bool
	changed  chan struct{}
}

const testKey = "secret-event-key-0123456789"

func newSink(t testing.TB) *sink {
	t.Helper()
	s := &sink{byID: map[string]waypost.ReportItem{}, changed: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { close(s.changed); s.changed = make(chan struct{}) }()
	s.requests++
	if s.down {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	if len(s.faults) > 0 {
		f := s.faults[0]
		s.faults = s.faults[1:]
		f(w, r)
		return
	}
	if r.Header.Get(KeyHeader) != testKey || r.URL.Path != EventsPath {
		http.Error(w, `{"error":"no"}`, http.StatusUnauthorized)
		return
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(z)
	if err != nil || len(body) > waypost.MaxReportBytes {
		http.Error(w, "too long or broken", http.StatusBadRequest)
		return
	}
	var rep waypost.Report
	if err := json.Unmarshal(body, &rep); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(rep.Items) == 0 {
		s.beats++
	}
	s.largest = max(s.largest, len(rep.Items))
	reply := waypost.ReportReply{Results: []waypost.ReportResult{}}
	for i, it := range rep.Items {
		res := waypost.ReportResult{Index: i, Status: waypost.ReportAccepted}
		switch _, known := s.byID[it.EventID]; {
		case it.Recipient == "reject@dest.example":
			res.Status, res.Error = waypost.ReportRejected, "message_id: unknown"
			reply.Rejected++
		case known:
			res.Status = waypost.ReportDuplicate
		default:
			s.byID[it.EventID] = it
			s.items = append(s.items, it)
			reply.Accepted++
		}
		reply.Results = append(reply.Results, res)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply)
}

func (s *sink) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// await waits until cond, asked after every request, is true.
func (s *sink) await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// eventually waits for a condition that no channel announces.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	late := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

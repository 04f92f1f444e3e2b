package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

const (
	callers = 4
	perCall = 10
	// mostAhead bounds the messages that are accepted and not yet offered to
	// the mail server, so that kills meet accepting and relaying.
	mostAhead = 300
)

// load is what callers sent and what they were told.
type load struct {
	always atomic.Bool // call however far accepting is ahead of relaying

	mu         sync.Mutex
	accepted   map[string]string // id to recipient
	seen       map[string]bool   // ids that the mail server was offered
	ahead      int               // accepted and not offered yet
	waiting    map[string]bool   // of them, those of the limited provider
	unanswered int               // calls without an answer
	refused    map[int]int       // calls by status other than 200
	odd        []string          // refusals that are not what they should be
	calls      int
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

func (l *load) aheadNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ahead
}

// offer notes that the mail server is offered a message, by its return path.
func (l *load) offer(sender string) {
	path, ok := waypost.FindReturnPath(sender)
	if !ok {
		return
	}
	id := path.UUID.String()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.accepted[id]; known && !l.seen[id] {
		l.ahead--
	}
	l.seen[id] = true
}

// refusals counts calls that were answered with 503.
func (w *world) refusals() int {
	w.load.mu.Lock()
	defer w.load.mu.Unlock()
	return w.load.refused[http.StatusServiceUnavailable]
}

// send starts callers that call until the function returned is called.
func (w *world) send(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	for i := range callers {
		calling.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if w.load.always.Load() || w.load.aheadNow() < mostAhead {
					w.call(t.Context(), fmt.Sprintf("%d.%d", i, n), w.relay)
				}
				pause := time.NewTimer(10 * time.Millisecond)
				select {
				case <-ctx.Done():
				case <-pause.C:
				}
				pause.Stop()
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); calling.Wait() })
	t.Cleanup(stop)
	return stop
}

// outcomes are the local parts of a call's recipients, one each.
var outcomes = [perCall]string{"deliver", "deliver", "hardbounce", "deliver", "deliver", "softbounce", "deliver", "deferred", "deliver", "deliver"}

// call makes one call of a random node. What is not answered may be stored or
// not: it is not made again, and the next call has other recipients.
func (w *world) call(ctx context.Context, mark string, r *relay) {
	to := make([]map[string]string, perCall)
	for i := range to {
		to[i] = map[string]string{"email": fmt.Sprintf("%s+%s.%d.%s@people.example", outcomes[i], mark, i, r.pool)}
	}
	resp, b, err := w.ask(ctx, rand.IntN(len(w.addrs)), http.MethodPost, "/subaccount/email", map[string]any{
		"from": map[string]string{"email": "news@" + sender}, "to": to, "subject": "Torture", "textBody": "Nothing may be lost.\n", "ippool": r.pool,
	})
	l := &w.load
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if err != nil {
		l.unanswered++
		return
	}
	if resp.StatusCode != http.StatusOK {
		l.refused[resp.StatusCode]++
		var e struct{ Error struct{ Message string } }
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || json.Unmarshal(b, &e) != nil || e.Error.Message == "" {
			l.odd = append(l.odd, fmt.Sprintf("%s: %.300s", resp.Status, b))
		}
		return
	}
	var answers []struct {
		MessageID string `json:"messageId"`
		To        string `json:"to"`
		ErrorCode int    `json:"errorCode"`
	}
	if err := json.Unmarshal(b, &answers); err != nil || len(answers) != perCall {
		l.odd = append(l.odd, fmt.Sprintf("%v: %.300s", err, b))
		return
	}
	for _, a := range answers {
		if a.ErrorCode != 0 {
			l.odd = append(l.odd, fmt.Sprintf("%s was refused with %d", a.To, a.ErrorCode))
		}
		l.accepted[a.MessageID] = a.To
		if r == w.limited {
			l.waiting[a.MessageID] = true
		} else if !l.seen[a.MessageID] {
			l.ahead++
		}
	}
}

// busy waits until so many more messages were accepted, or offered to the mail
// server, by turns.
func (w *world) busy(t *testing.T, round int) {
	t.Helper()
	accepted, offered, more := w.load.count(), w.relay.offered.Load(), 1+rand.IntN(100)
	eventually(t, "mail to flow", func() bool {
		if round%2 == 0 {
			return w.load.count() >= accepted+more
		}
		return w.relay.offered.Load() >= offered+int64(more)
	})
}

package track

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waypost-mail/waypost"
)

// Record stores hits in one transaction and tells how many of them were of
// messages that are known. An error that wraps ErrLater asks to try again.
type Record func(ctx context.Context, hits []Hit) (known int, err error)

// Config is what a tracker needs.
type Config struct {
	Keys   *Keys
	Record Record
	Log    *slog.Logger

	ForgetIP bool           // do not keep the addresses of visitors
	Proxies  []netip.Prefix // whose X-Forwarded-For is believed
}

// Tracker serves tracking URLs.
type Tracker struct {
	cfg    Config
	rules  *Rules
	visits *visits

	refused atomic.Int64
}

// New makes a tracker. Run stores what it takes.
func New(c Config) (*Tracker, error) {
	rules, err := LoadRules()
	if err != nil {
		return nil, err
	}
	return &Tracker{cfg: c, rules: rules, visits: newVisits(maxPending)}, nil
}

// Run stores opens and clicks until ctx ends, and what waits then. It returns
// nil.
func (t *Tracker) Run(ctx context.Context) error {
	t.visits.run(ctx, t.cfg.Log, t.judge, t.cfg.Record)
	return nil
}

// Counts are since the tracker was made.
type Counts struct {
	Waiting int   // opens and clicks in memory
	Stored  int64 // opens and clicks stored
	Dropped int64 // opens and clicks lost: storage was away for too long, or refused them
	Refused int64 // requests whose token was none of ours
}

// Counts tells what became of the requests so far.
func (t *Tracker) Counts() Counts {
	return Counts{
		Waiting: t.visits.waiting(), Stored: t.visits.stored.Load(),
		Dropped: t.visits.dropped.Load(), Refused: t.refused.Load(),
	}
}

// judge completes a hit with what takes longer than an answer may.
type judge = func(h *Hit, burst func(time.Duration) bool)

func (t *Tracker) judge(h *Hit, burst func(time.Duration) bool) {
	h.Visit.Machine = t.rules.verdict(&request{
		kind: h.Kind, head: h.head, addr: h.addr, agent: h.Visit.UserAgent, after: h.At.Sub(h.relayed), burst: burst,
	})
	if !t.cfg.ForgetIP && h.addr.IsValid() {
		h.Visit.IP = h.addr.String()
	}
}

// Header values that never change, for answers that many wait for.
var (
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
	noReferrer  = []string{"no-referrer"}
	noIndex     = []string{"noindex"}
	typePNG     = []string{"image/png"}
	lengthPixel = []string{strconv.Itoa(len(pixel))}
	lengthNone  = []string{"0"}
)

// pixel is a PNG of one transparent pixel.
const pixel = "\x89\x50\x4e\x47\x0d\x0a\x1a\x0a" +
	"\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
	"\x00\x00\x00\x0b\x49\x44\x41\x54\x78\xda\x63\x60\x00\x02\x00\x00\x05\x00\x01\xe9\xfa\xdc\xd8" +
	"\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82"

// ServeHTTP answers requests below /track/tpsp/.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Referrer-Policy"] = noReferrer
	h["X-Robots-Tag"] = noIndex
	rest, _ := strings.CutPrefix(r.URL.Path, Root)
	action, token, _ := strings.Cut(rest, "/")
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch action {
	case "open":
		token, whole := strings.CutSuffix(token, openFile)
		if !read {
			t.refuseMethod(w, r, "GET, HEAD")
		} else if !whole {
			t.refuse(w, r)
		} else {
			t.open(w, r, token)
		}
	case "click":
		if !read {
			t.refuseMethod(w, r, "GET, HEAD")
		} else {
			t.click(w, r, token)
		}
	case "unsubscribe":
		switch {
		case read:
			t.confirm(w, r, token)
		case r.Method == http.MethodPost:
			t.unsubscribe(w, r, token)
		default:
			t.refuseMethod(w, r, "GET, HEAD, POST")
		}
	default:
		t.refuse(w, r)
	}
}

// token reads a token of a kind.
func (t *Tracker) token(s string, kind Kind) (Token, bool) {
	token, err := t.cfg.Keys.Open(s)
	return token, err == nil && token.Kind == kind
}

// hit is a request for a token.
func (t *Tracker) hit(r *http.Request, token *Token) Hit {
	return Hit{
		Kind: token.Kind, Message: token.Message, At: time.Now(),
		Visit: waypost.Visit{URL: token.URL, Link: token.Link, UserAgent: cleanAgent(r.UserAgent())},
		link:  token.Link, links: token.Links, relayed: token.Relayed,
		head: r.Method == http.MethodHead, addr: Client(r, t.cfg.Proxies),
	}
}

// take notes a hit. It rests a little while storage is behind.
func (t *Tracker) take(r *http.Request, token *Token) {
	if rest := t.visits.add(t.hit(r, token)); rest > 0 {
		timer := time.NewTimer(rest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
}

func (t *Tracker) open(w http.ResponseWriter, r *http.Request, s string) {
	token, ok := t.token(s, Open)
	if !ok {
		t.refuse(w, r)
		return
	}
	t.take(r, &token)
	h := w.Header()
	h["Content-Type"] = typePNG
	h["Content-Length"] = lengthPixel
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(pixel))
	}
}

func (t *Tracker) click(w http.ResponseWriter, r *http.Request, s string) {
	token, ok := t.token(s, Click)
	if !ok {
		t.refuse(w, r)
		return
	}
	t.take(r, &token)
	h := w.Header()
	h["Location"] = []string{token.URL} // as it is: http.Redirect would escape and resolve it
	h["Content-Length"] = lengthNone
	w.WriteHeader(http.StatusFound)
}

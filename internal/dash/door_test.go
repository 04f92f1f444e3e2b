package dash

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/internal/track"
)

// TestLocal: only paths of this dashboard are followed after a login.
func TestLocal(t *testing.T) {
	for next, want := range map[string]string{
		"/events?type=63&provider=2": "/events?type=63&provider=2",
		"/":                          "/",
		"":                           "/",
		"//evil.example":             "/",
		`/\evil.example`:             "/",
		"/a\\b":                      "/",
		"https://evil.example/":      "/",
		"javascript:alert(1)":        "/",
		"evil":                       "/",
		"/\t/evil.example":           "/",
		"/ok\r\nSet-Cookie: x=y":     "/",
	} {
		if got := local(next); got != want {
			t.Errorf("local(%q) = %q, want %q", next, got, want)
		}
	}
}

// TestPasswords: what was hashed matches, nothing else does, and a hash of a
// password is another each time.
func TestPasswords(t *testing.T) {
	d := &Dash{hashing: make(chan struct{}, maxHashing)}
	one, err := d.hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.hash(t.Context(), "correct horse battery")
	if err != nil || one == two {
		t.Fatalf("two hashes of a password are equal, or: %v", err)
	}
	for _, c := range []struct {
		password, encoded string
		want              bool
	}{
		{"correct horse battery", one, true},
		{"correct horse battery", once + two, true},
		{"correct horse batterz", one, false},
		{"", one, false},
		{"anything", "", false},
	} {
		got, err := d.matches(t.Context(), c.password, c.encoded)
		if err != nil || got != c.want {
			t.Errorf("matches(%q, %.20s…) = %v, %v; want %v", c.password, c.encoded, got, err, c.want)
		}
	}
	for _, broken := range []string{"x", "$argon2i$v=19$m=1,t=1,p=1$AA$AA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=8,t=0,p=1$AA$AA"} {
		if ok, err := d.matches(t.Context(), "x", broken); ok || err == nil {
			t.Errorf("a stored password %q was taken: %v, %v", broken, ok, err)
		}
	}
}

// TestGuard: guesses are slowed down more and more, on every node, other
// networks are not, and the right password or an hour of quiet forgets.
func TestGuard(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	one, two, now := &guard{s}, &guard{s}, time.Now()
	failed := func(g *guard, network, login string) {
		t.Helper()
		if err := g.failed(t.Context(), network, login, now); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(g *guard, network, login string, at time.Time) time.Duration {
		t.Helper()
		w, err := g.wait(t.Context(), network, login, at)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	for range freePerLogin - 1 {
		failed(one, "192.0.2.1", "a@example.com")
	}
	if w := wait(two, "192.0.2.1", "a@example.com", now); w > 0 {
		t.Fatalf("a delay of %s after %d failures", w, freePerLogin-1)
	}
	last := time.Duration(0)
	for i := range 4 {
		node, other := one, two
		if i%2 == 1 {
			node, other = two, one
		}
		failed(node, "192.0.2.1", "a@example.com")
		w := wait(other, "192.0.2.1", "a@example.com", now)
		if w <= last {
			t.Fatalf("the delay does not grow: %s after %s", w, last)
		}
		last = w
	}
	if w := wait(one, "192.0.2.2", "a@example.com", now); w > 0 {
		t.Errorf("another network waits %s: a guesser could lock a person out", w)
	}
	for range freePerNetwork {
		failed(one, "192.0.2.1", strings.Repeat("a long login ", 100))
	}
	if w := wait(two, "192.0.2.1", "b@example.com", now); w <= 0 || w > longestDelay {
		t.Errorf("a network that guesses at many logins waits %s", w)
	}
	if err := one.succeeded(t.Context(), "192.0.2.1", "a@example.com", now); err != nil {
		t.Fatal(err)
	}
	if w := wait(two, "192.0.2.1", "a@example.com", now.Add(longestDelay)); w > 0 {
		t.Errorf("after a success, still %s", w)
	}
	failed(one, "192.0.2.3", "c@example.com")
	now = now.Add(forgetAfter)
	for range freePerLogin - 1 {
		failed(one, "192.0.2.3", "c@example.com")
	}
	if w := wait(one, "192.0.2.3", "c@example.com", now); w > 0 {
		t.Errorf("a failure of an hour ago still counts: %s", w)
	}
}

// TestGuessesAtOnce: guesses that come at the same moment get no further than
// as many in turn.
func TestGuessesAtOnce(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	d := New(Config{Store: s, Log: slog.New(slog.DiscardHandler)})
	var tried atomic.Int32
	var guessing sync.WaitGroup
	for range 40 {
		guessing.Go(func() {
			ok, wait, err := d.attempt(t.Context(), "192.0.2.1", "a@example.com", "guess", "")
			if ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
			if wait == 0 {
				tried.Add(1)
			}
		})
	}
	guessing.Wait()
	// The first delay is seconds; a slow machine may let some more through.
	if n := tried.Load(); n > 20 {
		t.Errorf("%d of 40 guesses at once were looked at, want about %d", n, freePerLogin+maxHashing)
	}
}

// TestLoginsThatWait: logins that wait for their turn are few, since each holds
// a connection; others are sent away at once.
func TestLoginsThatWait(t *testing.T) {
	d := New(Config{Log: slog.New(slog.DiscardHandler)})
	for range maxHashing {
		d.attempts <- struct{}{} // nobody's turn comes
	}
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range mostQueued {
		waiting.Go(func() {
			if _, _, err := d.attempt(ctx, "192.0.2.1", "a@example.com", "guess", ""); !errors.Is(err, context.Canceled) {
				t.Errorf("a login that waits ended with %v", err)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); d.queued.Load() < mostQueued && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if ok, wait, err := d.attempt(t.Context(), "192.0.2.2", "b@example.com", "guess", ""); ok || wait != crowdedPause || err != nil {
		t.Errorf("one too many: %v, %v, %v", ok, wait, err)
	}
	leave()
	waiting.Wait()
	if n := d.queued.Load(); n != 0 {
		t.Errorf("%d logins are still counted", n)
	}
}

// TestLoginOvertaken: what an owner changes while a password is being checked
// stays changed.
func TestLoginOvertaken(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	d := New(Config{Store: s, Log: slog.New(slog.DiscardHandler)})
	v := d.visit(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", nil))
	stored := waypost.Person{Account: 1, Email: "a@example.com", Role: waypost.RoleOwner, Password: "one"}
	if err := s.CreatePerson(t.Context(), &stored); err != nil {
		t.Fatal(err)
	}
	read := stored // by the login, before the owner's change
	stored.Role = waypost.RoleViewer
	if err := s.UpdatePerson(t.Context(), &stored); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.noteLogin(v, &read); !ok || err != nil || read.Role != waypost.RoleViewer || read.LastLogin.IsZero() {
		t.Errorf("the role was changed meanwhile: %v, %v, %s", ok, err, read.Role)
	}
	stored.Password = "two"
	if err := s.UpdatePerson(t.Context(), &stored); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.noteLogin(v, &read); ok || err != nil {
		t.Errorf("the password was changed meanwhile: %v, %v", ok, err)
	}
	if now, err := s.Person(t.Context(), stored.ID); err != nil || now.Role != waypost.RoleViewer || now.Password != "two" {
		t.Errorf("stored is %+v, %v", now, err)
	}
}

// TestNetworkOf: a forwarding header counts only where a trusted proxy wrote it.
func TestNetworkOf(t *testing.T) {
	proxies, err := track.ParseNetworks([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dash{cfg: Config{TrustedProxies: proxies}}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.7:1000", "", "192.0.2.7"},
		{"192.0.2.7:1000", "198.51.100.1", "192.0.2.7"},
		{"10.1.2.3:1000", "198.51.100.1", "198.51.100.1"},
		{"10.1.2.3:1000", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"[2001:db8:1:2:3::4]:1000", "", "2001:db8:1:2::/64"},
		{"nonsense", "", "unknown"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := d.networkOf(r); got != c.want {
			t.Errorf("from %s for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

// TestLogoutBesideRequest: a request that was under way when the person logged
// out does not bring the session back.
func TestLogoutBesideRequest(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	d := New(Config{Store: s, Log: slog.New(slog.DiscardHandler)})
	p := waypost.Person{Account: 1, Email: "a@example.com", Role: waypost.RoleOwner}
	if err := s.CreatePerson(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	v := d.visit(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", nil))
	v.now = v.now.Add(-2 * seenEvery)
	if err := d.open(v, &p, byLink); err != nil {
		t.Fatal(err)
	}
	request := func() *visit {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil)
		r.AddCookie(w.Result().Cookies()[0])
		return d.visit(httptest.NewRecorder(), r)
	}
	slow, logout := request(), request()
	slow.r = slow.r.WithContext(context.WithValue(slow.ctx(), meanwhile{}, func() {
		if err := d.identify(logout); err != nil {
			t.Error(err)
		}
		if err := d.end(logout); err != nil {
			t.Error(err)
		}
	}))
	d.cfg.Store = interrupted{s}
	if err := d.identify(slow); !errors.Is(err, errNobody) || slow.known() {
		t.Errorf("the request that was overtaken by a logout goes on: %v", err)
	}
	if err := d.identify(request()); !errors.Is(err, errNobody) {
		t.Errorf("after the logout the session is open: %v", err)
	}
}

// meanwhile is the key of what a request's context lets happen between the
// reading of a session and of its person.
type meanwhile struct{}

type interrupted struct{ store.Store }

func (i interrupted) Person(ctx context.Context, id int64) (waypost.Person, error) {
	if f, ok := ctx.Value(meanwhile{}).(func()); ok {
		f()
	}
	return i.Store.Person(ctx, id)
}

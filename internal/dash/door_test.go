package dash

import (
	"testing"
	"time"
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

// TestGuard: guesses are slowed down more and more, other networks are not,
// and the right password or an hour of quiet forgets.
func TestGuard(t *testing.T) {
	g, now := newGuard(), time.Now()
	for range freePerLogin - 1 {
		g.failed("192.0.2.1", "a@example.com", now)
	}
	if w := g.wait("192.0.2.1", "a@example.com", now); w > 0 {
		t.Fatalf("a delay of %s after %d failures", w, freePerLogin-1)
	}
	last := time.Duration(0)
	for range 4 {
		g.failed("192.0.2.1", "a@example.com", now)
		w := g.wait("192.0.2.1", "a@example.com", now)
		if w <= last {
			t.Fatalf("the delay does not grow: %s after %s", w, last)
		}
		last = w
	}
	if w := g.wait("192.0.2.2", "a@example.com", now); w > 0 {
		t.Errorf("another network waits %s: a guesser could lock a person out", w)
	}
	for range 100 {
		g.failed("192.0.2.1", "a@example.com", now)
	}
	if w := g.wait("192.0.2.1", "b@example.com", now); w <= 0 || w > longestDelay {
		t.Errorf("a network that guesses at many logins waits %s", w)
	}
	g.succeeded("192.0.2.1", "a@example.com")
	if w := g.wait("192.0.2.1", "a@example.com", now.Add(longestDelay)); w > 0 {
		t.Errorf("after a success, still %s", w)
	}
	for i := range 3 * maxMarks {
		g.failed(time.Duration(i).String(), "x", now)
	}
	if len(g.marks) > maxMarks+2 {
		t.Errorf("a flood of networks keeps %d marks", len(g.marks))
	}
}

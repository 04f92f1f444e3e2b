package senderdomain

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newTestResolver(t *testing.T, addr string) *Resolver {
	t.Helper()
	r, err := NewResolver(Config{Resolver: addr, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResolver(t *testing.T) {
	z := startZone(t,
		`one.example. 60 IN TXT "a" "b\"c\\d" "\009e"`,
		`two.example. 60 IN TXT "x"`, `two.example. 60 IN TXT "y"`,
		`Mixed.Example. 60 IN TXT "case"`,
		`alias.example. 60 IN CNAME hop.example.`, `hop.example. 60 IN CNAME One.Example.`,
		`loop1.example. 60 IN CNAME loop2.example.`, `loop2.example. 60 IN CNAME loop1.example.`,
		`self.example. 60 IN CNAME self.example.`,
		`dead.example. 60 IN CNAME nowhere.example.`,
		`mail.example. 60 IN MX 10 MX1.example.`, `mail.example. 60 IN MX 20 mx2.example.`,
		`host.example. 60 IN A 192.0.2.7`,
		`cut.example. 60 IN TXT "`+strings.Repeat("x", 250)+`" "`+strings.Repeat("y", 250)+`"`,
		`fail.example. 60 IN TXT "hidden"`, `liar.example. 60 IN TXT "hidden"`,
	)
	z.misbehave("cut.example", "truncate")
	z.misbehave("fail.example", "servfail")
	z.misbehave("liar.example", "liar")
	r := newTestResolver(t, z.addr)
	other := errors.New("any other error")
	for _, tc := range []struct {
		name string
		ask  func(context.Context, string) ([]string, error)
		want []string
		err  error
	}{
		{"one.example", r.TXT, []string{"ab\"c\\d\te"}, nil},
		{"ONE.example.", r.TXT, []string{"ab\"c\\d\te"}, nil},
		{"two.example", r.TXT, []string{"x", "y"}, nil},
		{"mixed.example", r.TXT, []string{"case"}, nil},
		{"alias.example", r.TXT, []string{"ab\"c\\d\te"}, nil},
		{"nowhere.example", r.TXT, nil, ErrNotFound},
		{"host.example", r.TXT, nil, ErrNotFound},
		{"dead.example", r.TXT, nil, ErrNotFound},
		{"loop1.example", r.TXT, nil, ErrAliases},
		{"self.example", r.TXT, nil, ErrAliases},
		{"cut.example", r.TXT, []string{strings.Repeat("x", 250) + strings.Repeat("y", 250)}, nil},
		{"fail.example", r.TXT, nil, other},
		{"liar.example", r.TXT, nil, other},
		{"mail.example", r.MX, []string{"mx1.example", "mx2.example"}, nil},
		{"host.example", r.A, []string{"192.0.2.7"}, nil},
		{"alias.example", r.CNAME, []string{"hop.example", "one.example"}, nil},
		{"dead.example", r.CNAME, []string{"nowhere.example"}, nil},
		{"host.example", r.CNAME, nil, ErrNotFound},
		{"nowhere.example", r.CNAME, nil, ErrNotFound},
	} {
		got, err := tc.ask(t.Context(), tc.name)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		switch {
		case errors.Is(tc.err, other) && (err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrAliases)):
			t.Errorf("%s: %v", tc.name, err)
		case !errors.Is(tc.err, other) && !errors.Is(err, tc.err):
			t.Errorf("%s: %v, want %v", tc.name, err, tc.err)
		}
	}
	if _, err := r.CNAME(t.Context(), "loop2.example"); !errors.Is(err, ErrAliases) {
		t.Errorf("circle: %v", err)
	}
	if n := z.count("tcp", "cut.example"); n != 1 {
		t.Errorf("%d questions over TCP, want 1", n)
	}
}

// TestResolverNextServer: a server that fails or says nothing is passed over.
func TestResolverNextServer(t *testing.T) {
	bad, good := startZone(t), startZone(t, `a.example. 60 IN TXT "here"`, `b.example. 60 IN TXT "here"`)
	bad.misbehave("a.example", "servfail")
	bad.misbehave("b.example", "silent")
	for _, name := range []string{"a.example", "b.example"} {
		// The silent server costs one timeout: begin with a short one.
		for timeout := 50 * time.Millisecond; ; timeout *= 2 {
			r := &Resolver{servers: []string{bad.addr, good.addr}, timeout: timeout}
			got, err := r.TXT(t.Context(), name)
			if err == nil && len(got) == 1 && bad.count("udp", name) > 0 {
				break
			}
			if timeout > time.Minute {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
		}
	}
}

func TestResolverTimeout(t *testing.T) {
	z := startZone(t)
	z.misbehave("slow.example", "silent")
	r := &Resolver{servers: []string{z.addr}, timeout: 20 * time.Millisecond}
	_, err := r.TXT(t.Context(), "slow.example")
	if err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no answer within") {
		t.Error(err)
	}
	for z.count("udp", "slow.example") < rounds { // they are on their way
		select {
		case <-t.Context().Done():
			t.Fatal("a server must be asked twice")
		case <-time.After(time.Millisecond):
		}
	}
	// The end of the context does not wait for the answer.
	r.timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := r.TXT(ctx, "slow.example"); done <- err }()
	cancel()
	if err := <-done; err == nil {
		t.Error("an answer from nowhere")
	}
}

func TestNewResolver(t *testing.T) {
	for _, bad := range []string{"127.0.0.1", ":53", "host:", "::1"} {
		if _, err := NewResolver(Config{Resolver: bad}); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add(`a\"b\\c\009\25`)
	f.Add(`\`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(s); len(got) > len(s) {
			t.Errorf("%q grew to %q", s, got)
		}
	})
}

package dash_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/server"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/test/seed"
)

// house is a running server with a scene in its store.
type house struct {
	url   string
	scene *seed.Scene
}

// scene makes what a store holds before the server starts.
type scene func(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error)

func busy(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error) {
	return seed.Busy(ctx, s, now, 400)
}

// open starts a server on a scene. It relays nothing, so that scenes stay.
func open(t *testing.T, make scene) *house {
	t.Helper()
	return openWith(t, make, "127.0.0.1:1", "api", "dash", "track")
}

// openWith names the DNS server and the roles.
func openWith(t *testing.T, make scene, resolver string, roles ...string) *house {
	t.Helper()
	return openSet(t, make, func(c *server.Config) { c.DNSResolver, c.Roles = resolver, roles })
}

// openSet changes the settings before the server starts, with the scene's
// store closed.
func openSet(t testing.TB, make scene, change func(*server.Config)) *house {
	t.Helper()
	h := &house{}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	box, err := secret.OpenOrCreate(filepath.Join(data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(data, "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if h.scene, err = make(t.Context(), s, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.scene.Sign(box), s.Close()); err != nil {
		t.Fatal(err)
	}
	h.url = serve(t, data, change)
	return h
}

// serve starts a server on the data of an installation, and gives its URL.
func serve(t testing.TB, data string, change func(*server.Config)) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := chanOf[server.Ready](), chanOf[error]()
	c := server.Config{
		Data: data, HTTP: "127.0.0.1:0", SMTP: "", BounceHost: "bounce.example.com", DNSResolver: "127.0.0.1:1",
		AllowPrivateNetworks: true, Roles: []string{"api", "dash", "track"}, Log: slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelWarn})), Version: "test",
	}
	change(&c)
	go func() { done <- server.Run(ctx, c, func(r server.Ready) { ready <- r }) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case r := <-ready:
		return "http://" + r.HTTP
	case err := <-done:
		done <- err
		t.Fatalf("the server did not start: %v", err)
	}
	return ""
}

func chanOf[T any]() chan T { return make(chan T, 1) }

// logTo writes warnings of the server into the test's log, and fails the test
// for those that only a mistake of ours can bring about.
type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "BUG") || strings.Contains(string(b), "page failed") {
		l.t.Errorf("%s", b)
	} else {
		l.t.Logf("%s", b)
	}
	return len(b), nil
}

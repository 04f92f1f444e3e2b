//go:build linux

package benchtrack

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/server"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/internal/track"
)

const (
	childEnv = "WAYPOST_BENCHTRACK_CHILD" // what the child serves: bare or tracked
	messages = 5000
	link     = "https://shop.example/orders/1234567?utm_source=mail&utm_medium=email&utm_campaign=spring"
	agent    = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(childEnv); kind != "" {
		if err := serve(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := apart(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// state is what a child tells of itself.
type state struct {
	CPU    time.Duration // used so far
	Stored int64
}

// serve is the child: it prints its address and the paths to ask for, and
// serves until its input ends.
func serve(kind string) error {
	server.UseProcessors()
	ctx := context.Background()
	handler, paths, run := http.Handler(http.HandlerFunc(bare)), []string{"/track/tpsp/open/x/1.png"}, func(context.Context) error { return nil }
	stored := func() int64 { return 0 }
	if kind == "tracked" {
		dir, err := os.MkdirTemp("", "benchtrack")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		s, err := sqlite.Open(ctx, filepath.Join(dir, "waypost.db"), sqlite.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		tracker, urls, err := newTracker(ctx, s)
		if err != nil {
			return err
		}
		handler, paths, run, stored = tracker, urls, tracker.Run, func() int64 { return tracker.Counts().Stored }
	}
	mux := http.NewServeMux()
	mux.Handle(track.Root, handler)
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		_ = json.NewEncoder(w).Encode(state{CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()), Stored: stored()})
	})
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, l.Addr(), len(paths))
	for _, p := range paths {
		fmt.Fprintln(out, p)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = run(ctx) })
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(l) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = web.Close()
	cancel()
	work.Wait()
	return nil
}

// bare answers what a tracker answers, and does nothing else.
func bare(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex")
	if strings.HasPrefix(r.URL.Path, "/track/tpsp/click/") {
		h.Set("Location", link)
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusFound)
		return
	}
	h.Set("Content-Type", "image/png")
	_, _ = w.Write(make([]byte, 70))
}

// newTracker makes messages and their tracking URLs: of each an open, and a
// click behind it.
func newTracker(ctx context.Context, s store.Store) (*track.Tracker, []string, error) {
	judge, err := bounce.NewJudge()
	if err != nil {
		return nil, nil, err
	}
	door := ingest.New(s, judge)
	now := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	in := store.Installation{Account: waypost.Account{Name: "a", Created: now}, SubAccount: waypost.SubAccount{Name: "s", Created: now}}
	if err := s.Install(ctx, &in); err != nil {
		return nil, nil, err
	}
	keys := track.NewKeys(1, map[byte][]byte{1: make([]byte, 32)})
	site := track.Site{Keys: keys}
	content := waypost.Content{ID: waypost.NewUUID(now), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Text: "x"}
	var drafts []ingest.Draft
	var paths []string
	for i := range messages {
		m := waypost.Message{
			ID: waypost.NewUUID(now), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Content: content.ID,
			Recipient: fmt.Sprintf("r%d@reader.example", i), SubmittedAt: now,
		}
		drafts = append(drafts, ingest.Draft{Message: m, Drop: waypost.DropCancelled})
		for _, t := range []track.Token{{Kind: track.Open}, {Kind: track.Click, Link: 1, Links: 3, URL: link}} {
			t.Message, t.Relayed = m.ID, now
			paths = append(paths, string(site.AppendURL(nil, &t)))
		}
	}
	if err := door.Accept(ctx, content, drafts, now); err != nil {
		return nil, nil, err
	}
	t, err := track.New(track.Config{Keys: keys, Record: door.Track, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	return t, paths, err
}

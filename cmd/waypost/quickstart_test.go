package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/simulator"
)

// screen is a terminal that can be waited for.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func newScreen() *screen { return &screen{news: make(chan struct{}, 1)} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// until waits for something to stand on the screen behind a position.
func (s *screen) until(t *testing.T, from int, what string) string {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		text := s.String()
		if strings.Contains(text[from:], what) {
			return text
		}
		select {
		case <-s.news:
		case <-deadline:
			t.Fatalf("waited for %q; the screen shows\n%s", what, text)
		}
	}
}

func wantOnce(t *testing.T, dir string, args ...string) {
	t.Helper()
	out, errs := newScreen(), newScreen()
	if code := run(t.Context(), append([]string{"quickstart", "--once"}, args...), out, errs); code != 0 {
		t.Fatalf("exit code %d: %s\n%s", code, errs, out)
	}
	shown := out.String()
	for _, o := range quickOutcomes {
		if !regexp.MustCompile(`(?m)^  ` + o.local + ` .* ok$`).MatchString(shown) {
			t.Errorf("the summary has no good line for %s", o.local)
		}
	}
	for _, want := range []string{
		`refused +attempt 1 refused +mail server: 451 4\.3\.2 .*; next attempt in \d`,
		`deferred +deferral +agent: 451 4\.7\.1 `,
		`hardbounce +CSHardBounced +agent: 550 5\.1\.1 `,
		`deliver +CSDelivered +agent: 250 2\.0\.0 `,
		`reader +CSOpen +reader: the image was loaded`,
		`reader +CSClick +reader: followed the link to https://shop\.example/welcome\?from=quickstart`,
		`reader +CSUnsubscribe +reader: left with one click`,
		`6 of 6 outcomes are as they should be`,
	} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("the screen has nothing like %s", want)
		}
	}
	if strings.Contains(shown, "\x1b") {
		t.Error("colour where there is no terminal")
	}
	if t.Failed() {
		t.Log(shown)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "waypost-quickstart-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestQuickstartOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	wantOnce(t, dir)
}

func TestQuickstartPostfix(t *testing.T) {
	if err := simulator.CheckPostfix(); err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "waypost-test-") //nolint:usetesting // the user postfix cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	wantOnce(t, dir, "--postfix")
}

// Without --once the printed commands work as they stand, and the mail they
// send is shown.
func TestQuickstartNextMail(t *testing.T) {
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, errs := newScreen(), newScreen()
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"quickstart", "--keep"}, out, errs) }()
	shown := out.until(t, 0, "Ctrl-C ends this installation.")
	printed := regexp.MustCompile(`(?m)^  curl .*\\\n(?:    .*\\\n)*    .*$`).FindAllString(shown, -1)
	if len(printed) != 2 {
		t.Fatalf("%d commands are printed\n%s", len(printed), shown)
	}
	answer, err := exec.CommandContext(t.Context(), "sh", "-c", printed[0]).CombinedOutput()
	id := regexp.MustCompile(`"messageId":"([^"]+)"`).FindSubmatch(answer)
	if err != nil || id == nil {
		t.Fatalf("%v: %s", err, answer)
	}
	out.until(t, len(shown), "CSDelivered")
	answer, err = exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(printed[1], "MESSAGEID", string(id[1]))).CombinedOutput()
	if err != nil || !bytes.Contains(answer, []byte(`"typeName":"CSDelivered"`)) {
		t.Errorf("the timeline: %v: %s", err, answer)
	}
	interrupt()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d: %s", c, errs)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "waypost-quickstart-*", "server.log")); len(kept) != 1 {
		t.Errorf("--keep kept %v", kept)
	}
}

func TestQuickstartMisuse(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		out, errs := newScreen(), newScreen()
		code := run(t.Context(), append([]string{"quickstart"}, args...), out, errs)
		if code == 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("exit code %d, %q; want a word of %q", code, errs, want)
		}
	}
	t.Run("no Postfix", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		f("install Postfix", "--once", "--postfix")
	})
	t.Run("no directory", func(t *testing.T) {
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
		f("set TMPDIR", "--once")
	})
	f("unexpected argument", "--once", "now")
}

// Interrupted before the outcomes are in, it fails and leaves nothing.
func TestQuickstartInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, errs := newScreen(), newScreen()
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"quickstart", "--once"}, out, errs) }()
	out.until(t, 0, "deliver      CSProcessed")
	interrupt()
	if c := <-code; c != 1 || !strings.Contains(errs.String(), "before the outcomes were in") {
		t.Errorf("exit code %d: %s", c, errs)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The summary finds what is missing and what should not have happened.
func TestQuickSummary(t *testing.T) {
	entries := func(words ...string) api.Timeline {
		var out api.Timeline
		for _, w := range words {
			e := api.TimelineEntry{Kind: "event", TypeName: w}
			switch w {
			case "attempt", "deferral":
				e = api.TimelineEntry{Kind: w}
			}
			out.Entries = append(out.Entries, e)
		}
		return out
	}
	f := func(local string, happened []string, fault string) {
		t.Helper()
		for i := range quickOutcomes {
			if quickOutcomes[i].local != local {
				continue
			}
			out := newScreen()
			s := &quickShow{view: newQuickView(out), started: time.Now(), all: []*watched{{id: "x", outcome: &quickOutcomes[i], last: entries(happened...)}}}
			good := s.summary(time.Minute)
			if good != (fault == "") || strings.Contains(out.String(), "WRONG") == good || !strings.Contains(out.String(), fault) {
				t.Errorf("%s after %v: good %v; want the fault %q in\n%s", local, happened, good, fault, out)
			}
		}
	}
	f("deliver", []string{"CSProcessed", "CSSent", "CSDelivered"}, "")
	f("deliver", []string{"CSProcessed", "CSDelivered", "CSSent"}, "") // the agent was faster
	f("deliver", []string{"CSProcessed", "CSSent"}, "no CSDelivered, not at its end after 1m0s")
	f("deliver", []string{"CSProcessed", "CSDropped"}, "no CSSent, no CSDelivered, unexpected CSDropped")
	f("hardbounce", []string{"CSProcessed", "CSSent", "CSSoftBounced"}, "no CSHardBounced, unexpected CSSoftBounced")
	f("softbounce", []string{"CSProcessed", "CSSent", "CSSoftBounced"}, "")
	f("reader", []string{"CSProcessed", "CSSent", "CSDelivered", "CSOpen", "CSClick", "CSUnsubscribe"}, "")
	f("reader", []string{"CSProcessed", "CSSent", "CSDelivered", "CSOpen"}, "no CSClick, no CSUnsubscribe, not at its end after 1m0s")
	f("deferred", []string{"CSProcessed", "CSSent", "CSDelivered"}, "no deferral")
	f("deferred", []string{"CSProcessed", "CSSent", "deferral", "CSDelivered"}, "")
	f("refused", []string{"CSProcessed", "CSSent", "CSDelivered"}, "no refused attempt")
	f("refused", []string{"CSProcessed", "attempt", "attempt", "CSSent", "CSDelivered"}, "")
}

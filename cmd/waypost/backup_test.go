package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/simulator"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// command runs a subcommand and gives all that it printed.
func command(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := run(t.Context(), args, &out, &out); got != code {
		t.Fatalf("waypost %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, &out)
	}
	return out.String()
}

// serveOn runs serve on a data directory until stop is called.
func serveOn(t *testing.T, data, dns string) (url string, stop func()) {
	t.Helper()
	screen := newScreen()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--data", data, "--http", "127.0.0.1:0", "--dns-resolver", dns, "--allow-private-networks"}, screen, screen)
	}()
	stop = func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("serve: exit code %d\n%s", code, screen)
		}
	}
	m := regexp.MustCompile(`ready http=(\S+) `).FindStringSubmatch(screen.until(t, 0, "ready http="))
	return "http://" + m[1], stop
}

// TestBackupRestore backs up a running server while a message waits, has it
// relayed, and restores: there it waits until somebody resumes the provider.
func TestBackupRestore(t *testing.T) {
	ctx := t.Context()
	relay := smtptest.New(t, smtptest.Script{Username: "waypost", Password: "correct horse"})
	h := quickHouse{dir: t.TempDir(), relay: relay.Addr(), user: "waypost", password: "correct horse"}
	var err error
	if h.dns, err = simulator.ListenDNS(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	h.parts.start(ctx, "DNS server", h.dns.Run)
	defer func() {
		if err := h.parts.stop(); err != nil {
			t.Error(err)
		}
	}()
	data, backup, elsewhere := h.path("data"), h.path("backup.db"), h.path("elsewhere")
	if err := json.Unmarshal([]byte(command(t, 0, "init", "--data", data, "--json")), &h.keys); err != nil {
		t.Fatal(err)
	}
	connect := func(url string) {
		h.client = quickClient{base: url + "/api/v1", account: h.keys.AccountAPIKey, subAccount: h.keys.SubAccountAPIKey, http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	}
	url, stop := serveOn(t, data, h.dns.Addr())
	connect(url)
	view := newQuickView(&bytes.Buffer{})
	if err := h.addDomain(ctx, view); err != nil {
		t.Fatal(err)
	}
	if _, err := h.addProvider(ctx, view); err != nil {
		t.Fatal(err)
	}
	tests := relay.Received() // the mails of the connection test
	remote := func() []string { return []string{"--url", url, "--key", h.keys.AccountAPIKey} }
	provider := regexp.MustCompile(`(?m)^(\d+) `).FindStringSubmatch(command(t, 0, append([]string{"provider", "list"}, remote()...)...))[1]
	command(t, 0, append([]string{"queue", "pause", provider}, remote()...)...)
	id, err := h.client.send(ctx, "anna@example.net", "backup")
	if err != nil {
		t.Fatal(err)
	}

	// While the server runs: a backup that others may not read, and that is
	// never written over.
	if text := command(t, 0, "backup", "--data", data, backup); !strings.Contains(text, "secret.key") {
		t.Errorf("the key file is not named:\n%s", text)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := secret.OpenOrCreate(h.path("other.key")); err != nil {
		t.Fatal(err)
	}
	for why, args := range map[string][]string{
		"not there yet":           {"backup", "--data", data, backup},
		"pg_dump":                 {"backup", "--data", h.path("nowhere"), h.path("other.db")},
		"is a database in":        {"restore", "--data", data, "--key-file", filepath.Join(data, "secret.key"), backup},
		"with --key-file":         {"restore", "--data", elsewhere, backup},
		"waypost backup made":     {"restore", "--data", elsewhere, "--key-file", filepath.Join(data, "secret.key"), h.path("no.db")},
		"of another installation": {"restore", "--data", elsewhere, "--key-file", h.path("other.key"), backup},
		"file is not a database":  {"restore", "--data", elsewhere, "--key-file", filepath.Join(data, "secret.key"), filepath.Join(data, "secret.key")},
	} {
		if text := command(t, 1, args...); !strings.Contains(text, why) {
			t.Errorf("%q: no %q in\n%s", args, why, text)
		}
	}
	for _, args := range [][]string{{backup, "--database", "postgres://localhost/waypost"}, {}} {
		if text := command(t, 2, append([]string{"restore", "--data", elsewhere}, args...)...); !strings.Contains(text, "name the file") {
			t.Errorf("%q: %s", args, text)
		}
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
		t.Errorf("what failed left %v (%v)", left, err)
	}

	command(t, 0, append([]string{"queue", "resume", provider}, remote()...)...)
	h.relayed(t, id)
	stop()

	text := command(t, 0, "restore", "--data", elsewhere, "--key-file", filepath.Join(data, "secret.key"), backup)
	if !strings.Contains(text, "wait in it: 1; providers paused: 1") {
		t.Errorf("restore says\n%s", text)
	}
	url, stop = serveOn(t, elsewhere, h.dns.Addr())
	defer func() { stop() }()
	connect(url)
	if lanes := command(t, 0, append([]string{"queue", "list"}, remote()...)...); !strings.Contains(lanes, "restored from a backup") {
		t.Errorf("the lane is not paused:\n%s", lanes)
	}
	if n := relay.Received() - tests; n != 1 {
		t.Errorf("%d messages reached the provider, 1 before the restore", n)
	}
	// The sealed password and DKIM key still open: it goes when it is let go.
	command(t, 0, append([]string{"queue", "resume", provider}, remote()...)...)
	h.relayed(t, id)
	if n := relay.Received() - tests; n != 2 {
		t.Errorf("%d messages reached the provider", n)
	}
}

// relayed waits for a message to be relayed.
func (h *quickHouse) relayed(t *testing.T, id string) {
	t.Helper()
	for {
		line, err := h.client.timeline(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if line.State == "sent" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

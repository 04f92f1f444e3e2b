package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/server"
)

// startServer runs serve on a fresh installation until the test ends.
func startServer(t *testing.T) (url, data string, keys server.Keys) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	var out bytes.Buffer
	screen := newScreen()
	if code := run(t.Context(), []string{"init", "--data", data, "--json"}, &out, screen); code != 0 {
		t.Fatalf("init: exit code %d\n%s", code, screen)
	}
	if err := json.Unmarshal(out.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--data", data, "--http", "127.0.0.1:0", "--dns-resolver", "127.0.0.1:1"}, screen, screen)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("serve: exit code %d\n%s", code, screen)
		}
	})
	m := regexp.MustCompile(`ready http=(\S+) `).FindStringSubmatch(screen.until(t, 0, "ready http="))
	return "http://" + m[1], data, keys
}

func TestDoctor(t *testing.T) {
	url, data, keys := startServer(t)
	doctor := func(args ...string) (int, string) {
		var out, problems bytes.Buffer
		code := run(t.Context(), append([]string{"doctor", "--url", url}, args...), &out, &problems)
		return code, out.String() + problems.String()
	}
	key := "--key=" + keys.AccountAPIKey
	code, text := doctor(key)
	for _, want := range []string{"✓ storage", "✓ keyFile", "! provider", "! senderDomain", "! bounceHost", "- publicURL", "✓ clocks", "→", "0 broken"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d, though nothing is broken\n%s", code, text)
	}
	if err := os.Chmod(filepath.Join(data, "secret.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, text = doctor(key); code != 1 || !strings.Contains(text, "✗ keyFile") || !strings.Contains(text, "chmod 600") || !strings.Contains(text, "1 broken") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	var out bytes.Buffer
	code = run(t.Context(), []string{"doctor", "--url", url, key, "--json"}, &out, &bytes.Buffer{})
	var h api.Health
	if err := json.Unmarshal(out.Bytes(), &h); err != nil || code != 1 || h.Status != api.HealthFail || len(h.Checks) < 8 {
		t.Errorf("exit code %d, %v: %s", code, err, &out)
	}

	if code, text = doctor("--key=wrong"); code != 1 || !strings.Contains(text, "✗ server") || !strings.Contains(text, "not a valid account API key") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	if code, text = doctor(key, "--url", "http://127.0.0.1:1"); code != 1 || !strings.Contains(text, "✗ server") || !strings.Contains(text, "Start the server") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	if code, text = doctor(); code != 2 || !strings.Contains(text, "WAYPOST_ACCOUNT_KEY") {
		t.Errorf("exit code %d\n%s", code, text)
	}
}

func TestSkew(t *testing.T) {
	now := time.Now()
	for off, want := range map[time.Duration]string{
		-time.Minute: api.HealthWarn, -time.Second: api.HealthOK, 0: api.HealthOK, 3 * time.Second: api.HealthOK, 20 * time.Second: api.HealthWarn,
	} {
		if got := skew(now.Add(off), now, now.Add(10*time.Millisecond)); got.Status != want {
			t.Errorf("off by %s: %+v", off, got)
		}
	}
}

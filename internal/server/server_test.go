package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t *testing.T) server.Config {
	return server.Config{
		Data: filepath.Join(t.TempDir(), "data"), HTTP: "127.0.0.1:0", PublicURL: "http://mail.example.com",
		BounceHost: "bounce.example.com", DNSResolver: "127.0.0.1:1", Log: slog.New(slog.DiscardHandler), Version: "test",
	}
}

// start runs a server until the returned function is called, which gives what
// Run returned.
func start(t *testing.T, c server.Config) (server.Ready, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan server.Ready, 1)
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, c, func(r server.Ready) { ready <- r }) }()
	select {
	case r := <-ready:
		stop := func() error {
			cancel()
			return <-done
		}
		return r, stop
	case err := <-done:
		cancel()
		t.Fatalf("the server did not start: %v", err)
		return server.Ready{}, nil
	}
}

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestStartServeStop(t *testing.T) {
	c := config(t)
	r, stop := start(t, c)
	if r.Keys == nil || r.Keys.SubAccountID == 0 {
		t.Fatalf("the first start makes no keys: %+v", r.Keys)
	}
	if line := r.String(); !strings.HasPrefix(line, "ready http=127.0.0.1:") || !strings.Contains(line, " smtp=") || !strings.Contains(line, " submission=") {
		t.Errorf("ready line %q", line)
	}
	url := "http://" + r.HTTP
	for path, want := range map[string]string{
		"/healthz": `"ok"`, "/docs/api": "<h1>API reference</h1>", "/readyz": `"ready"`, "/metrics": "waypost_queue_messages 0",
	} {
		if status, body := get(t, url+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	if status, body := get(t, url+"/", "Accept", "application/json"); status != 200 || !strings.Contains(body, `"Waypost"`) {
		t.Errorf("a program's /: %d %.200s", status, body)
	}
	if status, body := get(t, url+"/api/v1/account/tpsp/", "X-Account-ApiKey", r.Keys.AccountAPIKey); status != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("providers: %d %s", status, body)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	again, stop := start(t, c)
	if again.Keys != nil {
		t.Error("a second start makes keys again")
	}
	if status, _ := get(t, "http://"+again.HTTP+"/api/v1/account/tpsp/", "X-Account-ApiKey", r.Keys.AccountAPIKey); status != 200 {
		t.Errorf("the first start's key after a restart: %d", status)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestInitOnce(t *testing.T) {
	c := config(t)
	keys, err := server.Init(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"accountApiKey", "subAccountApiKey", "subAccountId", "dashboardURL", "dashboardPassword"} {
		if v := fields[name]; v == nil || v == "" {
			t.Errorf("%s is missing: %s", name, text)
		}
	}
	if _, err := server.Init(t.Context(), c); !errors.Is(err, server.ErrInstalled) {
		t.Errorf("a second init: %v", err)
	}
	err = filepath.WalkDir(c.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, key := range []string{keys.AccountAPIKey, keys.SubAccountAPIKey, keys.DashboardPassword} {
			if strings.Contains(string(b), key) {
				t.Errorf("%s holds a key in the clear", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(change func(*server.Config), want string) {
		t.Helper()
		c := config(t)
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(func(c *server.Config) { c.Data = "" }, "data:")
	f(func(c *server.Config) { c.Database = "mysql://x" }, "postgres://")
	f(func(c *server.Config) { c.HTTP = "8080" }, "http:")
	f(func(c *server.Config) { c.SMTP = "localhost" }, "smtp:")
	f(func(c *server.Config) { c.PublicURL = "mail.example.com" }, "public-url:")
	f(func(c *server.Config) { c.BounceHost = "bounce" }, "bounce-host:")
	f(func(c *server.Config) { c.Roles = []string{"cook"} }, "roles:")
	f(func(c *server.Config) { c.TrustedProxies = []string{"10.0.0.0/8", "proxy"} }, "trusted-proxies:")
	oidc := server.OIDC{Issuer: "https://id.example.com", ClientID: "x"}
	f(func(c *server.Config) { c.OIDC = oidc; c.OIDC.Issuer = "" }, "oidc-issuer:")
	f(func(c *server.Config) { c.OIDC.Only = true }, "oidc-issuer:")
	f(func(c *server.Config) { c.OIDC = oidc; c.OIDC.Issuer = "https://10.0.0.1" }, "allow_private_networks")
	f(func(c *server.Config) { c.OIDC = oidc; c.OIDC.ClientID = "" }, "oidc-client-id:")
	f(func(c *server.Config) { c.OIDC = oidc; c.OIDC.CreateRole = "king" }, "oidc-create-role:")
	f(func(c *server.Config) { c.OIDC = oidc; c.OIDC.Groups = []string{"staff"} }, "oidc-groups:")
	f(func(c *server.Config) {
		c.OIDC = oidc
		c.OIDC.Groups = []string{"staff=viewer"}
		c.OIDC.CreateRole = "viewer"
	}, "oidc-create-role:")
	f(func(c *server.Config) { c.TrackScheme = "ftp" }, "track-scheme:")
	f(func(c *server.Config) { c.SimulatorDomain = "play" }, "simulator-domain:")
}

func TestStartErrors(t *testing.T) {
	f := func(change func(*server.Config), want string) {
		t.Helper()
		c := config(t)
		change(&c)
		err := server.Run(t.Context(), c, func(server.Ready) { t.Error("ready all the same") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(func(c *server.Config) { c.HTTP = "192.0.2.1:1" }, "listen for HTTP on 192.0.2.1:1")
	f(func(c *server.Config) {
		if err := os.WriteFile(c.Data, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}, "data directory")
	f(func(c *server.Config) { c.GeoDatabase = filepath.Join(c.Data, "none.mmdb") }, "geo-database: open the geo database")
	f(func(c *server.Config) { c.Database = "postgres://127.0.0.1:1/none?connect_timeout=2" }, "open PostgreSQL")

	c := config(t)
	r, stop := start(t, c)
	second := c
	err := server.Run(t.Context(), second, func(server.Ready) { t.Error("two servers share a database file") })
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server on %s: %v", r.HTTP, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestPortTaken: the error of an address that cannot be had says what to do.
func TestPortTaken(t *testing.T) {
	var listen net.ListenConfig
	taken, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, change := range map[string]func(*server.Config){
		"HTTP":            func(c *server.Config) { c.HTTP = taken.Addr().String() },
		"bounces":         func(c *server.Config) { c.SMTP = taken.Addr().String() },
		"SMTP submission": func(c *server.Config) { c.Submission = taken.Addr().String() },
	} {
		c := config(t)
		change(&c)
		err := server.Run(t.Context(), c, func(server.Ready) { t.Error("ready all the same") })
		if err == nil || !strings.Contains(err.Error(), "listen for "+name+" on "+taken.Addr().String()) || !strings.Contains(err.Error(), "another program has this port") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeyFile: a database is not served without the key file that its secrets
// were sealed under, and no new one is made in its place.
func TestKeyFile(t *testing.T) {
	c := config(t)
	c.AllowPrivateNetworks = true
	r, stop := start(t, c)
	body := strings.NewReader(`{"name":"news.example.com"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTP+"/api/v1/subaccount/domain", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SubAccount-ApiKey", r.Keys.SubAccountAPIKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	path := filepath.Join(c.Data, "secret.key")
	f := func(want string) {
		t.Helper()
		err := server.Run(t.Context(), c, func(server.Ready) { t.Error("ready all the same") })
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	f("there is no key file")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key file was made: %v", err)
	}
	if err := os.WriteFile(path, []byte("1 "+strings.Repeat("0f", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("of another installation")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	_, stop = start(t, c)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

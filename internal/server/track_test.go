package server

import (
	"context"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// house is a node on a real store, with a mail server behind it and a sender
// domain that is verified.
type house struct {
	*testing.T
	node   *node
	url    string
	mta    *smtptest.Server
	sub    waypost.SubAccount
	client http.Client
}

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	data := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(data, "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	box, err := secret.OpenOrCreate(filepath.Join(data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{
		Data: data, BounceHost: "bounce.example.com", DNSResolver: "127.0.0.1:1", AllowPrivateNetworks: true,
		Log: slog.New(slog.DiscardHandler), Version: "test",
	}
	if change != nil {
		change(c)
	}
	c.fill(l.Addr().String())
	h := &house{T: t, url: "http://" + l.Addr().String(), mta: smtptest.New(t, smtptest.Script{})}
	h.client = http.Client{
		Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	h.install(s, box)
	if h.node, err = newNode(c, box, s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- h.node.run(ctx, l, nil, &submissions{}, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) install(s store.Store, box *secret.Box) {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond)
	in := store.Installation{Account: waypost.Account{Name: "a", Created: now}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: now}}
	if err := s.Install(h.Context(), &in); err != nil {
		h.Fatal(err)
	}
	h.sub = in.SubAccount
	p := waypost.Provider{
		Account: in.Account.ID, Name: "mta", Host: h.mta.Host(), Port: h.mta.Port(), Security: "none", Auth: "none",
		MaxPerHour: 100_000, Created: now, Updated: now,
	}
	pool := waypost.Pool{Account: in.Account.ID, Name: "mta", Strategy: waypost.StrategyVolumePercentage, Created: now}
	if err := s.CreateProvider(h.Context(), &p, &waypost.APIKey{Kind: waypost.KeyIngestion, Account: in.Account.ID, Created: now}, &pool); err != nil {
		h.Fatal(err)
	}
	for name, tracked := range map[string]bool{"example.com": false, "shop.example": true} {
		key, err := dkim.GenerateEd25519()
		if err != nil {
			h.Fatal(err)
		}
		d := waypost.SenderDomain{
			Account: in.Account.ID, SubAccount: in.SubAccount.ID, Name: name, Selector: waypost.DKIMSelector, Key: senderdomain.SealKey(box, key),
			Records: []waypost.DNSRecord{
				{Kind: waypost.RecordReturnPath, Host: "sp-bounce." + name, Verified: true},
				{Kind: waypost.RecordTrack, Host: "track." + name, Verified: tracked},
			},
			Created: now, NextCheck: now.Add(time.Hour),
		}
		if err := s.CreateDomain(h.Context(), &d); err != nil {
			h.Fatal(err)
		}
	}
}

func (h *house) send(from string) queue.Accepted {
	h.Helper()
	got, err := h.node.queue.Enqueue(h.Context(), &queue.Submission{
		SubAccount: h.sub,
		Content: waypost.Content{
			From: waypost.Address{Email: from}, Subject: "s", TrackOpens: true, TrackClicks: true,
			HTML: `<p><a href="https://a.example/?x=1&amp;y=%2F">a</a> <a href="{{unsubscribe}}">out</a></p>`,
		},
		To: []queue.Recipient{{Address: waypost.Address{Email: "Ann@Reader.example"}}},
	})
	if err != nil {
		h.Fatal(err)
	}
	return got[0]
}

var (
	trackingURL = regexp.MustCompile(`https?://[^/]+/track/tpsp/(open|click|unsubscribe)/[A-Za-z0-9_-]+(?:/1\.png)?`)
	listField   = regexp.MustCompile(`\r\nList-Unsubscribe: <([^>]+)>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n`)
)

// urls are the tracking URLs of the n-th mail that arrived.
func (h *house) urls(n int) map[string]string {
	h.Helper()
	h.until("a mail arrives", func() bool { return len(h.mta.Messages()) > n })
	mail := string(h.mta.Messages()[n].Data)
	_, body, _ := strings.Cut(mail, "\r\n\r\n")
	decoded, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil {
		h.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range trackingURL.FindAllStringSubmatch(string(decoded), -1) {
		out[m[1]] = m[0]
	}
	if m := listField.FindStringSubmatch(mail); m == nil || m[1] != out["unsubscribe"] {
		h.Errorf("List-Unsubscribe is %q in\n%s", m, mail)
	}
	if len(out) != 3 {
		h.Fatalf("tracking URLs %v in\n%s", out, decoded)
	}
	return out
}

func (h *house) until(what string, met func() bool) {
	h.Helper()
	for end := time.Now().Add(time.Minute); !met(); {
		if time.Now().After(end) {
			h.Fatalf("it never came that %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (h *house) do(method, url, body string, header ...string) *http.Response {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), method, url, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

// visits are the tracking events of a message, in their order.
func (h *house) visits(id waypost.UUID) (all []waypost.Event) {
	h.Helper()
	trail, err := h.node.store.Trail(h.Context(), h.sub.Account, id)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range trail.Events {
		if e.Source == waypost.SourceTrack {
			all = append(all, e)
		}
	}
	return all
}

// TestTracked follows one message: sent, opened twice, its link followed, then
// unsubscribed from by one POST; the next mail to the address is dropped.
func TestTracked(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	sent := h.send("news@example.com")
	urls := h.urls(0)
	for kind, url := range urls {
		if !strings.HasPrefix(url, h.url) {
			t.Errorf("%s leads to %s, want the installation's own URL", kind, url)
		}
	}
	h.until("two seconds have passed since the relay", func() bool { return time.Since(sent.At) > 3*time.Second })
	from := []string{"X-Forwarded-For", "198.51.100.7"}
	for range 2 {
		if resp := h.do("GET", urls["open"], "", from...); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "image/png" {
			t.Errorf("open: %s %v", resp.Status, resp.Header)
		}
	}
	if resp := h.do("GET", urls["click"], "", from...); resp.StatusCode != 302 || resp.Header.Get("Location") != "https://a.example/?x=1&y=%2F" {
		t.Errorf("click: %s %v", resp.Status, resp.Header)
	}
	h.do("HEAD", urls["click"], "", from...)
	if resp := h.do("GET", urls["unsubscribe"], ""); resp.StatusCode != 200 {
		t.Errorf("page: %s", resp.Status)
	}
	h.until("four visits are stored", func() bool { return len(h.visits(sent.ID)) == 4 })
	if resp := h.do("POST", urls["unsubscribe"], "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded"); resp.StatusCode != 200 {
		t.Errorf("unsubscribe: %s", resp.Status)
	}

	events := h.visits(sent.ID)
	want := []struct {
		kind    waypost.EventType
		first   bool
		machine string
		url     string
	}{
		{waypost.CSOpen, true, "", ""},
		{waypost.CSOpen, false, "", ""},
		{waypost.CSClick, true, "", "https://a.example/?x=1&y=%2F"},
		{waypost.CSClick, false, "head-request", "https://a.example/?x=1&y=%2F"},
		{waypost.CSUnsubscribe, false, "", ""},
	}
	if len(events) != len(want) {
		t.Fatalf("%d events: %+v", len(events), events)
	}
	for i, w := range want {
		e := events[i]
		if e.Visit == nil {
			t.Fatalf("event %d has no visit: %+v", i, e)
		}
		if e.Type != w.kind || e.Visit.First != w.first || e.Visit.Machine != w.machine || e.Visit.URL != w.url || e.Recipient != "Ann@Reader.example" {
			t.Errorf("event %d is %+v with %+v", i, e, e.Visit)
		}
		if i < 4 && e.Visit.IP != "198.51.100.7" || !strings.Contains(e.Visit.UserAgent, "Thunderbird") {
			t.Errorf("event %d by %+v", i, e.Visit)
		}
	}
	h.counts(map[waypost.Stat]int64{
		waypost.StatOpened: 2, waypost.StatUniqueOpened: 1, waypost.StatClicked: 2, waypost.StatUniqueClicked: 1, waypost.StatUnsubscribed: 1,
	})

	next := h.send("news@example.com")
	if next.Drop != waypost.DropSuppressed {
		t.Errorf("the next mail is not dropped: %+v", next)
	}
	// A second wish from the same mail counts for nothing, and holds again after
	// somebody took the address off the list.
	if _, err := h.node.store.Unsuppress(t.Context(), h.sub.ID, []string{waypost.FoldEmail("ann@reader.example")}); err != nil {
		t.Fatal(err)
	}
	if resp := h.do("POST", urls["unsubscribe"], "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded"); resp.StatusCode != 200 {
		t.Errorf("a second wish: %s", resp.Status)
	}
	if next := h.send("news@example.com"); next.Drop != waypost.DropSuppressed {
		t.Errorf("the mail after a second wish is not dropped: %+v", next)
	}
	h.counts(map[waypost.Stat]int64{waypost.StatUnsubscribed: 1})
}

// counts compares counters of the account, over all days.
func (h *house) counts(want map[waypost.Stat]int64) {
	h.Helper()
	rows, err := h.node.store.DailyStats(h.Context(), h.sub.Account, 0, time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour))
	if err != nil {
		h.Fatal(err)
	}
	got := map[waypost.Stat]int64{}
	for _, r := range rows {
		for s, n := range r.Counts {
			got[s] += n
		}
	}
	for s, n := range want {
		if got[s] != n {
			h.Errorf("counter %d is %d, want %d", s, got[s], n)
		}
	}
}

// TestTrackingHost: a verified tracking host of the sender domain is used, and
// requests are served whatever host they name.
func TestTrackingHost(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.TrackScheme = "https" })
	h.send("news@shop.example")
	for kind, url := range h.urls(0) {
		rest, ok := strings.CutPrefix(url, "https://track.shop.example/")
		if !ok {
			t.Fatalf("%s leads to %s", kind, url)
		}
		if resp := h.do("HEAD", h.url+"/"+rest, ""); resp.StatusCode != 200 && resp.StatusCode != 302 {
			t.Errorf("%s: %s", kind, resp.Status)
		}
	}
	h.do("GET", h.url+"/track/tpsp/click/forged", "")
	if status, body := h.read(h.url + "/metrics"); status != 200 || !strings.Contains(body, "\nwaypost_track_refused_total 1\n") {
		t.Errorf("metrics: %d %s", status, body)
	}
	// By default the scheme and port are those of the public URL.
	h = newHouse(t, nil)
	h.send("news@shop.example")
	for kind, url := range h.urls(0) {
		if want := strings.Replace(h.url, "127.0.0.1", "track.shop.example", 1); !strings.HasPrefix(url, want+"/") {
			t.Errorf("%s leads to %s, want %s", kind, url, want)
		}
	}
}

func (h *house) read(url string) (int, string) {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), http.MethodGet, url, nil)
	if err != nil {
		h.Fatal(err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestNoTrackRole: a node without the role serves no tracking URL.
func TestNoTrackRole(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Roles = []string{"api", "send"} })
	h.send("news@example.com")
	if resp := h.do("GET", h.urls(0)["open"], ""); resp.StatusCode != 404 {
		t.Errorf("open: %s", resp.Status)
	}
}

package track

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/waypost-mail/waypost"
)

// keeper is a storage that keeps hits, or answers an error.
type keeper struct {
	mu      sync.Mutex
	hits    []Hit
	batches int
	err     error
	unknown bool
}

func (k *keeper) record(_ context.Context, hits []Hit) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return 0, k.err
	}
	k.batches++
	k.hits = append(k.hits, hits...)
	if k.unknown {
		return 0, nil
	}
	return len(hits), nil
}

func (k *keeper) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *keeper) all() []Hit {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Hit(nil), k.hits...)
}

func tracker(t testing.TB, k *keeper, change func(*Config)) *Tracker {
	t.Helper()
	c := Config{Keys: testKeys, Record: k.record, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	tr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// settle stores what waits, as a stop does.
func settle(t *Tracker) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = t.Run(ctx)
}

func ask(t *Tracker, method, path string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://track.shop.example"+path, body)
	r.RemoteAddr = "203.0.113.9:1234"
	r.Header.Set("User-Agent", chrome)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w
}

func path(kind Kind, url string) string {
	site := Site{Keys: testKeys}
	return string(site.AppendURL(nil, &Token{Kind: kind, Message: testID, Relayed: testTime, Link: 1, Links: 1, URL: url}))
}

func TestOpen(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, nil)
	for _, method := range []string{"GET", "HEAD"} {
		w := ask(tr, method, path(Open, ""), nil)
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || w.Header().Get("Cache-Control") != "no-store" ||
			w.Header().Get("Content-Length") != fmt.Sprint(len(pixel)) {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
		if method == "HEAD" {
			if w.Body.Len() != 0 {
				t.Error("HEAD has a body")
			}
			continue
		}
		img, err := png.Decode(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, a := img.At(0, 0).RGBA(); img.Bounds().Dx() != 1 || img.Bounds().Dy() != 1 || a != 0 {
			t.Errorf("the image is %v", img.Bounds())
		}
	}
	settle(tr)
	hits := k.all()
	if len(hits) != 2 {
		t.Fatalf("%d hits", len(hits))
	}
	want := waypost.Visit{IP: "203.0.113.9", UserAgent: chrome}
	if hits[0].Kind != Open || hits[0].Message != testID || hits[0].Visit != want {
		t.Errorf("got %+v", hits[0])
	}
	if hits[1].Visit.Machine != "head-request" {
		t.Errorf("HEAD is %+v", hits[1].Visit)
	}
}

// TestClick: the redirect goes to the exact URL.
func TestClick(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, nil)
	for _, url := range []string{
		"https://shop.example/a?b=%2F&c=1#d", "HTTP://Shop.example", "https://shop.example/größe/../x//y?q=a b",
		"https://shop.example/" + strings.Repeat("x", MaxURL-21),
	} {
		w := ask(tr, "GET", path(Click, url), nil)
		if w.Code != http.StatusFound || w.Header().Get("Location") != url || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") == "" {
			t.Errorf("%.100s: %d %.300v", url, w.Code, w.Header())
		}
		if w.Body.Len() != 0 {
			t.Errorf("a body of %d bytes", w.Body.Len())
		}
	}
	settle(tr)
	if hits := k.all(); len(hits) != 4 || hits[0].Visit.URL != "https://shop.example/a?b=%2F&c=1#d" || hits[0].Visit.Link != 1 {
		t.Errorf("%d hits, the first %+v", len(hits), hits)
	}
}

// TestNoRedirect: a token that is none of ours, or is for another use, gives
// the page that says so, and nothing is stored.
func TestNoRedirect(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, nil)
	good := path(Click, "https://shop.example/")
	open, unsubscribe := path(Open, ""), path(Unsubscribe, "")
	for _, p := range []string{
		good[:len(good)-1], good + "A", good + "/", strings.Replace(good, "/click/", "/unsubscribe/", 1),
		strings.Replace(good, "/click/", "/open/", 1) + "/1.png", strings.TrimSuffix(open, "/1.png"), open + "/1.png",
		strings.TrimSuffix(strings.Replace(open, "/open/", "/click/", 1), "/1.png"), strings.Replace(unsubscribe, "/unsubscribe/", "/click/", 1),
		"/track/tpsp/", "/track/tpsp/click/", "/track/tpsp/open//1.png", "/track/tpsp/else/x", "/track/tpsp/click/https://evil.example/",
	} {
		w := ask(tr, "GET", p, nil)
		if w.Code != 404 || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "link does not work") {
			t.Errorf("%s: %d %v", p, w.Code, w.Header())
		}
		checkPage(t, w)
	}
	for method, p := range map[string]string{"POST": good, "PUT": unsubscribe, "DELETE": open, "OPTIONS": good} {
		if w := ask(tr, method, p, nil); w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: %d", method, p, w.Code)
		}
	}
	settle(tr)
	if hits := k.all(); len(hits) != 0 {
		t.Errorf("stored %+v", hits)
	}
}

// checkPage wants a complete page that may load nothing from elsewhere, with a
// language, a title, one heading and one main part.
func checkPage(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", w.Header())
	}
	text := w.Body.String()
	count := map[string]int{}
	z := html.NewTokenizer(strings.NewReader(text))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.Type == html.StartTagToken {
			count[token.Data]++
		}
		for _, a := range token.Attr {
			if a.Key == "src" || a.Key == "href" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("the page has %s=%q", a.Key, a.Val)
			}
			if token.Data == "html" && a.Key == "lang" {
				count["lang"]++
			}
		}
	}
	for _, one := range []string{"html", "lang", "title", "main", "h1", "style"} {
		if count[one] != 1 {
			t.Errorf("%d of %s in %s", count[one], one, text)
		}
	}
	_, rest, _ := strings.Cut(text, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(css))
	if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Error("the policy does not allow the page's style")
	}
}

func TestUnsubscribe(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, nil)
	p := path(Unsubscribe, "")
	form := func() (io.Reader, string) {
		return strings.NewReader("List-Unsubscribe=One-Click"), "application/x-www-form-urlencoded"
	}
	f := func(method string, body io.Reader, media string, want int, text string) {
		t.Helper()
		w := ask(tr, method, p, body, "Content-Type", media)
		if w.Code != want || !strings.Contains(w.Body.String(), text) || w.Header().Get("Location") != "" {
			t.Errorf("%s %s: %d %s", method, media, w.Code, w.Body)
		}
		if method != "HEAD" {
			checkPage(t, w)
		}
	}
	f("GET", nil, "", 200, `<button type="submit">Unsubscribe</button>`)
	f("HEAD", nil, "", 200, "")
	// What says nothing changes nothing.
	f("POST", nil, "", 400, "Nothing has changed")
	f("POST", strings.NewReader(""), "application/x-www-form-urlencoded", 400, "Nothing has changed")
	f("POST", strings.NewReader("List-Unsubscribe=No"), "application/x-www-form-urlencoded", 400, "Nothing has changed")
	f("POST", strings.NewReader(`{"List-Unsubscribe":"One-Click"}`), "application/json", 400, "Nothing has changed")
	f("POST", strings.NewReader("--x\r\nnonsense"), "multipart/form-data; boundary=x", 400, "Nothing has changed")
	f("POST", strings.NewReader("a="+strings.Repeat("x", 5<<20)), "application/x-www-form-urlencoded", 413, "too large")
	f("POST", io.MultiReader(strings.NewReader("--x\r\nContent-Disposition: form-data; name=a\r\n\r\n"), strings.NewReader(strings.Repeat("x", 5<<20))), "multipart/form-data; boundary=x", 413, "too large")
	if hits := k.all(); len(hits) != 0 {
		t.Fatalf("stored %+v", hits)
	}
	// The wish, in both forms of RFC 8058; stored when the answer comes.
	body, media := form()
	f("POST", body, media, 200, "You are unsubscribed")
	var multi bytes.Buffer
	m := multipart.NewWriter(&multi)
	if err := m.WriteField("List-Unsubscribe", "One-Click"); err != nil {
		t.Fatal(err)
	}
	_ = m.Close()
	f("POST", &multi, m.FormDataContentType(), 200, "You are unsubscribed")
	hits := k.all()
	if len(hits) != 2 || hits[0].Kind != Unsubscribe || hits[0].Message != testID || hits[0].Visit.Machine != "" || hits[0].Visit.IP == "" {
		t.Errorf("stored %+v", hits)
	}
	// Storage away, and a message that is gone.
	k.fail(fmt.Errorf("disk full: %w", ErrLater))
	body, media = form()
	w := ask(tr, "POST", p, body, "Content-Type", media)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	checkPage(t, w)
	k.fail(nil)
	k.unknown = true
	body, media = form()
	f("POST", body, media, 404, "no longer known")
}

// TestClient: X-Forwarded-For counts only as far as trusted proxies wrote it.
func TestClient(t *testing.T) {
	nets, err := ParseNetworks([]string{"10.0.0.0/8", " 192.0.2.7", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(remote, want string, forwarded ...string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header["X-Forwarded-For"] = forwarded
		if got := Client(r, nets); got.String() != want {
			t.Errorf("%s %q: %s, want %s", remote, forwarded, got, want)
		}
	}
	f("203.0.113.9:1", "203.0.113.9")
	f("203.0.113.9:1", "203.0.113.9", "198.51.100.1")
	f("10.0.0.1:1", "198.51.100.1", "198.51.100.1")
	f("10.0.0.1:1", "198.51.100.1", "1.1.1.1, 198.51.100.1")
	f("10.0.0.1:1", "198.51.100.1", "1.1.1.1, 198.51.100.1, 192.0.2.7")
	f("10.0.0.1:1", "198.51.100.1", "1.1.1.1", "198.51.100.1,10.2.3.4")
	f("10.0.0.1:1", "10.0.0.1", "198.51.100.1, nonsense")
	f("10.0.0.1:1", "10.0.0.1", "")
	f("10.0.0.1:1", "10.9.9.9", "10.9.9.9")
	f("[2001:db8::1]:1", "2001:db9::5", "[2001:db9::5]:80")
	f("[::ffff:10.0.0.1]:1", "198.51.100.1", "::ffff:198.51.100.1")
	f("10.0.0.1:1", "10.0.0.1", strings.Repeat("10.0.0.1,", 100_000)+"10.0.0.1")
	for _, bad := range []string{"", "10", "10.0.0.0/33", "x/8"} {
		if _, err := ParseNetworks([]string{bad}); err == nil {
			t.Errorf("%q is a network", bad)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "@"
	if Client(r, nets).IsValid() {
		t.Error("a socket without address has one")
	}
}

func TestForgetIP(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, func(c *Config) { c.ForgetIP = true })
	ask(tr, "GET", path(Click, "https://a.example/"), nil, "User-Agent", "A\x01\xffgent\n"+strings.Repeat("é", waypost.MaxUserAgent))
	settle(tr)
	v := k.all()[0].Visit
	if v.IP != "" || len(v.UserAgent) > waypost.MaxUserAgent || !strings.HasPrefix(v.UserAgent, "A\uFFFDgentéé") {
		t.Errorf("got %+v", v)
	}
	// The network still tells the machine.
	r := httptest.NewRequest("GET", path(Click, "https://a.example/"), nil)
	r.RemoteAddr = "40.107.1.1:5"
	r.Header.Set("User-Agent", chrome)
	tr.ServeHTTP(httptest.NewRecorder(), r)
	settle(tr)
	if v := k.all()[1].Visit; v.Machine != "microsoft-filter" || v.IP != "" {
		t.Errorf("got %+v", v)
	}
}

// TestBatches: visits are stored without being asked for, together.
func TestBatches(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	for range 2500 {
		ask(tr, "GET", path(Open, ""), nil)
	}
	until(t, func() bool { return len(k.all()) == 2500 })
	if k.batches > 250 {
		t.Errorf("%d batches of 2500 visits", k.batches)
	}
	if c := tr.Counts(); c.Stored != 2500 || c.Waiting != 0 || c.Dropped != 0 {
		t.Errorf("counts %+v", c)
	}
	ask(tr, "GET", path(Open, ""), nil)
	cancel()
	if err := <-done; err != nil || len(k.all()) != 2501 {
		t.Errorf("%v, %d visits after the stop", err, len(k.all()))
	}
}

func until(t *testing.T, met func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !met(); {
		if time.Now().After(end) {
			t.Fatal("it never came")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestStorageAway: nobody waits, what comes is kept and stored when storage is
// back, and beyond the bound the oldest go and are counted.
func TestStorageAway(t *testing.T) {
	k := &keeper{err: fmt.Errorf("away: %w", ErrLater)}
	tr := tracker(t, k, nil)
	tr.visits.limit = 100 * (hitSize + len(chrome))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	for range 350 {
		if w := ask(tr, "GET", path(Open, ""), nil); w.Code != 200 {
			t.Fatalf("status %d", w.Code)
		}
	}
	if c := tr.Counts(); c.Waiting > 100 || c.Dropped < 150 {
		t.Errorf("counts %+v", c)
	}
	k.fail(nil)
	until(t, func() bool {
		c := tr.Counts()
		return c.Stored+c.Dropped == 350 && c.Waiting == 0
	})
	// An error that coming again does not mend costs the batch, not the rest.
	k.fail(errors.New("no such column"))
	ask(tr, "GET", path(Open, ""), nil)
	before := tr.Counts().Dropped
	until(t, func() bool { return tr.Counts().Dropped == before+1 })
	k.fail(nil)
	stored := tr.Counts().Stored
	ask(tr, "GET", path(Open, ""), nil)
	until(t, func() bool { return tr.Counts().Stored == stored+1 })
	cancel()
	<-done
}

// TestStopWhileAway: a stop does not wait for ever, and says what is lost.
func TestStopWhileAway(t *testing.T) {
	v := newVisits(1 << 20)
	for range 1500 {
		v.add(Hit{Kind: Open, At: time.Now()})
	}
	k := &keeper{err: ErrLater}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	v.flush(ctx, slog.New(slog.DiscardHandler), time.Now().Add(time.Hour), func(*Hit, func(time.Duration) bool) {}, k.record)
	if n := v.waiting(); n != 1500 {
		t.Errorf("%d of 1500 wait", n)
	}
	k.fail(nil)
	v.flush(t.Context(), slog.New(slog.DiscardHandler), time.Now().Add(time.Hour), func(*Hit, func(time.Duration) bool) {}, k.record)
	if len(k.all()) != 1500 || v.bytes != 0 || v.waiting() != 0 {
		t.Errorf("%d stored, %d bytes and %d visits wait", len(k.all()), v.bytes, v.waiting())
	}
}

// TestRest: while storage is behind answers rest a little, the more the further,
// and never for longer than a reader notices; while it is away they do not.
func TestRest(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{
		0: 0, holdFor: 0, maxLag: 0, maxLag + 25*time.Millisecond: time.Millisecond, time.Minute: maxRest, -time.Second: 0,
	} {
		if got := restFor(age); got != want {
			t.Errorf("the oldest waits since %v: %v, want %v", age, got, want)
		}
	}
	v := newVisits(1 << 20)
	now := time.Now()
	if rest := v.add(Hit{Kind: Open, At: now}); rest != 0 {
		t.Errorf("nothing else waits: %v", rest)
	}
	late := Hit{Kind: Open, At: now.Add(time.Minute)}
	if rest := v.add(late); rest != maxRest {
		t.Errorf("storage is a minute behind: %v", rest)
	}
	v.away.Store(true)
	if rest := v.add(late); rest != 0 {
		t.Errorf("storage is away: %v", rest)
	}
}

// TestScanner: a filter that follows all links at once is one, its first click
// too.
func TestScanner(t *testing.T) {
	k := &keeper{}
	tr := tracker(t, k, nil)
	site := Site{Keys: testKeys}
	follow := func(id waypost.UUID, link int) {
		ask(tr, "GET", string(site.AppendURL(nil, &Token{Kind: Click, Message: id, Relayed: testTime, Link: link, Links: 4, URL: "https://a.example/"})), nil)
	}
	person := waypost.NewUUID(testTime)
	for link := range 4 {
		follow(testID, link+1)
	}
	follow(person, 2)
	follow(person, 3)
	settle(tr)
	for _, h := range k.all() {
		want := "every-link"
		if h.Message == person {
			want = ""
		}
		if h.Visit.Machine != want {
			t.Errorf("link %d of %s: %q", h.Visit.Link, h.Message, h.Visit.Machine)
		}
	}
}

// TestForgedFlood: refusing leaves nothing behind.
func TestForgedFlood(t *testing.T) {
	tr := tracker(t, &keeper{}, nil)
	good := path(Click, "https://shop.example/")
	send := func(n int) {
		for i := range n {
			ask(tr, "GET", fmt.Sprintf("%s%08x", good[:len(good)-8], i), nil)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	send(1000)
	before := heap()
	send(100_000)
	if after := heap(); after > before+1<<20 {
		t.Errorf("100,000 forged tokens left %d bytes", after-before)
	}
	if c := tr.Counts(); c.Refused != 101_000 || c.Waiting != 0 {
		t.Errorf("counts %+v", c)
	}
}

// FuzzRequest: no path and no header makes a handler panic, or redirect where
// no token says.
func FuzzRequest(f *testing.F) {
	f.Add("open/x/1.png", "GET", "1.2.3.4", "agent")
	f.Add("click/"+seal(&Token{Kind: Click, Message: testID, URL: "https://a/"}), "HEAD", ",,", "")
	f.Add("unsubscribe/"+seal(&Token{Kind: Unsubscribe, Message: testID}), "POST", "10.0.0.1, ::1", "\xff")
	nets, _ := ParseNetworks([]string{"0.0.0.0/0"})
	tr, err := New(Config{Keys: testKeys, Record: (&keeper{}).record, Log: slog.New(slog.DiscardHandler), Proxies: nets})
	if err != nil {
		f.Fatal(err)
	}
	tr.visits.limit = 1 << 20
	tr.visits.away.Store(true) // nobody stores: no answer need rest
	f.Fuzz(func(t *testing.T, path, method, forwarded, agent string) {
		r := httptest.NewRequest("GET", "/", strings.NewReader(agent))
		r.URL.Path, r.Method = Root+path, method
		r.Header.Set("X-Forwarded-For", forwarded)
		r.Header.Set("User-Agent", agent)
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, r)
		if to := w.Header().Get("Location"); to != "" && to != "https://a/" {
			t.Errorf("%s leads to %q", path, to)
		}
	})
}

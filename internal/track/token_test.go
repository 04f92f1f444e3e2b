package track

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
)

var (
	testTime = time.Date(2026, time.March, 1, 12, 30, 0, 0, time.UTC)
	testID   = waypost.NewUUID(testTime)
	testKeys = NewKeys(2, map[byte][]byte{1: []byte("the old key"), 2: []byte("the key of today")})
)

func seal(t *Token) string { return string(testKeys.Append(nil, t)) }

// TestTokenRoundTrip: what is sealed comes back, any URL byte for byte, in
// characters that a path takes as they are.
func TestTokenRoundTrip(t *testing.T) {
	url := rapid.OneOf(
		rapid.StringN(-1, 300, MaxURL),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 400), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"https://", "shop.example/", "?utm_source=", "&amp;", "%20", "é", "x", "\x00"}), 0, 200), func(s []string) string {
			return strings.Join(s, "")
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		want := Token{
			Kind: Click, Message: testID, Relayed: testTime.Add(time.Duration(rapid.IntRange(0, maxNumber).Draw(t, "delay")) * time.Second),
			Link: rapid.IntRange(1, 4000).Draw(t, "link"), Links: rapid.IntRange(1, 4000).Draw(t, "links"), URL: url.Draw(t, "url"),
		}
		checkRoundTrip(t, &want)
	})
	for _, kind := range []Kind{Open, Unsubscribe} {
		checkRoundTrip(t, &Token{Kind: kind, Message: testID, Relayed: testTime})
	}
	for _, n := range []int{0, 1, worthDeflate - 1, worthDeflate, 1000, MaxURL - 9, MaxURL} {
		checkRoundTrip(t, &Token{Kind: Click, Message: testID, Relayed: testTime, Link: 1, Links: 1, URL: strings.Repeat("é", n/2) + strings.Repeat("x", n%2)})
	}
}

func checkRoundTrip(t interface {
	Helper()
	Fatalf(string, ...any)
}, want *Token,
) {
	t.Helper()
	s := seal(want)
	got, err := testKeys.Open(s)
	if err != nil {
		t.Fatalf("%v of %+v", err, want)
	}
	if !got.Relayed.Equal(want.Relayed) {
		t.Fatalf("relayed %s, want %s", got.Relayed, want.Relayed)
	}
	got.Relayed = want.Relayed
	if got != *want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(s) > maxToken {
		t.Fatalf("token of %d characters: %.200q", len(s), s)
	}
}

// FuzzTokenURL is the round trip of any URL.
func FuzzTokenURL(f *testing.F) {
	f.Add("https://shop.example/a?b=%2F&c=é#d")
	f.Add("http://x/" + strings.Repeat("utm_source=newsletter&", 60))
	f.Add("\x00\xff\r\n")
	f.Fuzz(func(t *testing.T, url string) {
		if len(url) <= MaxURL {
			checkRoundTrip(t, &Token{Kind: Click, Message: testID, Relayed: testTime, Link: 1, Links: 3, URL: url})
		}
	})
}

// FuzzOpen: nothing that was not sealed here opens, and nothing panics.
func FuzzOpen(f *testing.F) {
	f.Add(seal(&Token{Kind: Open, Message: testID, Relayed: testTime}))
	f.Add("AQEBAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := testKeys.Open(s)
		if err == nil && seal(&token) != s { // what was sealed here has one spelling
			t.Errorf("%q opens as %+v", s, token)
		}
	})
}

// FuzzParseToken reads bodies as if they had been signed.
func FuzzParseToken(f *testing.F) {
	raw, _ := base64.RawURLEncoding.DecodeString(seal(&Token{Kind: Click, Message: testID, Relayed: testTime, Link: 1, Links: 2, URL: strings.Repeat("https://a/", 60)}))
	f.Add(raw[:len(raw)-macSize])
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < headSize+1 {
			return
		}
		if token, err := parseToken(body); err == nil && len(token.URL) > MaxURL {
			t.Errorf("a URL of %d bytes", len(token.URL))
		}
	})
}

func TestForgedTokens(t *testing.T) {
	good := seal(&Token{Kind: Click, Message: testID, Relayed: testTime, Link: 1, Links: 1, URL: "https://shop.example/"})
	f := func(s string) {
		t.Helper()
		if token, err := testKeys.Open(s); !errors.Is(err, ErrToken) {
			t.Errorf("%.100q opens as %+v, %v", s, token, err)
		}
	}
	f("")
	f("A")
	f(good + "=")
	f(good + "\n")
	f("\n" + good)
	f(good + "A")
	f(" " + good)
	f(strings.Repeat("A", maxToken+1))
	f(strings.Repeat("A", 1<<20))
	for i := range good { // cut anywhere, and any character changed
		f(good[:i])
		other := byte('A')
		if good[i] == 'A' {
			other = 'B'
		}
		f(good[:i] + string(other) + good[i+1:])
	}
	// A foreign installation, with the same key numbers.
	stranger := NewKeys(2, map[byte][]byte{2: []byte("the key of another")})
	f(string(stranger.Append(nil, &Token{Kind: Click, Message: testID, Relayed: testTime, URL: "https://evil.example/"})))
	// Each bit of the raw token counts, those of the version and key included.
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(raw) {
		bent := bytes.Clone(raw)
		bent[i/8] ^= 1 << (i % 8)
		f(base64.RawURLEncoding.EncodeToString(bent))
	}
}

// TestKeyRotation: tokens of an old key open as long as the key is there.
func TestKeyRotation(t *testing.T) {
	old := NewKeys(1, map[byte][]byte{1: []byte("the old key")})
	s := string(old.Append(nil, &Token{Kind: Open, Message: testID, Relayed: testTime}))
	if _, err := testKeys.Open(s); err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	if _, err := old.Open(seal(&Token{Kind: Open, Message: testID, Relayed: testTime})); !errors.Is(err, ErrToken) {
		t.Errorf("a token of a key that is not there: %v", err)
	}
}

func TestTokenLength(t *testing.T) {
	f := func(token Token, most int) {
		t.Helper()
		token.Message, token.Relayed = testID, testTime
		if n := len(seal(&token)); n > most {
			t.Errorf("%d characters, want at most %d", n, most)
		}
	}
	f(Token{Kind: Open}, 48)
	f(Token{Kind: Unsubscribe}, 48)
	f(Token{Kind: Click, Link: 1, Links: 3, URL: "https://shop.example/orders/1234"}, 84)
	long := "https://shop.example/?" + strings.Repeat("utm_source=newsletter&utm_medium=email&utm_campaign=spring&", 8)
	f(Token{Kind: Click, Link: 1, Links: 3, URL: long}, len(long)/2)
}

func TestTrackingURL(t *testing.T) {
	site := &Site{Keys: testKeys, Base: "https://track.shop.example"}
	for kind, path := range map[Kind]string{Open: "/track/tpsp/open/", Click: "/track/tpsp/click/", Unsubscribe: "/track/tpsp/unsubscribe/"} {
		url := string(site.AppendURL(nil, &Token{Kind: kind, Message: testID, Relayed: testTime, URL: "https://a/"}))
		if !strings.HasPrefix(url, "https://track.shop.example"+path) || strings.HasSuffix(url, "/1.png") != (kind == Open) {
			t.Errorf("%s", url)
		}
		if !Tracking(url) || !Tracking("HTTP://other.example:8080"+path+"x") {
			t.Errorf("%s is no tracking URL", url)
		}
	}
	for _, url := range []string{"https://a.example/", "https://a.example", "https://a.example/x?u=/track/tpsp/click/x", "mailto:a", "https://a.example/track"} {
		if Tracking(url) {
			t.Errorf("%s is a tracking URL", url)
		}
	}
}

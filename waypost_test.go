package waypost_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
)

func TestUUID(t *testing.T) {
	now := time.UnixMilli(1_764_000_000_123)
	a, b := waypost.NewUUID(now), waypost.NewUUID(now.Add(time.Millisecond))
	if a.String() >= b.String() {
		t.Fatalf("%s is not before %s, which is younger", a, b)
	}
	if !a.Time().Equal(now) {
		t.Fatalf("time %v, want %v", a.Time(), now)
	}
	if s := a.String(); s[14] != '7' || !strings.ContainsRune("89ab", rune(s[19])) {
		t.Fatalf("%s is not version 7 of RFC 9562", s)
	}
	if back, err := waypost.ParseUUID(strings.ToUpper(a.String())); err != nil || back != a {
		t.Fatalf("got %v, %v", back, err)
	}
	for _, bad := range []string{"", a.String()[1:], a.String() + "0", strings.Replace(a.String(), "-", "_", 1), "zz" + a.String()[2:]} {
		if _, err := waypost.ParseUUID(bad); !errors.Is(err, waypost.ErrUUID) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// TestParseUUIDByte puts every byte at every place of a good UUID.
func TestParseUUIDByte(t *testing.T) {
	const good = "018f3c7e-1111-7222-8333-01234567890F"
	for at := range good {
		for c := range 256 {
			b := []byte(good)
			b[at] = byte(c)
			want := c == '-'
			if good[at] != '-' {
				want = strings.IndexByte("0123456789abcdefABCDEF", byte(c)) >= 0
			}
			u, err := waypost.ParseUUID(string(b))
			if (err == nil) != want {
				t.Fatalf("%q: %v", b, err)
			}
			if err == nil && u.String() != strings.ToLower(string(b)) {
				t.Fatalf("%q was read as %s", b, u)
			}
		}
	}
}

func TestCheckEmail(t *testing.T) {
	good := func(s string) {
		t.Helper()
		if err := waypost.CheckEmail(s); err != nil {
			t.Error(err)
		}
	}
	bad := func(s string) {
		t.Helper()
		if err := waypost.CheckEmail(s); !errors.Is(err, waypost.ErrEmail) {
			t.Errorf("%q: got %v, want a refusal", s, err)
		}
	}
	good("a@example.com")
	good("a.b+c=d@sub.example.com")
	good(`"a.b"@example.com`)
	good(`"a\"b"@example.com`)
	good("jürgen@bücher.example")
	good("用户@例子.广告")
	good("x@a_b.example.com")
	bad("")
	bad("a")
	bad("@example.com")
	bad("a@")
	bad("a@localhost")
	bad("a b@example.com")
	bad("a@exa mple.com")
	bad("a@example..com")
	bad(".a@example.com")
	bad("a..b@example.com")
	bad("a@-example.com")
	bad("a@[192.0.2.1]")
	bad("a\r\nRCPT TO:<x@example.com>@example.com")
	bad("a\x00@example.com")
	bad("<a@example.com>")
	bad(`"a>b"@example.com`)
	bad(`"a b"@example.com`)
	bad(`"a\ b"@example.com`)
	bad(`"a\>b"@example.com`)
	bad("a@example.com\n")
	bad("a\u0085b@example.com")
	bad(strings.Repeat("a", 65) + "@example.com")
	bad("a@" + strings.Repeat("a.", 130) + "com")
	bad("\xff@example.com")
}

func TestRecipientName(t *testing.T) {
	m := waypost.Message{To: waypost.Address{Name: "Ann", Email: "ann@example.org"}, Cc: []waypost.Address{{Name: "Cy", Email: "cy@example.org"}}}
	for recipient, want := range map[string]string{"Ann@example.org": "Ann", "CY@example.org": "Cy", "blind@example.org": ""} {
		m.Recipient = recipient
		if got := m.RecipientName(); got != want {
			t.Errorf("%s is called %q, want %q", recipient, got, want)
		}
	}
}

func TestReplies(t *testing.T) {
	from, to := waypost.Address{Name: "N", Email: "n@example.com"}, waypost.Address{Email: "r@example.com"}
	own := func(value string) []waypost.Header { return []waypost.Header{{Name: "reply-to", Value: value}} }
	for _, c := range []struct {
		content waypost.Content
		want    waypost.Address
	}{
		{waypost.Content{From: from}, from},
		{waypost.Content{From: from, ReplyTo: to, Headers: own("h@example.com")}, to},
		{waypost.Content{From: from, Headers: own("H <h@example.com>")}, waypost.Address{Name: "H", Email: "h@example.com"}},
		{waypost.Content{From: from, Headers: own("nobody")}, waypost.Address{}},
	} {
		if got := c.content.Replies(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.content.Headers, got, c.want)
		}
	}
}

func FuzzCheckEmail(f *testing.F) {
	f.Add("a@example.com")
	f.Add("\"a\r\nb\"@example.com")
	f.Fuzz(func(t *testing.T, s string) {
		if waypost.CheckEmail(s) == nil && strings.ContainsAny(s, "\r\n\x00<> ") {
			t.Fatalf("%q passed", s)
		}
	})
}

func TestReturnPathRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := waypost.ReturnPath{
			UUID:       waypost.NewUUID(time.UnixMilli(rapid.Int64Range(0, 1<<41).Draw(t, "ms"))),
			SubAccount: rapid.Int64Range(1, math.MaxInt32).Draw(t, "sub-account"),
			Domain:     rapid.StringMatching(`sp-bounce\.[a-z]{1,10}\.example`).Draw(t, "domain"),
			Separator:  rapid.SampledFrom([]waypost.Separator{0, '=', '-'}).Draw(t, "separator"),
		}
		if err := waypost.CheckEmail(want.String()); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{want.String(), strings.ToUpper(want.String())} {
			if got, err := waypost.ParseReturnPath(s); err != nil || got != want {
				t.Fatalf("%s: got %+v, %v", s, got, err)
			}
		}
		wrapped := "SRS0=ab=cd=" + want.Domain + "=" + want.String()
		if got, ok := waypost.FindReturnPath(wrapped); !ok || got.UUID != want.UUID || got.SubAccount != want.SubAccount || got.Separator != want.Separator {
			t.Fatalf("%s: got %+v, %v", wrapped, got, ok)
		}
	})
}

func TestReturnPathRefusals(t *testing.T) {
	const id = "0197f000-0000-7000-8000-000000000001"
	f := func(s string) {
		t.Helper()
		if got, err := waypost.ParseReturnPath(s); !errors.Is(err, waypost.ErrReturnPath) {
			t.Errorf("%q: got %+v, %v", s, got, err)
		}
	}
	f("")
	f("bounces@example.com")
	f("bounces+" + id + "@example.com")
	f("bounces+" + id + "+@example.com")
	f("bounces+" + id + "+0@example.com")
	f("bounces+" + id + "+99999999999@example.com")
	f("bounces+" + id + "+1x@example.com")
	f("bounces+" + id + "+1@")
	f("x+" + id + "+1@example.com")
	f("bounces=" + id + "+1@example.com")
	f("bounces+" + id + "-1@example.com")
	f("bounces_" + id + "_1@example.com")
	f("bounces" + id + "+1@example.com")
	if _, ok := waypost.FindReturnPath("bounces+bounces+" + id + "+1"); !ok {
		t.Error("a mark that stands twice hides the return path behind it")
	}
	for s, want := range map[string]waypost.Separator{"": 0, "+": 0, "=": '=', "-": '-'} {
		if got, err := waypost.ParseSeparator(s); err != nil || got != want {
			t.Errorf("separator %q: %q, %v", s, got, err)
		}
	}
	if _, err := waypost.ParseSeparator("."); err == nil {
		t.Error("a dot passes for a separator")
	}
}

func FuzzFindReturnPath(f *testing.F) {
	f.Add("bounces+0197f000-0000-7000-8000-000000000001+7@sp-bounce.example.com")
	f.Add("SRS0=x=y=z=bounces+0197f000-0000-7000-8000-000000000001+7@a.example")
	f.Add("prvs=1234=bounces-0197f000-0000-7000-8000-000000000001-7@sp-bounce.example.com")
	f.Add("SRS0=x=y=z=bounces=0197f000-0000-7000-8000-000000000001=7@a.example")
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := waypost.FindReturnPath(s)
		if !ok {
			return
		}
		sep := r.Separator.String()
		if !strings.Contains(strings.ToLower(s), "bounces"+sep+r.UUID.String()+sep) {
			t.Fatalf("found %s, which does not stand in %q", r, s)
		}
		r.Domain = "sp-bounce.example.com"
		if again, err := waypost.ParseReturnPath(r.String()); err != nil || again != r {
			t.Fatalf("%s is read as %+v, %v", r, again, err)
		}
	})
}

func TestEventTableIsWhole(t *testing.T) {
	if n := len(waypost.EventTypes()); n != 11 {
		t.Fatalf("%d types, want 11", n)
	}
	for _, typ := range waypost.EventTypes() {
		if back, ok := waypost.ParseEventType(typ.String()); !ok || back != typ {
			t.Errorf("type %d has the name %q, which names %d", typ, typ, back)
		}
		e := waypost.Event{Type: typ}
		if (e.Stat() == waypost.StatNone) != (typ == waypost.CSDeferred) {
			t.Errorf("%s counts as %d", typ, e.Stat())
		}
		e.Evidence = true
		if e.Stat() != waypost.StatNone {
			t.Errorf("evidence of %s counts", typ)
		}
	}
	before := waypost.Event{Type: waypost.CSDropped, Reason: waypost.DropNoReturnPath}
	after := waypost.Event{Type: waypost.CSDropped, Reason: waypost.DropRelayFailed}
	if before.Stat() != waypost.StatDropped || after.Stat() != waypost.StatSMTPDropped {
		t.Fatalf("drops count as %d and %d", before.Stat(), after.Stat())
	}
}

func TestRetrySchedule(t *testing.T) {
	s, err := waypost.ParseRetrySchedule("1h, 2h,3h,4h,5h")
	if err != nil || s.String() != waypost.DefaultRetrySchedule.String() {
		t.Fatalf("%v, %v", s, err)
	}
	var sum time.Duration
	for n := 1; ; n++ {
		pause, ok := s.Next(n, 0)
		if !ok {
			if n != 6 {
				t.Fatalf("%d attempts, want 6", n)
			}
			break
		}
		if most, _ := s.Next(n, 0.999); most > pause*11/10 {
			t.Fatalf("jitter makes %v out of %v", most, pause)
		}
		sum += pause
	}
	if sum != 15*time.Hour {
		t.Fatalf("retries over %v, want 15h", sum)
	}
	for _, bad := range []string{"", "1x", "0s", "1h,,2h", "-1h", "1000h", strings.Repeat("1h,", 20) + "1h"} {
		if _, err := waypost.ParseRetrySchedule(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestDecide(t *testing.T) {
	at := time.UnixMilli(1_764_000_000_000)
	s := waypost.RetrySchedule{time.Minute, time.Hour}
	f := func(r waypost.AttemptResult, n int, retryPermanent, tooLarge bool, want waypost.Outcome) {
		t.Helper()
		got := waypost.Decide(waypost.Attempt{N: n, At: at, Result: r}, s, retryPermanent, tooLarge, 2*time.Minute, 0)
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	f(waypost.AttemptSent, 1, true, false, waypost.Outcome{Sent: true})
	f(waypost.AttemptTransient, 1, true, false, waypost.Outcome{Retry: at.Add(time.Minute)})
	f(waypost.AttemptTransient, 2, true, false, waypost.Outcome{Retry: at.Add(time.Hour)})
	f(waypost.AttemptTransient, 3, true, false, waypost.Outcome{Drop: waypost.DropRelayFailed})
	f(waypost.AttemptPermanent, 1, true, false, waypost.Outcome{Retry: at.Add(time.Minute)})
	f(waypost.AttemptPermanent, 1, false, false, waypost.Outcome{Drop: waypost.DropRelayRefused})
	f(waypost.AttemptPermanent, 1, true, true, waypost.Outcome{Drop: waypost.DropTooLarge})
	f(waypost.AttemptUnknown, 1, true, false, waypost.Outcome{Retry: at.Add(2 * time.Minute)})
	f(waypost.AttemptUnknown, 2, true, false, waypost.Outcome{Retry: at.Add(time.Hour)})
}

// TestAllowanceNeverExceeds sends as fast as the allowance lets, at random
// moments, and counts every rolling hour by the exact times.
func TestAllowanceNeverExceeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perHour := rapid.IntRange(1, 50).Draw(t, "per hour")
		limit := waypost.Limit{PerHour: perHour, Burst: rapid.Bool().Draw(t, "burst")}
		now := time.Unix(1_764_000_000, 0)
		var sent []time.Time
		counts := map[int64]int{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "seconds")) * time.Second)
			var buckets []waypost.Bucket
			for m, n := range counts {
				buckets = append(buckets, waypost.Bucket{Minute: m, N: n})
			}
			free, next := waypost.Allowance(buckets, limit, now)
			if free == 0 {
				if !next.After(now) || next.Sub(now) > 61*time.Minute {
					t.Fatalf("full at %v, next slot %v", now, next)
				}
				if again, _ := waypost.Allowance(buckets, limit, next); again == 0 {
					t.Fatalf("the slot promised for %v is not there", next)
				}
				if before, _ := waypost.Allowance(buckets, limit, next.Add(-time.Second)); before != 0 {
					t.Fatalf("a slot is free before %v, when the next was promised", next)
				}
				continue
			}
			take := rapid.IntRange(0, free).Draw(t, "take")
			counts[waypost.BucketMinute(now)] += take
			for range take {
				sent = append(sent, now)
			}
		}
		for i, start := range sent {
			n := 0
			for _, s := range sent[i:] {
				if s.Sub(start) < time.Hour {
					n++
				}
			}
			if n > perHour {
				t.Fatalf("%d in the hour from %v, limit %d", n, start, perHour)
			}
		}
	})
}

func TestTimestamp(t *testing.T) {
	want := time.UnixMilli(1_764_000_000_123)
	f := func(s string, exact bool) {
		t.Helper()
		var ts waypost.Timestamp
		if err := json.Unmarshal([]byte(s), &ts); err != nil {
			t.Fatal(err)
		}
		if d := ts.Sub(want); d != 0 && (exact || d > time.Second || d < -time.Second) {
			t.Errorf("%s is %v, want %v", s, ts.Time, want)
		}
	}
	f(`"2025-11-24T16:00:00.123Z"`, true)
	f(`"2025-11-24T17:00:00.123+01:00"`, true)
	f(`1764000000123`, true)
	f(`1764000000`, false)
	f(`1764000000123000`, true)
	f(`1764000000123000000`, false)
	f(`"1764000000"`, false)
	var ts waypost.Timestamp
	for _, bad := range []string{`"yesterday"`, `-5`, `{}`, `"NaN"`, `"+Inf"`, `"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+01:00"`} {
		if err := json.Unmarshal([]byte(bad), &ts); err == nil {
			t.Errorf("%s passes as %v", bad, ts)
		}
	}
	b, err := json.Marshal(waypost.Timestamp{Time: want})
	if err != nil || string(b) != `"2025-11-24T16:00:00.123000Z"` {
		t.Fatalf("%s, %v", b, err)
	}
}

func TestMailboxes(t *testing.T) {
	if waypost.Mailboxes != 27 || waypost.MailboxDefault.String() != "default" {
		t.Fatalf("%d categories, default is %s", waypost.Mailboxes, waypost.MailboxDefault)
	}
	for m := range waypost.Mailboxes {
		if back, ok := waypost.ParseMailbox(m.String()); !ok || back != m {
			t.Errorf("%d is %s, which is %d", m, m, back)
		}
	}
}

package track

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

func rules(t testing.TB) *Rules {
	t.Helper()
	r, err := LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSamples: each sample is decided by the rule that it stands with, an hour
// after the relay.
func TestSamples(t *testing.T) {
	r := rules(t)
	decided := map[string]bool{}
	for i := range r.all {
		rule := &r.all[i]
		for _, s := range rule.samples {
			q := request{kind: s.kind, addr: s.addr, agent: s.agent, after: time.Hour}
			want := rule.id
			if rule.person {
				want = ""
			}
			if got := r.verdict(&q); got != want {
				t.Errorf("rule %s: its sample %q gets %q", rule.id, s.agent, got)
			}
			decided[rule.id] = true
		}
		if len(rule.agents)+len(rule.nets) > 0 && rule.within == 0 && !decided[rule.id] {
			t.Errorf("rule %s has no sample", rule.id)
		}
	}
}

const (
	chrome  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
	cubot   = "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36"
	outlook = "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"
	thunder = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0"
)

func TestVerdict(t *testing.T) {
	r := rules(t)
	f := func(q request, want string) {
		t.Helper()
		if !q.addr.IsValid() {
			q.addr = netip.MustParseAddr("203.0.113.9")
		}
		if got := r.verdict(&q); got != want {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
	for _, agent := range []string{chrome, iphone, cubot, outlook, thunder} {
		f(request{kind: Open, agent: agent, after: time.Second}, "")
		f(request{kind: Click, agent: agent, after: 3 * time.Second}, "")
		f(request{kind: Click, agent: agent, after: time.Second}, "instant-click")
		f(request{kind: Open, agent: agent, head: true, after: time.Hour}, "head-request")
	}
	yahoo := "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
	f(request{kind: Open, agent: yahoo, after: 5 * time.Second}, "yahoo-prefetch")
	f(request{kind: Open, agent: yahoo, after: time.Minute}, "")
	f(request{kind: Open, agent: "Mozilla/5.0", after: time.Hour}, "apple-mail-privacy")
	f(request{kind: Click, agent: "Mozilla/5.0", after: time.Hour}, "")
	f(request{kind: Open, agent: "okhttp/4.12.0", after: time.Hour}, "")
	f(request{kind: Click, agent: "okhttp/4.12.0", after: time.Hour}, "library")
	f(request{kind: Click, agent: chrome, after: time.Hour, addr: netip.MustParseAddr("2a01:111:f400::1")}, "microsoft-filter")
	burst := func(d time.Duration) bool { return d == 10*time.Second }
	f(request{kind: Click, agent: chrome, after: time.Hour, burst: burst}, "every-link")
	f(request{kind: Open, agent: chrome, after: time.Hour, burst: burst}, "")
}

// TestContradictions: rules that can never decide are refused, whatever makes
// them so.
func TestContradictions(t *testing.T) {
	f := func(a, b, want string) {
		t.Helper()
		_, err := parseRules(a + "\n" + b)
		if want == "" {
			if err != nil {
				t.Errorf("%q then %q: %v", a, b, err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q then %q: %v, want %q", a, b, err, want)
		}
	}
	const never = "rule b never decides: rule a"
	f("rule a machine\nhas bot", "rule a person\nhas cat", "stands twice")
	f("rule a machine\nhas bot", "rule b person\nhas Bot", never)
	f("rule a machine\nhas bot", "rule b person on=open\nis my bot/1", never)
	f("rule a machine\nhas bot\nhas cat", "rule b machine\nbegins bot\nbegins cat", never)
	f("rule a machine\nbegins curl", "rule b person\nis curl/8", never)
	f("rule a machine", "rule b person\nhas x", never)
	f("rule a machine net=10.0.0.0/8", "rule b person net=10.1.0.0/16,10.2.0.1", never)
	f("rule a machine within=10s", "rule b person within=5s", never)
	f("rule a machine on=click links=10s", "rule b person on=click links=5s", never)
	f("rule a machine method=HEAD", "rule b person method=HEAD on=open", never)

	f("rule a machine\nis my bot", "rule b person\nhas bot", "")
	f("rule a machine\nbegins bot", "rule b person\nhas bot", "")
	f("rule a machine on=open\nhas bot", "rule b person\nhas bot", "")
	f("rule a machine net=10.1.0.0/16", "rule b person net=10.0.0.0/8", "")
	f("rule a machine within=5s", "rule b person within=10s", "")
	f("rule a machine within=5s", "rule b person", "")
	f("rule a machine\nhas bot\nhas cat", "rule b machine\nhas bot\nhas dog", "")
}

func TestRuleErrors(t *testing.T) {
	for text, want := range map[string]string{
		"has bot":                                          "before the first rule",
		"rule a":                                           "rule ID machine|person",
		"rule a maybe":                                     "machine or person",
		"rule a machine on=reply":                          "neither open nor click",
		"rule a machine method=PUT":                        "HEAD or GET",
		"rule a machine net=10/8":                          "no network",
		"rule a machine within=soon":                       "no time",
		"rule a machine within=-1s":                        "no time",
		"rule a machine colour=red":                        "no condition",
		"rule a machine\nhas":                              "needs a text",
		"rule a machine\nlike bot":                         "none of rule, has",
		"rule a machine\n= open":                           "want = open|click",
		"rule a machine\n= open here":                      "no address",
		"\n\nrule " + strings.Repeat("x", 41) + " machine": "line 3",
	} {
		if _, err := parseRules(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzRules: the parser never panics, and what it takes gives verdicts.
func FuzzRules(f *testing.F) {
	f.Add(machines, chrome)
	f.Add("rule a machine on=open net=10.0.0.0/8 within=5s links=10s\nis\n= open ::1 x", "")
	f.Fuzz(func(t *testing.T, text, agent string) {
		r, err := parseRules(text)
		if err != nil {
			return
		}
		q := request{kind: Click, agent: agent, addr: netip.MustParseAddr("10.0.0.1"), burst: func(time.Duration) bool { return true }}
		if id := r.verdict(&q); len(id) > 40 {
			t.Errorf("verdict %q", id)
		}
	})
}

// TestBurst: each click of a burst that is known when it is judged is one, and
// a person's two clicks are none.
func TestBurst(t *testing.T) {
	c := newClicks()
	click := func(message byte, link, links int, at time.Duration) *Hit {
		h := &Hit{Kind: Click, Message: waypost.UUID{message}, At: testTime.Add(at), link: link, links: links}
		c.note(h)
		return h
	}
	const span = 10 * time.Second
	first := click(1, 1, 3, 0)
	if c.burst(first, span) {
		t.Error("one click of three is a burst")
	}
	second := click(1, 2, 3, time.Second)
	third := click(1, 3, 3, 2*time.Second)
	for _, h := range []*Hit{first, second, third} {
		if !c.burst(h, span) {
			t.Errorf("click on link %d of 3 is no burst", h.link)
		}
	}
	if late := click(1, 1, 3, time.Minute); c.burst(late, span) {
		t.Error("a click a minute later is of the burst")
	}
	click(2, 1, 2, 0)
	if c.burst(click(2, 2, 2, 0), span) {
		t.Error("a message of two links has a burst")
	}
	click(3, 1, 3, 0)
	click(3, 2, 3, 0)
	if c.burst(click(3, 2, 3, 0), span) {
		t.Error("two links of three are a burst")
	}
	for i := range 100 { // more links than are told apart
		click(4, i+1, 100, 0)
	}
	if !c.burst(click(4, 1, 100, 0), span) {
		t.Error("all of a hundred links are no burst")
	}
	for i := range 3 * burstMessages {
		c.note(&Hit{Kind: Click, Message: waypost.UUID{9, byte(i), byte(i >> 8), byte(i >> 16)}, At: testTime, link: 1, links: 3})
	}
	if c.lru.Len() != burstMessages {
		t.Errorf("%d messages are remembered", c.lru.Len())
	}
}

func TestDevice(t *testing.T) {
	f := func(agent, family, os, dev string) {
		t.Helper()
		for range 2 { // from the expressions, then from memory
			v := Device(agent)
			if v.Program.Family != family || v.System.Family != os || v.Machine.Family != dev {
				t.Errorf("%q is %+v", agent, v)
			}
		}
	}
	f(chrome, "Chrome", "Windows", "")
	f(iphone, "Mobile Safari UI/WKWebView", "iOS", "iPhone")
	f(thunder, "Thunderbird", "Linux", "")
	f("", "", "", "")
	f("\x00\xff", "", "", "")
	f(strings.Repeat("x", 100_000), "", "", "")
}

func TestVersions(t *testing.T) {
	for agent, want := range map[string]Visitor{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1": {
			Version{"Mobile Safari", "17", "4", "1", ""}, Version{"iOS", "17", "4", "1", ""}, Machine{"iPhone", "Apple", "iPhone"},
		},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36": {
			Version{"Chrome", "131", "0", "0", ""}, Version{"Mac OS X", "10", "15", "7", ""}, Machine{"Mac", "Apple", "Mac"},
		},
		"": {},
	} {
		if got := Device(agent); got != want {
			t.Errorf("%s is %+v, want %+v", agent, got, want)
		}
	}
}

// BenchmarkVerdict judges a person's click, which tries every rule.
func BenchmarkVerdict(b *testing.B) {
	r := rules(b)
	q := request{kind: Click, agent: chrome, addr: netip.MustParseAddr("203.0.113.9"), after: time.Hour}
	for b.Loop() {
		if got := r.verdict(&q); got != "" {
			b.Fatal(got)
		}
	}
}

// BenchmarkDevice reads user agents that are not remembered.
func BenchmarkDevice(b *testing.B) {
	Device(chrome)
	n := 0
	for b.Loop() {
		n++
		Device(chrome + strings.Repeat("x", n%400) + string(rune('a'+n%26)))
		devices.seen.Purge()
	}
}

package route

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
)

func TestClassify(t *testing.T) {
	c := NewClassifier()
	f := func(domain, want string) {
		t.Helper()
		got, ok := c.Domain(domain)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s is %s, %v, want %q", domain, got, ok, want)
		}
	}
	f("gmail.com", "gmail")
	f("googlemail.com", "gmail")
	f("hotmail.co.uk", "microsoft")
	f("web.de", "gmx")
	f("sbcglobal.net", "att")
	f("example.com", "")
	f("gmail.com.example.com", "")
	f("", "")

	mx := func(want string, hosts ...string) {
		t.Helper()
		if got := c.MX(hosts).String(); got != want {
			t.Errorf("%v is %s, want %s", hosts, got, want)
		}
	}
	mx("googleworkspace", "ASPMX.L.GOOGLE.COM.", "alt1.aspmx.l.google.com.")
	mx("office365", "example-com.mail.protection.outlook.com.")
	mx("microsoft", "hotmail-com.olc.protection.outlook.com.")
	mx("proofpoint", "mx1.example.pphosted.com")
	mx("mimecast", "eu-smtp-inbound-1.mimecast.com")
	mx("barracuda", "d123a.ess.barracudanetworks.com")
	mx("ciscoironport", "mx1.hc123-45.iphmx.com")
	mx("zohobusiness", "mx.zoho.eu")
	mx("default", "mail.example.com", "google.com.example.com", "notgoogle.com")
	mx("default")
	mx("trendmicro", "mail.example.com", "example.in.tmes.trendmicro.eu")
}

// TestTablesAreWhole wants every category but default in one of the files.
func TestTablesAreWhole(t *testing.T) {
	c := NewClassifier()
	seen := map[waypost.Mailbox]bool{waypost.MailboxDefault: true}
	for _, box := range c.domains {
		seen[box] = true
	}
	for _, box := range c.mx {
		seen[box] = true
	}
	for box := range waypost.Mailboxes {
		if !seen[box] {
			t.Errorf("nothing is ever classified as %s", box)
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(-1, 100), 1, 6).Draw(t, "weights")
		down := rapid.IntRange(0, 6).Draw(t, "down")
		pool := &waypost.Pool{Strategy: waypost.StrategyVolumePercentage}
		sum := 0
		for i, w := range weights {
			pool.Members = append(pool.Members, waypost.PoolMember{Provider: int64(i + 1), Weight: w})
			if i+1 != down {
				sum += max(w, 0)
			}
		}
		usable := func(p int64) bool { return p != int64(down) }
		const n = 4000
		got := map[int64]int{}
		for range n {
			got[Choose(pool, Target{Message: waypost.NewUUID(time.Unix(1, 0))}, usable)]++
		}
		if sum == 0 {
			if got[0] != n {
				t.Fatalf("no weight, but %v", got)
			}
			return
		}
		for _, m := range pool.Members {
			want := float64(n) * float64(max(m.Weight, 0)) / float64(sum)
			if m.Provider == int64(down) {
				want = 0
			}
			if d := float64(got[m.Provider]) - want; d > 250 || d < -250 { // eight standard deviations at the worst share
				t.Fatalf("provider %d of weight %d got %d of %d, want about %.0f", m.Provider, m.Weight, got[m.Provider], n, want)
			}
		}
		target := Target{Message: waypost.NewUUID(time.Now())}
		if first, again := Choose(pool, target, nil), Choose(pool, target, nil); first != again {
			t.Fatal("the same message went two ways")
		}
	})
}

func TestStrategies(t *testing.T) {
	f := func(s waypost.Strategy, metadata string, target Target, want string) {
		t.Helper()
		plan, err := ParseMetadata(s, metadata, []int64{1, 2, 3}, func(id int64) bool { return id <= 3 })
		if err != nil {
			t.Fatal(err)
		}
		pool := &waypost.Pool{Strategy: s, Members: plan.Members, Lists: plan.Lists}
		var got []string
		for _, m := range Candidates(pool, target) {
			got = append(got, fmt.Sprintf("%d:%d", m.Provider, m.Weight))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	gmail, _ := waypost.ParseMailbox("gmail")
	f(waypost.StrategyRoundRobin, "{}", Target{}, "1:1 2:1 3:1")
	f(waypost.StrategyVolumePercentage, `{"TPSP_1":"3","TPSP_2":"0","TPSP_3":"1","IP_100":"9"}`, Target{}, "1:3 3:1")
	byBox := `{"0":"[\"TPSP_1\",\"IP_5\"]","others":"[\"TPSP_2\",\"TPSP_3\"]"}`
	f(waypost.StrategyEmailProvider, byBox, Target{Mailbox: gmail}, "1:1")
	f(waypost.StrategyEmailProvider, byBox, Target{Mailbox: waypost.MailboxDefault}, "2:1 3:1")
	byDomain := `{"News.example":"[\"TPSP_3\"]","others":"[\"TPSP_1\"]"}`
	f(waypost.StrategySendingDomain, byDomain, Target{Domain: "news.example"}, "3:1")
	f(waypost.StrategySendingDomain, byDomain, Target{Domain: "shop.example"}, "1:1")
}

// TestIPsAlone: a pool that names IPs and no provider stands for all providers
// of the account; with a provider among them, IPs are passed over (D-8).
func TestIPsAlone(t *testing.T) {
	f := func(s waypost.Strategy, metadata, want string) {
		t.Helper()
		plan, err := ParseMetadata(s, metadata, nil, func(id int64) bool { return id <= 2 })
		if err != nil {
			t.Fatal(err)
		}
		pool := &waypost.Pool{Strategy: s, Members: plan.Members, Lists: plan.Lists, NamesIP: plan.NamesIP}
		StandForAll(pool, []waypost.Provider{{ID: 1, MaxPerHour: 100}, {ID: 2, MaxPerHour: 300}})
		var got []string
		for _, m := range Candidates(pool, Target{Domain: "shop.example"}) {
			got = append(got, fmt.Sprintf("%d:%d", m.Provider, m.Weight))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	f(waypost.StrategyVolumePercentage, `{"IP_1":"70","IP_2":"30"}`, "1:100 2:300")
	f(waypost.StrategyVolumePercentage, `{"IP_1":"70","TPSP_2":"30"}`, "2:30")
	f(waypost.StrategyEmailProvider, `{"0":"[\"IP_1\"]","others":"[\"IP_2\"]"}`, "1:1 2:1")
	f(waypost.StrategySendingDomain, `{"news.example":"[\"IP_1\"]"}`, "1:1 2:1")
	f(waypost.StrategySendingDomain, `{"others":"[\"IP_1\",\"TPSP_1\"]"}`, "1:1")
	even := &waypost.Pool{Strategy: waypost.StrategyRoundRobin, NamesIP: true}
	StandForAll(even, []waypost.Provider{{ID: 1, MaxPerHour: 100}, {ID: 2, MaxPerHour: 300}})
	if got := Candidates(even, Target{}); len(got) != 2 || got[0].Weight != got[1].Weight {
		t.Errorf("round robin: %+v", got)
	}
	none := &waypost.Pool{Strategy: waypost.StrategyRoundRobin}
	if StandForAll(none, []waypost.Provider{{ID: 1}}); len(none.Members) != 0 {
		t.Errorf("a pool that lost its providers has %+v", none.Members)
	}
}

func TestMetadataErrors(t *testing.T) {
	f := func(s waypost.Strategy, metadata string, providers []int64, want string) {
		t.Helper()
		plan, err := ParseMetadata(s, metadata, providers, func(id int64) bool { return id <= 2 })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %q", metadata, plan, err, want)
		}
	}
	one := []int64{1}
	f(waypost.StrategyRoundRobin, "{}", nil, "names no provider")
	f(waypost.StrategyRoundRobin, "{}", []int64{9}, "provider 9 does not exist")
	f(waypost.StrategyRoundRobin, "[]", one, "JSON object")
	f(waypost.StrategyVolumePercentage, `{"TPSP_1":"-1"}`, one, "whole number")
	f(waypost.StrategyVolumePercentage, `{"TPSP_1":"many"}`, one, "whole number")
	f(waypost.StrategyVolumePercentage, `{"TPSP_1":"1.5"}`, one, "whole number")
	f(waypost.StrategyVolumePercentage, `{"TPSP_1":"0"}`, one, "sum to zero")
	f(waypost.StrategyVolumePercentage, `{"TPSP_7":"1"}`, nil, "TPSP_7 does not exist")
	f(waypost.StrategyVolumePercentage, `{"SES_1":"1"}`, nil, "TPSP_<id>")
	f(waypost.StrategyVolumePercentage, `{"TPSP_2":"1"}`, one, "TPSP_1 is in tpsps but has no weight")
	f(waypost.StrategyEmailProvider, `{"0":"[\"TPSP_1\"]"}`, one, "others")
	f(waypost.StrategyEmailProvider, `{"99":"[\"TPSP_1\"]","others":"[\"TPSP_1\"]"}`, one, "no mailbox provider")
	f(waypost.StrategyEmailProvider, `{"0":["TPSP_1"],"others":"[\"TPSP_1\"]"}`, one, "JSON array written as text")
	f(waypost.StrategyEmailProvider, `{"others":"[\"IP_1\"]"}`, one, "names no provider")
	f(waypost.StrategySendingDomain, `{"no domain":"[\"TPSP_1\"]","others":"[\"TPSP_1\"]"}`, one, "no sender domain")
	f(9, "{}", one, "strategy 9")
	f(waypost.StrategyRoundRobin, strings.Repeat(" ", 70<<10), one, "64 KiB")
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(int16(2), `{"TPSP_1":"1"}`)
	f.Add(int16(1), `{"0":"[\"TPSP_1\"]","others":"[\"TPSP_2\"]"}`)
	f.Fuzz(func(t *testing.T, s int16, metadata string) {
		plan, err := ParseMetadata(waypost.Strategy(s), metadata, []int64{1}, func(id int64) bool { return id < 3 })
		if err != nil {
			return
		}
		pool := &waypost.Pool{Strategy: waypost.Strategy(s), Members: plan.Members, Lists: plan.Lists}
		if got := Choose(pool, Target{Message: waypost.UUID{1}}, nil); got != 1 && got != 2 {
			t.Fatalf("chose %d out of %s", got, cmp.Diff(plan, Plan{}))
		}
	})
}

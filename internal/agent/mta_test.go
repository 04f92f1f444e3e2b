package agent

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// correlateMTA runs a whole log of any mail server through a correlator.
func correlateMTA(t testing.TB, mta string, c *Correlator, log []byte) (items []waypost.ReportItem) {
	t.Helper()
	p, err := mtalog.New(mta, mtalog.Options{Location: time.UTC, Now: func() time.Time { return corpusNow }})
	if err != nil {
		t.Fatal(err)
	}
	var f mtalog.Fact
	for line := range bytes.Lines(log) {
		if p.Parse(bytes.TrimSuffix(line, []byte("\n")), &f) {
			c.Observe(&f, corpusNow)
		}
		items = append(items, reported(c)...)
	}
	c.Flush()
	return append(items, reported(c)...)
}

// TestCorpusOtherMTAs wants every final event of the genuine logs and no
// other. The truth of OpenSMTPD's log says nothing of its Expire lines: an
// expiry is expected for each.
func TestCorpusOtherMTAs(t *testing.T) {
	f := func(mta, folder, form string) {
		t.Run(folder+"/"+form, func(t *testing.T) {
			dir := filepath.Join(corpusDir(t), folder)
			log := slurp(t, filepath.Join(dir, form))
			want, deferred := map[string]int{}, map[string]bool{}
			for _, r := range readTruth(t, filepath.Join(dir, "truth.jsonl")) {
				k := event(r.MessageID, r.Recipient, r.EventType, r.QueueID)
				if r.Final {
					want[k]++
				} else {
					deferred[k] = true
				}
			}
			for line := range strings.Lines(string(log)) {
				if _, rest, ok := strings.Cut(line, "relay: Expire for "); ok {
					id, rest, _ := strings.Cut(rest, ": from=<")
					_, rest, _ = strings.Cut(rest, "to=<")
					to, _, _ := strings.Cut(rest, ">")
					rp, _ := waypost.FindReturnPath(line)
					want[event(rp.UUID.String(), to, waypost.ReportSoftBounced, id)]++
				}
			}
			got := map[string]int{}
			c := NewCorrelator(CorrelatorOptions{})
			for _, it := range correlateMTA(t, mta, c, log) {
				k := event(it.MessageID, it.Recipient, it.EventType, string(it.QueueID))
				switch {
				case it.EventType != waypost.ReportDeferred:
					got[k]++
					if it.EventType == waypost.ReportSoftBounced && it.SMTPDescription == "" {
						t.Errorf("no reason: %+v", it)
					}
				case !deferred[k]:
					t.Errorf("deferral not in the truth: %s", k)
				}
			}
			if len(want) == 0 || !maps.Equal(want, got) {
				t.Errorf("final events\n%s\nwant\n%s", strings.Join(slices.Sorted(maps.Keys(got)), "\n"), strings.Join(slices.Sorted(maps.Keys(want)), "\n"))
			}
			if n := c.Counts(); n.Unknown() != 0 || n.Conflicts != 0 {
				t.Errorf("counts: %+v", n)
			}
		})
	}
	f("exim", "20-exim-default", "mainlog")
	f("opensmtpd", "21-opensmtpd", "mail.traditional.log")
	f("opensmtpd", "21-opensmtpd", "mail.rfc3339.log")
}

// TestExpiryByName reports a recipient that an Exim log gives up by name, also
// when its deferral was never seen, and leaves the others alone.
func TestExpiryByName(t *testing.T) {
	const log = `2026-11-24 05:48:59 1xVjOl-000016-1y <= bounces+018f3c7e-1111-7222-8333-000000000001+7@sp-bounce.example.com H=x [192.0.2.1] P=esmtp S=455
2026-11-24 05:48:59 1xVjOl-000016-1y == a@dest.example R=all T=remote_smtp defer (-44) H=mx.dest.example [192.0.2.9]: SMTP error from remote mail server after RCPT TO:<a@dest.example>: 452 4.2.2 over quota
2026-11-24 05:48:59 1xVjOl-000016-1y == b@dest.example R=all T=remote_smtp defer (-44) H=mx.dest.example [192.0.2.9]: SMTP error from remote mail server after RCPT TO:<b@dest.example>: 452 4.2.2 over quota
2026-11-24 05:50:59 1xVjOl-000016-1y ** a@dest.example: retry timeout exceeded
2026-11-24 05:50:59 1xVjOl-000016-1y ** c@dest.example: retry timeout exceeded
2026-11-24 05:51:59 1xVjOl-000016-1y => b@dest.example R=all T=remote_smtp H=mx.dest.example [192.0.2.9] C="250 2.0.0 OK"
2026-11-24 05:51:59 1xVjOl-000016-1y Completed
`
	c := NewCorrelator(CorrelatorOptions{})
	var got []string
	for _, it := range correlateMTA(t, "exim", c, []byte(log)) {
		got = append(got, it.EventType+" "+it.Recipient+" "+it.EnhancedCode)
	}
	want := []string{
		"deferred a@dest.example 4.2.2", "deferred b@dest.example 4.2.2",
		"soft_bounced a@dest.example 4.2.2", "soft_bounced c@dest.example ", "delivered b@dest.example 2.0.0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := c.Counts().OutcomesLost; n != 0 {
		t.Errorf("%d outcomes lost", n)
	}
}

// TestHopRelays reports nothing for a relay that an operator named.
func TestHopRelays(t *testing.T) {
	for _, relay := range []string{"mx.dest.example", "203.0.113.5", "203.0.113.5:25", "mx.dest.example:25"} {
		c := NewCorrelator(CorrelatorOptions{HopRelays: []string{"other.example", relay}})
		if items := correlate(t, c, []byte(story(1, "a@dest.example"))); len(items) != 0 || c.Counts().Hops != 1 {
			t.Errorf("%s: %d events, %d hops", relay, len(items), c.Counts().Hops)
		}
	}
	c := NewCorrelator(CorrelatorOptions{HopRelays: []string{"mx.dest.example:10025"}})
	if items := correlate(t, c, []byte(story(1, "a@dest.example"))); len(items) != 1 {
		t.Errorf("another port: %d events", len(items))
	}
}

package agent

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// TestGolden runs the logs in testdata: above the rule the log, below it the
// events and the counts.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			log, want, _ := strings.Cut(string(text), "----\n")
			c := NewCorrelator(CorrelatorOptions{})
			var b strings.Builder
			for _, it := range correlate(t, c, []byte(log)) {
				fmt.Fprintf(&b, "%s %s %s %d %s %q\n", it.MessageID[24:], it.EventType, it.Recipient, it.SMTPCode, it.EnhancedCode, it.SMTPDescription)
			}
			fmt.Fprintf(&b, "%+v\n", c.Counts())
			if *update {
				if err := os.WriteFile(name, []byte(log+"----\n"+b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSnapshotAnywhere saves and restores the correlator before every line: it
// must not show.
func TestSnapshotAnywhere(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		log, _, _ := strings.Cut(string(text), "----\n")
		want := correlate(t, NewCorrelator(CorrelatorOptions{}), []byte(log))
		var got []waypost.ReportItem
		c := NewCorrelator(CorrelatorOptions{})
		p := corpusParser(t)
		var f mtalog.Fact
		for line := range strings.Lines(log) {
			next := NewCorrelator(CorrelatorOptions{})
			if err := next.Restore(c.Snapshot(nil), corpusNow); err != nil {
				t.Fatal(err)
			}
			c = next
			if p.Parse([]byte(strings.TrimSpace(line)), &f) {
				c.Observe(&f, corpusNow)
			}
			got = append(got, reported(c)...)
		}
		c.Flush()
		got = append(got, reported(c)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestCorpusChunks feeds the genuine logs to a tailer in pieces cut anywhere,
// snapshotting on the way.
func TestCorpusChunks(t *testing.T) {
	corpusLogs(t, func(t *testing.T, log []byte, rows []truthRow) {
		rnd := rand.New(rand.NewPCG(1, 2))
		path := filepath.Join(t.TempDir(), "mail.log")
		appendLog(t, path, "")
		tail, err := Follow(path, nil, true)
		must(t, err)
		t.Cleanup(func() { tail.Close() })
		c := NewCorrelator(CorrelatorOptions{})
		p := corpusParser(t)
		var f mtalog.Fact
		var items []waypost.ReportItem
		for rest := log; len(rest) > 0; {
			n := min(rnd.IntN(20_000)+1, len(rest))
			appendLog(t, path, string(rest[:n]))
			rest = rest[n:]
			for {
				lines, err := tail.Read()
				must(t, err)
				if len(lines) == 0 {
					break
				}
				for line := range bytes.Lines(lines) {
					if p.Parse(bytes.TrimSuffix(line, []byte("\n")), &f) {
						c.Observe(&f, corpusNow)
					}
				}
				items = append(items, reported(c)...)
			}
			next := NewCorrelator(CorrelatorOptions{})
			must(t, next.Restore(c.Snapshot(nil), corpusNow))
			at := tail.Position()
			tail.Close()
			c = next
			tail, err = Follow(path, &at, false)
			must(t, err)
		}
		c.Flush()
		checkTruth(t, log, rows, append(items, reported(c)...))
	})
}

// TestCorpusPostlogd wants a final event for every message that the submitter
// saw accepted in the log that Postfix wrote itself.
func TestCorpusPostlogd(t *testing.T) {
	dir := filepath.Join(corpusDir(t), "11-postlogd")
	var injected []struct {
		UUID string `json:"uuid"`
		Kind string `json:"kind"`
		Data []any  `json:"data"`
	}
	must(t, json.Unmarshal(slurp(t, filepath.Join(dir, "injected.json.gz")), &injected))
	final := map[string]bool{}
	for _, it := range correlate(t, NewCorrelator(CorrelatorOptions{}), slurp(t, filepath.Join(dir, "postlogd.log.gz"))) {
		if it.EventType != waypost.ReportDeferred {
			final[it.MessageID] = true
		}
	}
	checked := 0
	for _, m := range injected {
		if m.Kind != "K1" && m.Kind != "K2" || len(m.Data) == 0 || m.Data[0] != 250.0 {
			continue
		}
		if checked++; !final[m.UUID] {
			t.Errorf("no final event for %s", m.UUID)
		}
	}
	if checked == 0 {
		t.Error("nothing was checked")
	}
}

func TestEviction(t *testing.T) {
	c := NewCorrelator(CorrelatorOptions{MaxEntries: 10})
	f := mtalog.Fact{Kind: mtalog.Sender, Instance: "postfix", Time: corpusNow, NRcpt: 1}
	for i := range 100 {
		f.Queue = mtalog.QueueID(fmt.Sprintf("A%05d", i))
		f.Sender = fmt.Sprintf("bounces+018f3c7e-1111-7222-8333-%012d+7@sp-bounce.example.com", i)
		c.Observe(&f, corpusNow)
	}
	if c.Entries() != 10 || c.Counts().Evicted != 90 {
		t.Errorf("%d entries, %d evicted", c.Entries(), c.Counts().Evicted)
	}
}

// TestEvictionByAge evicts what was not heard of for longest, to the second.
func TestEvictionByAge(t *testing.T) {
	c := NewCorrelator(CorrelatorOptions{MaxEntries: 100})
	hear := func(i int, after time.Duration) {
		f := mtalog.Fact{
			Kind: mtalog.Sender, Instance: "postfix", Time: corpusNow.Add(after), NRcpt: 1,
			Queue: mtalog.QueueID(fmt.Sprintf("A%05d", i)), Sender: "a@sender.example",
		}
		c.Observe(&f, corpusNow)
	}
	for i := range 100 {
		hear(i, 0)
	}
	for i := range 100 {
		if i%2 == 0 {
			hear(i, time.Duration(i)*time.Second)
			hear(i, time.Duration(i)*time.Second+500*time.Millisecond)
		}
	}
	for i := range 75 {
		hear(1000+i, 200*time.Second)
	}
	for i := range 100 {
		k := c.table.key("postfix", fmt.Sprintf("A%05d", i))
		if kept := c.table.get(&k) != nil; kept != (i%2 == 0 && i >= 50) {
			t.Errorf("id %d kept: %v", i, kept)
		}
	}
}

// TestYoungest compares an index by message that was kept from the beginning
// with one that is made when it is first asked for.
func TestYoungest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	early, late := newTable(), newTable()
	early.youngest(&waypost.UUID{1})
	for range 2_000 {
		k := early.key("postfix", fmt.Sprintf("A%05d", rnd.IntN(300)))
		late.key("postfix", "")
		u := waypost.UUID{1, byte(rnd.IntN(100))}
		for _, table := range []*table{&early, &late} {
			if e := table.get(&k); e == nil {
				e = table.add(&k)
				e.uuid = u
				table.link(e)
			}
		}
	}
	found := 0
	for i := range 100 {
		u := waypost.UUID{1, byte(i)}
		a, b := early.youngest(&u), late.youngest(&u)
		if (a == nil) != (b == nil) || a != nil && a.key != b.key {
			t.Fatalf("message %d: %v and %v", i, a, b)
		}
		if a == nil {
			continue
		}
		found++
		if early.drop(a); early.youngest(&u) != nil {
			t.Fatalf("message %d is found after its youngest queue id was forgotten", i)
		}
	}
	if found < 50 {
		t.Errorf("only %d messages were looked up", found)
	}
}

// TestHoldByWallClock releases a held outcome when no further line comes.
func TestHoldByWallClock(t *testing.T) {
	c := NewCorrelator(CorrelatorOptions{})
	log := strings.ReplaceAll(story(1, "a@dest.example"), "mx.dest.example[203.0.113.5]:25", "127.0.0.1[127.0.0.1]:2601")
	p := corpusParser(t)
	var f mtalog.Fact
	for line := range strings.Lines(log) {
		if p.Parse([]byte(strings.TrimSpace(line)), &f) {
			c.Observe(&f, corpusNow)
		}
	}
	if n := len(c.Take()); n != 0 || c.Held() != 1 {
		t.Fatalf("%d events at once, %d held", n, c.Held())
	}
	c.Advance(corpusNow.Add(DefaultHold - time.Millisecond))
	if n := len(c.Take()); n != 0 {
		t.Fatal("released too early")
	}
	c.Advance(corpusNow.Add(DefaultHold))
	if n := len(c.Take()); n != 1 {
		t.Fatalf("%d events after the hold", n)
	}
}

func TestAppendItem(t *testing.T) {
	f := func(s string) {
		t.Helper()
		it := waypost.ReportItem{EventType: "bounced", Recipient: s, SMTPDescription: s, SMTPCode: 550, Timestamp: waypost.Timestamp{Time: corpusNow}}
		var got waypost.ReportItem
		if err := json.Unmarshal(new(encoder).append(nil, &Event{Item: it}), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		it.Recipient = strings.ToValidUTF8(s, "\uFFFD")
		if got.SMTPCode != 550 || !got.Timestamp.Equal(corpusNow) || len(got.Recipient) < len(it.Recipient) {
			t.Errorf("%q came back as %+v", s, got)
		}
		if it.Recipient == s && (got.Recipient != s || got.SMTPDescription != s) {
			t.Errorf("%q came back as %q", s, got.Recipient)
		}
	}
	f("plain@dest.example")
	f("\"quo\\ted\"@dest.example")
	f("grüße@dest.example \u2028")
	f("\x00\x1f\x7f\r\n\t")
	f("broken \xff\xfe utf-8")
}

// FuzzCorrelator takes arbitrary logs: no panic, bounded, sound items.
func FuzzCorrelator(f *testing.F) {
	f.Add([]byte(story(1, "a@dest.example")))
	names, _ := filepath.Glob("testdata/*.txt")
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		c := NewCorrelator(CorrelatorOptions{MaxEntries: 50, MaxText: 10_000})
		for _, it := range correlate(t, c, log) {
			if _, err := waypost.ParseUUID(it.MessageID); err != nil || len(it.EventID) != 32 {
				t.Fatalf("item %+v", it)
			}
			var back waypost.ReportItem
			u, _ := waypost.ParseUUID(it.MessageID)
			if err := json.Unmarshal(new(encoder).append(nil, &Event{UUID: u, Item: it}), &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(it, back); diff != "" {
				t.Fatal(diff)
			}
		}
		if c.Entries() > 50 {
			t.Fatalf("%d entries", c.Entries())
		}
		if err := c.Restore(c.Snapshot(nil), corpusNow); err != nil {
			t.Fatal(err)
		}
	})
}

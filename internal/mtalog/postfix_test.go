package mtalog_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

func TestNewNamesWhatThereIs(t *testing.T) {
	_, err := mtalog.New("qmail", mtalog.Options{})
	if err == nil || !strings.Contains(err.Error(), strings.Join(mtalog.MTAs(), ", ")) {
		t.Errorf("New(qmail) = %v, want an error that lists %v", err, mtalog.MTAs())
	}
	if _, err := mtalog.New("postfix", mtalog.Options{}); err != nil {
		t.Errorf("New(postfix) with zero options: %v", err)
	}
}

func TestYearOfTraditionalStamp(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 5, 0, 0, time.UTC)
	for _, test := range []struct {
		stamp string
		want  time.Time
	}{
		{"Dec 31 23:59:59", time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"Jan  1 00:04:00", time.Date(2027, 1, 1, 0, 4, 0, 0, time.UTC)},
		{"Jan  1 23:00:00", time.Date(2027, 1, 1, 23, 0, 0, 0, time.UTC)}, // a host in a zone ahead
		{"Jan  3 00:00:00", time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)},
		{"Feb 29 12:00:00", time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)},
	} {
		p, err := mtalog.New("postfix", mtalog.Options{Location: time.UTC, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		var f mtalog.Fact
		if !p.Parse([]byte(test.stamp+" mx postfix/qmgr[1]: 3A1F07C20D5: removed"), &f) || !f.Time.Equal(test.want) {
			t.Errorf("%s = %v, want %v", test.stamp, f.Time, test.want)
		}
	}
}

func TestZoneOfTraditionalStamp(t *testing.T) {
	p, err := mtalog.New("postfix", mtalog.Options{
		Location: time.FixedZone("", 2*3600),
		Now:      func() time.Time { return corpusNow },
	})
	if err != nil {
		t.Fatal(err)
	}
	var f mtalog.Fact
	want := time.Date(2026, 11, 24, 2, 2, 53, 0, time.UTC)
	if !p.Parse([]byte("Nov 24 04:02:53 mx postfix/qmgr[1]: 3A1F07C20D5: removed"), &f) || !f.Time.Equal(want) {
		t.Errorf("time = %v, want %v", f.Time, want)
	}
}

func TestParseMessage(t *testing.T) {
	p := newParser(t, "postfix")
	at := time.Date(2026, 11, 24, 4, 2, 53, 5000, time.FixedZone("", 3600))
	var f mtalog.Fact
	text := []byte("4kLMn27PQRz3XyBc: to=<a@dest.example>, relay=none, dsn=4.4.1, status=deferred (later)")
	if !p.ParseMessage("postfix-far/smtp", at, text, &f) {
		t.Fatal("said nothing")
	}
	if !f.Time.Equal(at) || f.Instance != "postfix-far" || f.Process != "smtp" || f.Status != mtalog.Deferred {
		t.Errorf("fact = %+v", f)
	}
	if p.ParseMessage("postfix/smtp", at, bytes.Repeat([]byte("x"), mtalog.MaxLine+1), &f) {
		t.Error("a text above MaxLine was read")
	}
}

// TestForgedReply puts words of the log's own language into a far server's reply and checks that
// none of them becomes a field.
func TestForgedReply(t *testing.T) {
	p := newParser(t, "postfix")
	piece := rapid.SampledFrom([]string{
		"status=sent", " (250 2.0.0 OK)", ", ", "to=<x@dest.example>", ">", "<", `"`, `\`, ") ",
		"dsn=2.0.0", "relay=none", "3A1F07C20D6: ", "orig_to=<", " said: ", "(in reply to ", "550 ", "é", "\n",
	})
	rapid.Check(t, func(rt *rapid.T) {
		reply := "550 5.7.1 " + strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(rt, "reply"), "")
		line := mtalog.Writer{Host: "mx"}.Delivery(nil, corpusNow, mtalog.Origin{Tag: "postfix/smtp", PID: 1}, mtalog.Delivery{
			Queue: "3A1F07C20D5", Recipient: "a@evil.example", Relay: "mx.evil.example[192.0.2.9]:25", Enhanced: "5.7.1",
			Status: "bounced", Description: "host mx.evil.example[192.0.2.9] said: " + reply + " (in reply to RCPT TO command)",
		})
		var f mtalog.Fact
		if !p.Parse(line, &f) {
			rt.Fatalf("said nothing: %s", line)
		}
		if f.Status != mtalog.Bounced || f.Recipient != "a@evil.example" || f.Queue != "3A1F07C20D5" || f.OrigTo != "" ||
			f.Enhanced != "5.7.1" || f.Code != 550 || f.RelayIP != "192.0.2.9" || f.Next != "" {
			rt.Errorf("%s\nfact %+v", line, f)
		}
		if want := strings.ReplaceAll(reply, "\n", " "); f.Reply != want {
			rt.Errorf("reply = %q, want %q", f.Reply, want)
		}
	})
}

func TestLongLineSaysNothing(t *testing.T) {
	head := "Nov 24 04:02:53 mx postfix/smtp[201]: 3A1F07C20D5: to=<a@dest.example>, relay=none, dsn=4.0.0, status=deferred ("
	for _, test := range []struct {
		size int
		want bool
	}{{mtalog.MaxLine, true}, {mtalog.MaxLine + 1, false}} {
		line := []byte(head + strings.Repeat("x", test.size-len(head)))
		var f mtalog.Fact
		if got := newParser(t, "postfix").Parse(line, &f); got != test.want {
			t.Errorf("line of %d bytes: %v, want %v", len(line), got, test.want)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	p := newParser(t, "postfix")
	line := []byte("Nov 24 04:02:53 mx postfix/smtpd[195]: connect from app.example.com[192.0.2.10]")
	var f mtalog.Fact
	said := false
	if n := testing.AllocsPerRun(100, func() { said = p.Parse(line, &f) }); n != 0 || said {
		t.Errorf("an irrelevant line: %v allocations, said %v", n, said)
	}
}

// TestParserMemory reads lines of every sort in many orders with one parser and one fact: what they
// remember of earlier lines must not show. The yardstick is a parser and a fact for each line.
func TestParserMemory(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "postfix", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	lines := bytes.Split(generated(2), []byte("\n"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := bytes.Cut(raw, []byte(rule))
		lines = append(lines, bytes.Split(head, []byte("\n"))...)
	}
	p := newParser(t, "postfix")
	rnd := rand.New(rand.NewPCG(1, 2))
	var got mtalog.Fact
	for range 10_000 {
		line := lines[rnd.IntN(len(lines))]
		if rnd.IntN(4) == 0 { // cut anywhere
			line = line[:rnd.IntN(len(line)+1)]
		}
		var want mtalog.Fact
		said := newParser(t, "postfix").Parse(line, &want)
		if p.Parse(line, &got) != said || said && got != want {
			t.Fatalf("%s\ngot  %+v\nwant %+v", line, got, want)
		}
	}
}

// FuzzParse feeds every parser any bytes: no panic, and clean strings in what it says. The lines
// of all goldens are seeds too.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		lines, _, _ := bytes.Cut(raw, []byte(rule))
		for line := range bytes.Lines(lines) {
			f.Add(line)
		}
	}
	for _, seed := range []string{
		"Nov 24 04:02:53 mx postfix/smtp[201]: 3A1F07C20D5: to=<a@x.example>, relay=m[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)",
		"2026-11-24T04:02:53.1Z mx postfix/qmgr[1]: 4kLMn27PQRz3XyBc: from=<\"a>\"@b>, size=1, nrcpt=1 (queue active)",
		"<22>1 2026-11-24T04:02:53Z - postfix 1 - [a b=\"\\]\"] 3A1F07C20D5: removed",
		"Nov 24 04:02:53 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[1.2.3.4]: 550 5.1.1 <x>; from=<a> to=<b>",
		"Nov 24 04:02:53 mx postfix/cleanup[1]: 3A1F07C20D5: info: header X-Sendpost-Message-UUID: \xff\x00",
		"Nov 24 04:02:53 mx postfix/smtp[1]: message repeated 2 times: [ 3A1F07C20D5: to=<]",
		"3A1F07C20D5: to=<\"\\", "<", "", "<22>", "Nov 24 04:02:53 ", "x: ",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, mta := range mtalog.MTAs() {
			p := newParser(t, mta)
			var fact mtalog.Fact
			if p.Parse(line, &fact) {
				checkFact(t, fact)
			}
			if p.ParseMessage(string(line[:len(line)/4]), corpusNow, line[len(line)/4:], &fact) {
				checkFact(t, fact)
			}
		}
	})
}

func checkFact(t *testing.T, f mtalog.Fact) {
	t.Helper()
	if f.Kind == mtalog.None || f.Time.IsZero() || f.Queue == "" && f.Kind != mtalog.Reject {
		t.Errorf("an empty fact: %+v", f)
	}
	if (f.Kind == mtalog.Outcome) != (f.Status != mtalog.NoStatus) {
		t.Errorf("kind %v with status %v", f.Kind, f.Status)
	}
	all := fields(f)
	if !utf8.ValidString(all) || strings.ContainsAny(all, "\x00\r\t\x1b\x7f") {
		t.Errorf("unclean strings: %q", all)
	}
}

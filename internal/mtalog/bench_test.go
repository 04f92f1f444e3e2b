package mtalog_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// generated gives a log of n messages at six lines each, one in seven of them irrelevant.
func generated(n int) []byte {
	w := mtalog.Writer{Host: "mx-out.example.com"}
	at := time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)
	from := func(name string, pid int) mtalog.Origin { return mtalog.Origin{Tag: "postfix/" + name, PID: pid} }
	var b []byte
	for i := range n {
		id := mtalog.QueueID(fmt.Sprintf("%05X7C2%03X", i%0xfffff, i%0xfff))
		at = at.Add(2 * time.Millisecond)
		b = append(at.AppendFormat(b, time.Stamp), " mx-out.example.com postfix/smtpd[195]: connect from app.example.com[192.0.2.10]\n"...)
		b = w.Client(b, at, from("smtpd", 195), id, "app.example.com[192.0.2.10]")
		b = w.MessageID(b, at, from("cleanup", 199), id, fmt.Sprintf("018f3c7e-1111-7222-8333-%012x@mail.example.com", i))
		b = w.Sender(b, at, from("qmgr", 194), id, fmt.Sprintf("bounces+018f3c7e-1111-7222-8333-%012x+7@bounce.example.com", i), 1702, 1)
		d := mtalog.Delivery{
			Queue: id, Recipient: fmt.Sprintf("user%d@dest.example", i), Relay: "mx1.dest.example[203.0.113.5]:25", ConnUse: i % 5,
			Delay: 170 * time.Millisecond, Delays: [4]time.Duration{10 * time.Millisecond, 60 * time.Millisecond, 90 * time.Millisecond},
			Enhanced: "2.0.0", Status: "sent", Description: "250 2.0.0 OK 17e4-x9 accepted",
		}
		if i%10 == 0 {
			d.Enhanced, d.Status = "5.1.1", "bounced"
			d.Description = "host mx1.dest.example[203.0.113.5] said: 550 5.1.1 <u@dest.example>: Recipient address rejected (in reply to RCPT TO command)"
		}
		b = w.Delivery(b, at, from("smtp", 200+i%8), d)
		b = append(at.AppendFormat(b, time.Stamp), " mx-out.example.com postfix/smtpd[195]: disconnect from app.example.com[192.0.2.10] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5\n"...)
		b = w.Removed(b, at, from("qmgr", 194), id)
	}
	return b
}

// BenchmarkScan reads the lines of a log file and does nothing with them: the yardstick.
func BenchmarkScan(b *testing.B) {
	benchmarkFile(b, func([]byte) {})
}

// BenchmarkParse reads and parses the same file; BenchmarkScan's ns/line over this one's is the
// share of a bare scan's speed that is left.
func BenchmarkParse(b *testing.B) {
	p := newParser(b, "postfix")
	var f mtalog.Fact
	benchmarkFile(b, func(line []byte) { p.Parse(line, &f) })
}

func benchmarkFile(b *testing.B, each func(line []byte)) {
	log := generated(50_000)
	path := filepath.Join(b.TempDir(), "mail.log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		b.Fatal(err)
	}
	lines := bytes.Count(log, []byte("\n"))
	buf := make([]byte, 0, mtalog.MaxLine)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		sc := bufio.NewScanner(file)
		sc.Buffer(buf, mtalog.MaxLine)
		for sc.Scan() {
			each(sc.Bytes())
		}
		if err := errors.Join(sc.Err(), file.Close()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lines), "ns/line")
}

// BenchmarkLine parses single lines of each sort.
func BenchmarkLine(b *testing.B) {
	for line := range bytes.Lines(generated(1)) {
		p := newParser(b, "postfix")
		var f mtalog.Fact
		said := p.Parse(line, &f)
		name := "irrelevant"
		if said {
			name = f.Kind.String()
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Parse(line, &f)
			}
		})
	}
}

package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// generatedLog gives a log of n messages of six lines and an event each.
func generatedLog(n int) []byte {
	w := mtalog.Writer{Host: "mx-out.example.com"}
	at := time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)
	from := func(name string, pid int) mtalog.Origin { return mtalog.Origin{Tag: "postfix/" + name, PID: pid} }
	var b []byte
	for i := range n {
		id := mtalog.QueueID(fmt.Sprintf("%05X9EE%03X", i%0xfffff, i%0xfff))
		at = at.Add(2 * time.Millisecond)
		b = append(at.AppendFormat(b, time.Stamp), " mx-out.example.com postfix/smtpd[195]: connect from app.example.com[192.0.2.10]\n"...)
		b = w.Client(b, at, from("smtpd", 195), id, "app.example.com[192.0.2.10]")
		b = w.MessageID(b, at, from("cleanup", 199), id, fmt.Sprintf("018f3c7e-1111-7222-8333-%012x@mail.example.com", i))
		b = w.Sender(b, at, from("qmgr", 194), id, fmt.Sprintf("bounces+018f3c7e-1111-7222-8333-%012x+7@sp-bounce.example.com", i), 1702, 1)
		d := mtalog.Delivery{
			Queue: id, Recipient: fmt.Sprintf("user%d@dest.example", i), Relay: "mx1.dest.example[203.0.113.5]:25", ConnUse: i % 5,
			Delay: 170 * time.Millisecond, Enhanced: "2.0.0", Status: "sent", Description: "250 2.0.0 OK 1764000000 a-b.12 - mx",
		}
		if i%10 == 0 {
			d.Enhanced, d.Status = "5.1.1", "bounced"
			d.Description = "host mx1.dest.example[203.0.113.5] said: 550 5.1.1 <u@dest.example>: Recipient address rejected (in reply to RCPT TO command)"
		}
		b = w.Delivery(b, at, from("smtp", 200+i%8), d)
		b = w.Removed(b, at, from("qmgr", 194), id)
	}
	return b
}

// BenchmarkScan reads the lines of a log and does nothing with them: the
// yardstick of BenchmarkPipeline, whose ns/line it divides.
func BenchmarkScan(b *testing.B) {
	path, lines := benchLog(b)
	buf := make([]byte, 0, mtalog.MaxLine)
	used := cpuTime()
	for b.Loop() {
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		sc := bufio.NewScanner(file)
		sc.Buffer(buf, mtalog.MaxLine)
		n := 0
		for sc.Scan() {
			n += len(sc.Bytes())
		}
		if err := errors.Join(sc.Err(), file.Close()); err != nil || n == 0 {
			b.Fatal(err)
		}
	}
	report(b, lines, used)
}

// BenchmarkPipeline reads, parses, correlates and encodes the same log, as the
// agent does, without writing to the spool.
func BenchmarkPipeline(b *testing.B) {
	path, lines := benchLog(b)
	b.ReportAllocs()
	used := cpuTime()
	for b.Loop() {
		t, err := Follow(path, nil, true)
		if err != nil {
			b.Fatal(err)
		}
		a := &agent{status: newStatus()}
		r := &logReader{a: a, tailer: t, parser: corpusParser(b), corr: NewCorrelator(CorrelatorOptions{})}
		now, events := time.Now(), 0
		for {
			data, err := t.Read()
			if err != nil {
				b.Fatal(err)
			}
			if len(data) == 0 {
				break
			}
			r.lines(data, now)
			r.encode(now)
			events += len(r.ends)
			r.encoded, r.ends = r.encoded[:0], r.ends[:0]
		}
		t.Close()
		if events != lines/6 {
			b.Fatalf("%d events of %d lines", events, lines)
		}
	}
	report(b, lines, used)
}

// report gives the time of the process as well as of the clock: a busy machine
// stretches only the second.
func report(b *testing.B, lines int, before time.Duration) {
	b.Helper()
	per := float64(b.N) * float64(lines)
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/per, "cpu-ns/line")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/per, "ns/line")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchLog(b *testing.B) (path string, lines int) {
	b.Helper()
	log := generatedLog(50_000)
	path = filepath.Join(b.TempDir(), "mail.log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		b.Fatal(err)
	}
	return path, bytes.Count(log, []byte("\n"))
}

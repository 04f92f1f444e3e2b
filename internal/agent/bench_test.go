package agent

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
	"github.com/waypost-mail/waypost/test/maillog"
)

// benchLog writes a log of n messages whose lines overlap.
func benchLog(b testing.TB, n int) (path string, totals maillog.Totals) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "mail.log")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if totals, err = maillog.Write(file, maillog.Options{Messages: n, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	return path, totals
}

// BenchmarkCatchUp reads, parses, correlates and encodes a log as the agent
// does, and in turn with it reads the same file by bufio.Scanner and does
// nothing. scan-ns/line and agent-ns/line are medians of the process's time,
// which a busy machine stretches less than the clock's; of-scan is the median
// of the quotients: what is left of a bare scan's speed.
func BenchmarkCatchUp(b *testing.B) {
	path, totals := benchLog(b, 100_000)
	buf := make([]byte, 0, mtalog.MaxLine)
	var scans, agents, shares []float64
	scan(b, path, buf)
	b.ReportAllocs()
	for b.Loop() {
		start := cpuTime()
		scan(b, path, buf)
		middle := cpuTime()
		if n := catchUp(b, path, nil); n != totals.Events() {
			b.Fatalf("%d events, want %d", n, totals.Events())
		}
		end := cpuTime()
		scans = append(scans, float64(middle-start)/float64(totals.Lines))
		agents = append(agents, float64(end-middle)/float64(totals.Lines))
		shares = append(shares, float64(middle-start)/float64(end-middle))
	}
	b.ReportMetric(median(scans), "scan-ns/line")
	b.ReportMetric(median(agents), "agent-ns/line")
	b.ReportMetric(median(shares), "of-scan")
	b.ReportMetric(slices.Min(scans)/slices.Min(agents), "best-of-scan")
	b.ReportMetric(0, "ns/op") // both together: no figure of interest
}

// BenchmarkCatchUpSpooled is BenchmarkCatchUp with the spool: events are
// written and synced as the agent does.
func BenchmarkCatchUpSpooled(b *testing.B) {
	path, totals := benchLog(b, 100_000)
	buf := make([]byte, 0, mtalog.MaxLine)
	var agents, shares []float64
	for b.Loop() {
		spool, err := OpenSpool(b.TempDir(), 1<<30)
		if err != nil {
			b.Fatal(err)
		}
		start := cpuTime()
		scan(b, path, buf)
		middle := cpuTime()
		if n := catchUp(b, path, spool); n != totals.Events() {
			b.Fatalf("%d events, want %d", n, totals.Events())
		}
		end := cpuTime()
		agents = append(agents, float64(end-middle)/float64(totals.Lines))
		shares = append(shares, float64(middle-start)/float64(end-middle))
		if err := spool.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(median(agents), "agent-ns/line")
	b.ReportMetric(median(shares), "of-scan")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// scan is the yardstick.
func scan(b *testing.B, path string, buf []byte) {
	b.Helper()
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

// catchUp runs the reader's loop over a whole file and gives the number of
// events; without a spool they are thrown away.
func catchUp(b *testing.B, path string, spool *Spool) (events int64) {
	b.Helper()
	t, err := Follow(path, nil, true)
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	a := &agent{status: newStatus(), spool: spool}
	r := &logReader{a: a, tailer: &followedFile{Tailer: t}, parser: corpusParser(b), corr: NewCorrelator(CorrelatorOptions{})}
	now := time.Now()
	for {
		lines, err := t.Read()
		if err != nil {
			b.Fatal(err)
		}
		if len(lines) > 0 {
			r.lines(lines, now)
		} else {
			r.corr.Flush()
		}
		before := len(r.ends)
		r.encode(now)
		events += int64(len(r.ends) - before)
		switch {
		case spool == nil:
			r.encoded, r.ends = r.encoded[:0], r.ends[:0]
		case len(lines) == 0 || len(r.encoded) >= storeAt:
			if err := r.store(now); err != nil {
				b.Fatal(err)
			}
		}
		if len(lines) == 0 {
			return events
		}
	}
}

// BenchmarkStages times the parts of a catch-up on lines in memory.
func BenchmarkStages(b *testing.B) {
	var log bytes.Buffer
	totals, err := maillog.Write(&log, maillog.Options{Messages: 20_000, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	var f mtalog.Fact
	p := corpusParser(b)
	stage := func(name string, each func(line []byte)) {
		b.Run(name, func(b *testing.B) {
			start := cpuTime()
			for b.Loop() {
				for rest := log.Bytes(); len(rest) > 0; {
					i := bytes.IndexByte(rest, '\n')
					each(rest[:i])
					rest = rest[i+1:]
				}
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N)/float64(totals.Lines), "cpu-ns/line")
		})
	}
	stage("split", func([]byte) {})
	stage("parse", func(line []byte) { p.Parse(line, &f) })
	c := NewCorrelator(CorrelatorOptions{})
	stage("correlate", func(line []byte) {
		if p.Parse(line, &f) {
			c.Observe(&f, corpusNow)
			c.out = c.out[:0]
		}
	})
	var enc encoder
	var out []byte
	stage("encode", func(line []byte) {
		if p.Parse(line, &f) {
			c.Observe(&f, corpusNow)
			for i := range c.out {
				out = enc.append(out[:0], &c.out[i])
			}
			c.out = c.out[:0]
		}
	})
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

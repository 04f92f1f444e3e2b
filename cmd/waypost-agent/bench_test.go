package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/waypost-mail/waypost/test/maillog"
)

// BenchmarkMemory lets the real program catch up a log from its beginning, to a
// server that takes everything, and gives the most memory it held (VmHWM) and
// the time it used. WAYPOST_BENCH_MESSAGES is the length of the log, about
// six lines each.
func BenchmarkMemory(b *testing.B) {
	messages := 200_000
	if s := os.Getenv("WAYPOST_BENCH_MESSAGES"); s != "" {
		if _, err := fmt.Sscan(s, &messages); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	log := filepath.Join(dir, "mail.log")
	file, err := os.Create(log)
	if err != nil {
		b.Fatal(err)
	}
	totals, err := maillog.Write(file, maillog.Options{Messages: messages, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		catchUp(b, log, totals.Lines, totals.Events())
	}
}

// BenchmarkMemoryFull is BenchmarkMemory with a correlation table that is full:
// more messages are deferred and stay than it holds, each with a reply of its
// own to remember.
func BenchmarkMemoryFull(b *testing.B) {
	const messages = 250_000 // the table holds 200,000
	log := filepath.Join(b.TempDir(), "mail.log")
	file, err := os.Create(log)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(file)
	for i := range messages {
		id := fmt.Sprintf("%05X%06X", i%0xfffff, i)
		fmt.Fprintf(w, "2026-11-24T10:%02d:%02d.000001+00:00 mta1 postfix/qmgr[1]: %s: from=<bounces+018f3c7e-1111-7222-8333-%012x+7@sp-bounce.example.com>, size=2000, nrcpt=1 (queue active)\n", i/6000, i/100%60, id, i)
		fmt.Fprintf(w, "2026-11-24T10:%02d:%02d.000002+00:00 mta1 postfix/smtp[1]: %s: to=<recipient%d@dest.example>, relay=mx%d.dest.example[203.0.113.5]:25, delay=1, delays=0/0/0/1, dsn=4.2.2, status=deferred (host mx%d.dest.example[203.0.113.5] said: 452 4.2.2 The mailbox of recipient%d is over its quota, please try again later (in reply to RCPT TO command))\n", i/6000, i/100%60, id, i, i%9, i%9, i)
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		catchUp(b, log, 2*messages, messages)
	}
}

// catchUp lets the real program read a whole log and reports what it took.
func catchUp(b *testing.B, log string, lines, events int64) {
	b.Helper()
	url, seen := server(b)
	cmd := agentProcess(b, "--endpoint", url, "--log-path", log, "--from-start", "--state-dir", b.TempDir(), "--health-addr", "127.0.0.1:0")
	waitFor(b, func() bool { return int64(seen()) >= events })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		b.Skip("no /proc on this system")
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var peak float64
	if _, err := fmt.Sscan(rest, &peak); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	b.ReportMetric(peak/1024, "peak-MiB")
	b.ReportMetric(float64(used)/float64(lines), "cpu-ns/line")
	b.ReportMetric(float64(lines), "lines")
}

package main

import (
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
		url, seen := server(b)
		state := b.TempDir()
		cmd := agentProcess(b, "--endpoint", url, "--log-path", log, "--from-start", "--state-dir", state, "--health-addr", "127.0.0.1:0")
		waitFor(b, func() bool { return int64(seen()) >= totals.Events() })
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
		b.ReportMetric(float64(used)/float64(totals.Lines), "cpu-ns/line")
		b.ReportMetric(float64(totals.Lines), "lines")
	}
}

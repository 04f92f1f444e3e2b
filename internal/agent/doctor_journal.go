package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// examineJournalctl reads one entry of the journal as the service's user.
func examineJournalctl(ctx context.Context, at *Place, add adder) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", "--quiet", "--lines=1", "--output=cat", "SYSLOG_FACILITY=2")
	cmd.WaitDelay = time.Second
	if c := at.credential(); c != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c}
	}
	out, err := cmd.Output()
	switch {
	case err != nil:
		add("log", Bad, fmt.Sprintf("read the journal: %v", err), "install systemd's journalctl, or leave journald out and set log-path")
	case len(out) == 0:
		add("log", Warn, "the journal shows no line of a mail server", "add the agent's user to the group systemd-journal, and see whether the mail server logs to syslog")
	default:
		add("log", Good, "the journal is readable", "")
	}
}

// examineJournal looks for what loses lines between the mail server and the
// log when systemd's journal stands between the two.
func examineJournal(mta string, at *Place, direct bool, lines []string, add adder) {
	if n, line := lostLines(at, lines); n > 0 {
		add("journal", Warn, fmt.Sprintf("%d notes about lost log lines, the last: %s", n, excerpt([]byte(line))), "raise RateLimitBurst in journald.conf and imjournal's or imuxsock's limits in rsyslog, or set maillog_file in Postfix")
	}
	if direct {
		return // Postfix writes the file itself
	}
	if _, err := os.Stat(at.path("/run/systemd/journal/dev-log")); err != nil {
		return
	}
	well := true
	if b, err := os.ReadFile(at.path("/proc/sys/net/unix/max_dgram_qlen")); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n < 512 {
			well = false
			add("journal", Warn, fmt.Sprintf("net.unix.max_dgram_qlen is %d: the journal drops lines on the way to syslog in bursts", n), "sysctl -w net.unix.max_dgram_qlen=512, and the same line in /etc/sysctl.d, then restart systemd-journald and rsyslog")
		}
	}
	burst, interval := rateLimit(at)
	if rate := lineRate(mta, lines); burst > 0 && interval > 0 && rate*interval.Seconds() > float64(burst)/2 {
		well = false
		add("journal", Warn, fmt.Sprintf("the log has had %.0f lines/s, and journald drops what exceeds %d lines in %v", rate, burst, interval), "set RateLimitIntervalSec=0 in journald.conf, or LogRateLimitIntervalSec=0 in the mail server's unit")
	}
	if well {
		add("journal", Good, fmt.Sprintf("stands before the log; its limit of %d lines in %v (0: none) is far from what the log shows", burst, interval), "")
	}
}

// rateLimit reads journald's limit; its defaults are 10,000 in 30 s
// (journald.conf(5)).
func rateLimit(at *Place) (burst int, interval time.Duration) {
	burst, interval = 10_000, 30*time.Second
	files := []string{at.path("/etc/systemd/journald.conf")}
	for _, dir := range []string{"/usr/lib", "/run", "/etc"} {
		more, _ := filepath.Glob(at.path(dir + "/systemd/journald.conf.d/*.conf")) // the pattern is good
		files = append(files, more...)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "RateLimitBurst":
				if n, err := strconv.Atoi(value); err == nil {
					burst = n
				}
			case "RateLimitIntervalSec", "RateLimitInterval":
				if n, err := strconv.Atoi(value); err == nil {
					interval = time.Duration(n) * time.Second
				} else if d, err := time.ParseDuration(strings.ReplaceAll(value, "min", "m")); err == nil {
					interval = d
				}
			}
		}
	}
	return burst, interval
}

// lineRate is how many lines a second the log has had.
func lineRate(mta string, lines []string) float64 {
	parser, err := mtalog.New(mta, mtalog.Options{})
	if err != nil {
		return 0
	}
	var first, last time.Time
	var f mtalog.Fact
	for _, line := range lines {
		if parser.Parse([]byte(line), &f) && !f.Time.IsZero() {
			if first.IsZero() {
				first = f.Time
			}
			last = f.Time
		}
	}
	span := last.Sub(first).Seconds()
	if len(lines) < 100 || span < 0 {
		return 0 // says nothing
	}
	return float64(len(lines)) / max(span, 1)
}

// losses are the words of journald and rsyslog for lines they dropped.
var losses = []string{
	"messages lost due to rate-limiting", "begin to drop messages due to rate-limiting", "Forwarding to syslog missed",
	"systemd-journald[", "journal: Suppressed",
}

// lostLines counts the notes about lost lines, in the log and at the end of
// the general logs.
func lostLines(at *Place, lines []string) (n int, last string) {
	for _, name := range []string{"/var/log/syslog", "/var/log/messages"} {
		f, err := os.Open(at.path(name))
		if err != nil {
			continue
		}
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() {
			b := make([]byte, min(info.Size(), 1<<20))
			if got, err := f.ReadAt(b, info.Size()-int64(len(b))); err == nil || errors.Is(err, io.EOF) {
				lines = append(slices.Clip(lines), strings.Split(string(b[:got]), "\n")...)
			}
		}
		_ = f.Close()
	}
	for _, line := range lines {
		if isLoss(line) {
			n++
			last = line
		}
	}
	return n, last
}

func isLoss(line string) bool {
	for _, words := range losses {
		if strings.Contains(line, words) && (words != "systemd-journald[" || strings.Contains(line, "Suppressed ")) {
			return true
		}
	}
	return false
}

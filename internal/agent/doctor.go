package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// Grade is how a finding of the doctor stands.
type Grade string

// The grades.
const (
	Good Grade = "ok"
	Warn Grade = "warning"
	Bad  Grade = "problem"
)

// Finding is one thing the doctor looked at.
type Finding struct {
	Check  string `json:"check"`
	Grade  Grade  `json:"grade"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // what to do; empty when all is well
}

// doctorLines is how many lines at the end of the log are looked at.
const doctorLines = 10_000

// Doctor looks at everything the agent depends on: the log, its form, what
// can be correlated, the server and the key (by an empty report), the clocks
// and the state directory. It changes nothing and sends no event.
func Doctor(ctx context.Context, cfg Config) []Finding {
	findings := []Finding{}
	add := func(check string, g Grade, detail, remedy string) {
		findings = append(findings, Finding{check, g, detail, remedy})
	}
	if err := cfg.Check(); err != nil {
		add("configuration", Bad, err.Error(), "correct the option named and run doctor again")
		if cfg.checkRest() != nil {
			return findings
		}
	} else {
		add("configuration", Good, "reports go to "+cfg.Endpoint, "")
	}
	examineLog(&cfg, add)
	examineRotation(&cfg, "/etc/logrotate.d", add)
	examineState(&cfg, add)
	if findings[0].Grade == Good {
		examineServer(ctx, &cfg, add)
	}
	return findings
}

// ExitCode is 0 when all is well, 1 with warnings, 2 with problems.
func ExitCode(findings []Finding) int {
	code := 0
	for _, f := range findings {
		switch f.Grade {
		case Warn:
			code = max(code, 1)
		case Bad:
			code = 2
		case Good:
		}
	}
	return code
}

type adder func(check string, g Grade, detail, remedy string)

func examineLog(cfg *Config, add adder) {
	s, err := openSource(cfg.LogPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add("log", Bad, cfg.LogPath+" does not exist", "set log-path to where your mail server logs (postconf maillog_file; /var/log/maillog on Red Hat systems)")
		return
	case errors.Is(err, fs.ErrPermission):
		add("log", Bad, cfg.LogPath+" may not be read by this user", "add the agent's user to the log's group (adm on Debian) or grant it read access: setfacl -m u:waypost-agent:r "+cfg.LogPath)
		return
	case err != nil:
		add("log", Bad, err.Error(), "see whether log-path names a regular file")
		return
	}
	defer s.close()
	age := time.Since(s.modified()).Round(time.Second)
	if age > 24*time.Hour {
		add("log", Warn, fmt.Sprintf("%s was last written to %v ago", cfg.LogPath, age), "see whether the mail server logs somewhere else")
	} else {
		add("log", Good, fmt.Sprintf("%s is readable, %d bytes, last written to %v ago", cfg.LogPath, s.size(), age), "")
	}
	lines, err := lastLines(s, doctorLines)
	if err != nil {
		add("log", Bad, err.Error(), "see whether the disk is well")
		return
	}
	examineLines(cfg, lines, add)
}

// lastLines reads the last lines of a file, within 16 MiB.
func lastLines(s *source, most int) ([]string, error) {
	size := s.size()
	b := make([]byte, min(size, 16<<20))
	n, err := s.file.ReadAt(b, size-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b[:n]), "\n"), "\n")
	if int64(len(b)) < size {
		lines = lines[1:]
	}
	return lines[max(len(lines)-most, 0):], nil
}

// examineLines judges the form of the lines and how their messages are found.
func examineLines(cfg *Config, lines []string, add adder) {
	parser, err := mtalog.New(cfg.MTA, mtalog.Options{})
	if err != nil {
		add("format", Bad, err.Error(), "set mta")
		return
	}
	c := NewCorrelator(CorrelatorOptions{LocalIP: ownAddress()})
	forms, facts, outcomes := map[string]int{}, 0, 0
	var f mtalog.Fact
	for _, line := range lines {
		forms[formOf([]byte(line))]++
		if parser.Parse([]byte(line), &f) {
			facts++
			if f.Kind == mtalog.Outcome {
				outcomes++
			}
			c.Observe(&f, time.Now())
		}
	}
	c.Flush()
	form := "unknown"
	for _, name := range []string{"traditional", "rfc3339", "rfc5424"} {
		if forms[name] > forms[form] {
			form = name
		}
	}
	switch {
	case len(lines) == 0 || len(lines) == 1 && lines[0] == "":
		add("format", Warn, "the log is empty", "send a message and run doctor again")
		return
	case form == "unknown":
		add("format", Bad, fmt.Sprintf("none of %d lines has a form the agent knows", len(lines)), "see whether log-path is the mail server's log; accepted are traditional syslog, RFC 3339 and RFC 5424")
	case facts == 0:
		add("format", Warn, fmt.Sprintf("%d lines of the form %s, none about a message of %s", len(lines), form, cfg.MTA), "see whether mta is right and the mail server has worked lately")
	default:
		add("format", Good, fmt.Sprintf("%s; %d of %d lines speak of messages, %d of them are outcomes", form, facts, len(lines), outcomes), "")
	}
	examineMessages(c.Counts(), add)
}

func examineMessages(n Counts, add adder) {
	found := n.ReturnPath + n.Header + n.MessageID + n.Chain
	detail := fmt.Sprintf("events found by return path %d, header %d, Message-ID %d, re-queued id %d; outcomes of other mail %d, of mail that came in before these lines %d",
		n.ReturnPath, n.Header, n.MessageID, n.Chain, n.Foreign, n.NotSeen)
	switch {
	case found == 0:
		add("messages", Warn, detail, "no message of Waypost lately, or its return path bounces+...@"+"sp-bounce... is rewritten: look at sender_canonical_maps, and log the header X-Sendpost-Message-UUID with header_checks (INFO)")
	case n.ReturnPath == 0:
		add("messages", Warn, detail, "the return path is rewritten on this server (sender_canonical_maps?); keeping it makes reports independent of header_checks")
	case n.OutcomesLost > 0:
		add("messages", Warn, fmt.Sprintf("%s; %d outcomes are missing from the log", detail, n.OutcomesLost), "log lines get lost: raise net.unix.max_dgram_qlen to 512 and see RateLimitBurst in journald.conf, or set maillog_file in Postfix")
	default:
		add("messages", Good, detail, "")
	}
}

// examineRotation looks for a rule that truncates the log.
func examineRotation(cfg *Config, dir string, add adder) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(b), cfg.LogPath) && strings.Contains(string(b), "copytruncate") {
			add("rotation", Warn, name+" names the log and uses copytruncate", "lines written between copy and truncation are lost to everyone: rotate by renaming instead")
			return
		}
	}
}

func examineState(cfg *Config, add adder) {
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		add("state", Bad, err.Error(), "create state-dir and give it to the agent's user")
		return
	}
	f, err := os.CreateTemp(cfg.StateDir, "doctor-*")
	if err != nil {
		add("state", Bad, err.Error(), "give state-dir to the agent's user")
		return
	}
	_, err = f.Write(make([]byte, 4096))
	err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	if err != nil {
		add("state", Bad, err.Error(), "see whether the disk of state-dir is full")
		return
	}
	add("state", Good, cfg.StateDir+" is writable", "")
}

// examineServer sends an empty report.
func examineServer(ctx context.Context, cfg *Config, add adder) {
	s, err := newShipper(cfg, "", nil, newStatus())
	if err != nil {
		add("server", Bad, err.Error(), "")
		return
	}
	defer s.client.CloseIdleConnections()
	a := s.post(ctx, nil)
	switch {
	case a.kind == taken:
		add("server", Good, fmt.Sprintf("%s takes the key, in %v", cfg.Endpoint, a.took.Round(time.Millisecond)), "")
	case a.kind == keyRefused:
		add("server", Bad, a.err.Error(), "create a new event key for this provider in Waypost and set api-key")
	case a.code == 0:
		add("server", Bad, a.err.Error(), "see whether endpoint is right and this machine may connect to it (DNS, firewall, certificate)")
	default:
		add("server", Bad, a.err.Error(), "see whether endpoint is the URL of Waypost itself and what answers there")
	}
	if a.dated && a.skew.Abs() > time.Minute {
		add("clock", Warn, fmt.Sprintf("the server's clock is %v ahead of this one", a.skew), "run a time service (chrony, systemd-timesyncd) here")
	} else if a.dated {
		add("clock", Good, "agrees with the server's", "")
	}
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// Place is where the agent is installed; the zero value examines nothing of it.
type Place struct {
	ConfigFile string // the file that configures the agent
	KeyFile    string // api-key-file
	KeyByFlag  bool   // the key was given on the command line
	User       string // whom the service runs as

	root string // of /etc, /proc, /run and /var, for tests
}

// Doctor looks at everything the agent depends on: its files and their modes,
// the log, its form and rotation, the journal before it, the mail server's
// settings, what can be correlated, the disk, the server and the key (by an
// empty report), and the clocks. It changes nothing and sends no event.
func Doctor(ctx context.Context, cfg Config, at Place) []Finding {
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
	examineSecrets(&at, add)
	var lines []string
	if cfg.Journald {
		examineJournalctl(ctx, &at, add)
	} else {
		lines = examineLog(ctx, &cfg, &at, add)
		examineRotation(&cfg, at.path("/etc/logrotate.d"), add)
	}
	direct := examinePostfix(ctx, &cfg, add)
	examineJournal(cfg.MTA, &at, direct || cfg.Journald, lines, add)
	examineState(ctx, &cfg, &at, add)
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

// examineLog looks at the log and gives its last lines.
func examineLog(ctx context.Context, cfg *Config, at *Place, add adder) []string {
	s, err := openSource(cfg.LogPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add("log", Bad, cfg.LogPath+" does not exist", "set log-path to where your mail server logs (postconf maillog_file; /var/log/maillog on Red Hat systems)")
		return nil
	case errors.Is(err, fs.ErrPermission):
		add("log", Bad, cfg.LogPath+" may not be read by this user", "add the agent's user to the log's group (adm on Debian) or grant it read access: setfacl -m u:waypost-agent:r "+cfg.LogPath)
		return nil
	case err != nil:
		add("log", Bad, err.Error(), "see whether log-path names a regular file")
		return nil
	}
	defer s.close()
	if !at.serviceMay(ctx, "-r", cfg.LogPath) {
		add("log", Bad, fmt.Sprintf("%s may not be read by %s, whom the service runs as", cfg.LogPath, at.User), "add that user to the log's group (usermod -aG adm "+at.User+" on Debian) or grant it read access: setfacl -m u:"+at.User+":r "+cfg.LogPath)
	}
	age := time.Since(s.modified()).Round(time.Second)
	if age > 24*time.Hour {
		add("log", Warn, fmt.Sprintf("%s was last written to %v ago", cfg.LogPath, age), "see whether the mail server logs somewhere else")
	} else {
		add("log", Good, fmt.Sprintf("%s is readable, %d bytes, last written to %v ago%s", cfg.LogPath, s.size(), age, at.writers(cfg.LogPath)), "")
	}
	lines, err := lastLines(s, doctorLines)
	if err != nil {
		add("log", Bad, err.Error(), "see whether the disk is well")
		return nil
	}
	examineLines(cfg, lines, add)
	return lines
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
	found, share := n.ReturnPath+n.Header+n.MessageID+n.Chain, ""
	if all := found + n.Foreign + n.NotSeen; all > 0 {
		share = fmt.Sprintf("%d%% of outcomes lead to a message; ", 100*found/all)
	}
	detail := share + fmt.Sprintf("events found by return path %d, header %d, Message-ID %d, re-queued id %d; outcomes of other mail %d, of mail that came in before these lines %d",
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
	if n.Unknown() > 0 {
		examineUnknown(n, add)
	}
}

// examineUnknown says why outcomes lead to no message, the commonest cause
// first, when they are more than every tenth.
func examineUnknown(n Counts, add adder) {
	found := n.ReturnPath + n.Header + n.MessageID + n.Chain
	if 10*n.Unknown() <= found+n.Unknown() {
		return
	}
	foreign := fmt.Sprintf("%d are of mail that carries no trace of Waypost: other senders use this server too, or the return path is rewritten", n.Foreign)
	unseen := fmt.Sprintf("%d are of messages whose arrival is not in these lines: they came in before, or lines get lost", n.NotSeen)
	detail := foreign + "; " + unseen
	if n.NotSeen > n.Foreign {
		detail = unseen + "; " + foreign
	}
	grade := Good
	if found == 0 {
		grade = Warn
	}
	add("unknown", grade, detail, map[Grade]string{Warn: "look at one of them: waypost-agent explain QUEUEID"}[grade])
}

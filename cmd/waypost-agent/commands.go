package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/waypost-mail/waypost/internal/agent"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// memoryLimit makes the garbage collector work harder before the process holds
// the 64 MiB it promises to stay below, program text included.
const memoryLimit = 44 << 20

type runCommand struct {
	options
}

// Run follows the log until the process is told to stop.
func (r *runCommand) Run(c *console) error {
	cfg, err := r.agentConfig(c)
	if err != nil {
		return err
	}
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(memoryLimit)
	cfg.Log = slog.New(slog.NewTextHandler(c.err, nil))
	if c.keyInArgs() {
		cfg.Log.Warn("the key was given on the command line and shows in the process list: set api-key in " + configFile + ", or api-key-file, or WAYPOST_AGENT_API_KEY")
	}
	return agent.Run(c.ctx, cfg)
}

type parseCommand struct {
	File string `help:"The log, gzipped or not; - is standard input." required:"" placeholder:"FILE"`
	MTA  string `name:"mta" help:"The mail server." default:"postfix"`
}

// Run prints events and ends with a summary on standard error.
func (p *parseCommand) Run(c *console) error {
	n, err := agent.ParseFile(c.ctx, p.File, p.MTA, c.in, c.out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.err, "found by return path %d, header %d, Message-ID %d, re-queued id %d; passed on %d; of other mail %d, arrival not in this file %d\n",
		n.ReturnPath, n.Header, n.MessageID, n.Chain, n.Hops, n.Foreign, n.NotSeen)
	return err
}

type checkLineCommand struct {
	Line []string `arg:"" optional:"" help:"The line; read from standard input when left out."`
	MTA  string   `name:"mta" help:"The mail server." default:"postfix"`
}

// Run explains a line.
func (l *checkLineCommand) Run(c *console) error {
	line := strings.Join(l.Line, " ")
	if line == "" {
		text, err := bufio.NewReaderSize(io.LimitReader(c.in, mtalog.MaxLine), 4096).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the line: %w", err)
		}
		line = text
	}
	text, err := agent.CheckLine(strings.TrimRight(line, "\r\n"), l.MTA)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.out, text)
	return err
}

type explainCommand struct {
	What    string `arg:"" name:"queueid|uuid" help:"A queue id of the mail server, or a message's UUID."`
	LogPath string `help:"The mail server's log; its archives are read as well." env:"WAYPOST_AGENT_LOG_PATH"`
	MTA     string `name:"mta" help:"The mail server." default:"postfix"`
}

// Run shows what is behind an event.
func (e *explainCommand) Run(c *console) error {
	if e.LogPath == "" {
		e.LogPath = agent.LogPath(e.MTA)
	}
	return agent.Explain(c.ctx, e.What, e.MTA, e.LogPath, c.out)
}

type doctorCommand struct {
	options
	JSON bool `name:"json" help:"Print the findings as JSON."`
}

// Run examines everything; the exit code is that of the worst finding.
func (d *doctorCommand) Run(c *console) error {
	cfg, err := d.agentConfig(c)
	place := agent.Place{ConfigFile: string(d.Config), KeyFile: d.APIKeyFile, KeyByFlag: c.keyInArgs(), User: "waypost-agent"}
	if place.ConfigFile == "" {
		place.ConfigFile = configFile
	}
	findings := []agent.Finding{}
	if err != nil {
		findings = append(findings, agent.Finding{Check: "configuration", Grade: agent.Bad, Detail: err.Error(), Remedy: "correct it and run doctor again, as root when it is a matter of permission"})
	} else {
		findings = agent.Doctor(c.ctx, cfg, place)
	}
	if d.JSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(findings); err != nil {
			return fmt.Errorf("print findings: %w", err)
		}
	} else {
		for _, f := range findings {
			_, _ = fmt.Fprintf(c.out, "%-8s %-14s %s\n", f.Grade, f.Check, f.Detail)
			if f.Remedy != "" {
				_, _ = fmt.Fprintf(c.out, "%-8s %-14s -> %s\n", "", "", f.Remedy)
			}
		}
	}
	if code := agent.ExitCode(findings); code != 0 {
		return exitCode(code)
	}
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(c *console) error {
	_, err := fmt.Fprintln(c.out, version)
	return err
}

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The longest waits. Nothing takes nearly as long on an idle machine.
const (
	waitStart = time.Minute
	waitMail  = 8 * time.Minute // passes at once unless the machine is busy with something else
	waitLease = 8 * time.Minute
)

// keys is what init prints.
type keys struct {
	Account      string `json:"accountApiKey"`
	SubAccount   string `json:"subAccountApiKey"`
	SubAccountID int64  `json:"subAccountId"`
	DashboardURL string `json:"dashboardURL"`
	Password     string `json:"dashboardPassword"`
}

// server is a real waypost serve with an installation of its own.
type server struct {
	keys
	dir  string // data directory
	addr string // of HTTP, the same after a restart
	args []string
	proc *process

	noPrivate bool // start without --allow-private-networks
}

// install makes an installation, in SQLite or in the database named.
func install(t testing.TB, database string) *server {
	t.Helper()
	s := &server{dir: filepath.Join(openDir(t), "data")}
	args := []string{"init", "--json", "--data", s.dir}
	if database != "" {
		args = append(args, "--database", database)
		s.args = []string{"--database", database}
	}
	if err := json.Unmarshal([]byte(mustRun(t, waypost(), args...)), &s.keys); err != nil {
		t.Fatalf("init --json: %v", err)
	}
	return s
}

// serve starts the server on a free port and waits until it is ready.
func (s *server) serve(t testing.TB, resolver string) {
	t.Helper()
	s.addr = loopback(freePort(t))
	s.args = append(s.args,
		"--data", s.dir, "--http", s.addr, "--smtp", "127.0.0.1:0", "--submission", "127.0.0.1:0",
		"--public-url", "http://"+publicHost, "--bounce-host", bounceHost, "--dns-resolver", resolver,
		"--retry-schedule", "1s,1s,2s,2s,2s", "--lease", "30s")
	if !s.noPrivate {
		s.args = append(s.args, "--allow-private-networks")
	}
	s.restart(t)
}

// restart starts the server again after kill or stop, at the same address.
func (s *server) restart(t testing.TB) {
	t.Helper()
	dir := filepath.Dir(s.dir)
	skip := size(filepath.Join(dir, "waypost.out"))
	s.proc = startOurs(t, dir, "waypost", waypost(), append([]string{"serve"}, s.args...)...)
	line := s.proc.line(t, "ready http=", skip)
	if !strings.Contains(line+" ", "http="+s.addr+" ") {
		t.Fatalf("the server says %q, want http=%s", line, s.addr)
	}
}

// startOurs starts a program under test and looks, at its end, for words in
// its output that it must never write.
func startOurs(t testing.TB, dir, name, program string, args ...string) *process {
	t.Helper()
	p := start(t, dir, name, command(program, args...))
	t.Cleanup(func() {
		p.stop()
		for _, word := range []string{"DATA RACE", "panic:", "BUG:"} {
			if out := string(after(p.log, 0)); strings.Contains(out, word) {
				t.Errorf("%s wrote %q:\n%s", name, word, tail(p.log, 8<<10))
			}
		}
	})
	return p
}

// agent is a real waypost-agent run beside a Postfix.
type agent struct {
	dir, health string
	args        []string
	proc        *process
}

// startAgent follows a log for the provider that the key belongs to.
func startAgent(t testing.TB, s *server, key, mailLog string) *agent {
	t.Helper()
	a := &agent{dir: openDir(t), health: loopback(freePort(t))}
	a.args = []string{
		"run", "--api-key", key, "--endpoint", "http://" + s.addr, "--mta", "postfix", "--log-path", mailLog,
		"--state-dir", filepath.Join(a.dir, "state"), "--health-addr", a.health, "--flush-interval", "250ms", "--from-start",
	}
	a.restart(t)
	return a
}

func (a *agent) restart(t testing.TB) {
	t.Helper()
	a.proc = startOurs(t, a.dir, "waypost-agent", agentBin(), a.args...)
	eventually(t, "the agent's health page", waitStart, func() bool {
		if a.proc.ended() {
			t.Fatalf("the agent ended (%v):\n%s", a.proc.cmd.ProcessState, tail(a.proc.log, 4<<10))
		}
		_, ok := a.look(t)
		return ok
	})
}

// agentHealth is the part of the agent's health page that tests read.
type agentHealth struct {
	Status          string           `json:"status"`
	LogFormat       string           `json:"logFormat"`
	Position        int64            `json:"position"`
	LagBytes        int64            `json:"lagBytes"`
	LastError       string           `json:"lastError"`
	Buffered        int64            `json:"buffered"`
	Held            int              `json:"held"`
	Sent            int64            `json:"sent"`
	Rejected        int64            `json:"rejected"`
	Dropped         int64            `json:"dropped"`
	ParseErrors     int64            `json:"parseErrors"`
	UnknownQueueIDs int64            `json:"unknownQueueIds"`
	CorrelatedBy    map[string]int64 `json:"correlatedBy"`
	OutcomesLost    int64            `json:"outcomesLost"`
}

func (a *agent) look(t testing.TB) (agentHealth, bool) {
	t.Helper()
	var h agentHealth
	status, err := fetch(t, "http://"+a.health+"/health", &h)
	return h, err == nil && status > 0
}

// idle waits until the agent has read the log to its end and the server has
// all that it read.
func (a *agent) idle(t testing.TB, mailLog string) agentHealth {
	t.Helper()
	var h agentHealth
	if !within(t.Context(), waitMail, func() bool {
		var ok bool
		h, ok = a.look(t)
		return ok && h.Position == size(mailLog) && h.LagBytes == 0 && h.Buffered == 0 && h.Held == 0
	}) {
		t.Fatalf("the agent never came to rest: %+v, log of %d bytes", h, size(mailLog))
	}
	return h
}

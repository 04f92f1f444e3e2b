// Package packaging_test installs the agent's package and runs the server's
// install script on the machine the tests run on, and takes both away again. It
// needs root and dpkg, and skips where an agent is installed already.
package packaging_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/server"
)

const (
	binary  = "/usr/bin/waypost-agent"
	conf    = "/etc/waypost-agent/config.yaml"
	state   = "/var/lib/waypost-agent"
	unit    = "waypost-agent.service"
	maxSize = 10_000_000 // bytes of the agent's binary
)

// command runs a program to its end and gives what it printed.
func command(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute) // clean-up comes after t.Context ends
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(t, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// build makes the packages of this machine's architecture, once.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "waypost-packaging-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("packaging/build.sh", "agent")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "VERSION=0.9.1", "ARCHES="+runtime.GOARCH, "OUT="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(dir, "agent"), nil
})

// packages gives their directory, or skips the test where it could do harm.
func packages(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it installs a package")
	}
	for _, program := range []string{"dpkg", "runuser", "curl", "sha256sum"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	for _, path := range []string{binary, conf, state} {
		if _, err := os.Stat(path); err == nil {
			t.Skipf("%s exists: an agent is installed on this machine", path)
		}
	}
	if _, err := os.Stat("../../bin/tools/nfpm"); err != nil {
		if out, err := command(t, nil, "go", "-C", "../../tools/nfpm", "mod", "download"); err != nil {
			t.Skipf("nfpm cannot be fetched: %v\n%s", err, out)
		}
	}
	dir, err := build()
	if err != nil {
		t.Fatalf("build the packages: %v", err)
	}
	t.Cleanup(func() { purge(t) })
	return dir
}

// purge leaves the machine as it was.
func purge(t *testing.T) {
	t.Helper()
	if out, err := command(t, nil, "dpkg", "-P", "waypost-agent"); err != nil {
		t.Errorf("purge: %v\n%s", err, out)
	}
	for _, path := range []string{binary, conf, state, filepath.Dir(conf), "/lib/systemd/system/" + unit, "/etc/systemd/system/" + unit} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there after the purge", path)
		}
	}
	if out, err := command(t, nil, "getent", "passwd", "waypost-agent"); err == nil {
		t.Errorf("the user is still there after the purge: %s", out)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := build(); err == nil && os.Geteuid() == 0 {
		_ = os.RemoveAll(filepath.Dir(dir))
	}
	os.Exit(code)
}

// sink takes reports.
type sink struct {
	mu     sync.Mutex
	keys   map[string]bool
	events []waypost.ReportItem
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var rep waypost.Report
	z, err := gzip.NewReader(r.Body)
	if err == nil {
		err = json.NewDecoder(z).Decode(&rep)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[r.Header.Get("X-SP-Event-ApiKey")] = true
	s.events = append(s.events, rep.Items...)
	reply := waypost.ReportReply{Accepted: len(rep.Items)}
	for i := range rep.Items {
		reply.Results = append(reply.Results, waypost.ReportResult{Index: i, Status: waypost.ReportAccepted})
	}
	_ = json.NewEncoder(w).Encode(reply)
}

// log writes a mail log that the group adm may read, as on Debian, in a
// directory that everyone may enter.
func mailLog(t *testing.T, content string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/log", "waypost-test-") //nolint:usetesting // a place that other users may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "chmod", "0755", dir)
	must(t, "chgrp", "adm", file)
	must(t, "chmod", "0640", file)
	return file
}

const lines = `Nov 24 04:00:01 mta1 postfix/qmgr[1]: 000019EE5BF: from=<bounces+018f3c7e-1111-7222-8333-000000000001+7@sp-bounce.example.com>, size=700, nrcpt=1 (queue active)
Nov 24 04:00:02 mta1 postfix/smtp[1]: 000019EE5BF: to=<ann@dest.example>, relay=mx.dest.example[203.0.113.5]:25, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Nov 24 04:00:02 mta1 postfix/qmgr[1]: 000019EE5BF: removed
`

// startAgent runs what the unit's ExecStart says, as its user.
func startAgent(t *testing.T, unitFile string) (stop func()) {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			settings[name] = value
		}
	}
	if settings["User"] != "waypost-agent" || settings["ExecStart"] == "" {
		t.Fatalf("the unit names no user or program: %v", settings)
	}
	args := append([]string{"-u", settings["User"], "--"}, strings.Fields(settings["ExecStart"])...)
	cmd := exec.CommandContext(t.Context(), "setpriv", append([]string{"--reuid", settings["User"], "--regid", settings["User"], "--init-groups", "--no-new-privs", "--bounding-set=-all"}, args[3:]...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test failed before it stopped the agent
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Logf("the agent said:\n%s", out.String())
		}
	})
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil || bytes.Contains(line, []byte("k-secret")) {
		t.Errorf("the key shows in the process list: %q %v", line, err)
	}
	return func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the agent ended with %v:\n%s", err, out.String())
		}
		if strings.Contains(out.String(), "k-secret") {
			t.Errorf("the key is in the agent's log:\n%s", out.String())
		}
	}
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited two minutes for %s", what)
		}
	}
}

func setKeys(t *testing.T, text string) {
	t.Helper()
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestPackage installs the .deb, runs the agent as its unit would, and removes
// and purges it.
func TestPackage(t *testing.T) {
	dir := packages(t)
	if info, err := os.Stat(filepath.Join(dir, "waypost-agent-linux-"+runtime.GOARCH)); err != nil || info.Size() > maxSize {
		t.Errorf("the agent's binary: %v, %d bytes; at most %d", err, info.Size(), maxSize)
	}
	if out, err := command(t, nil, "ldd", filepath.Join(dir, "waypost-agent-linux-"+runtime.GOARCH)); err == nil {
		t.Errorf("the agent's binary is not static: %s", out)
	}
	out := must(t, "dpkg", "-i", filepath.Join(dir, "waypost-agent-"+runtime.GOARCH+".deb"))
	if !strings.Contains(out, "set api-key and endpoint") {
		t.Errorf("the installation does not say what to do next:\n%s", out)
	}
	if got := must(t, "stat", "-c", "%a %U %G", conf, state); got != "640 root waypost-agent\n700 waypost-agent waypost-agent\n" {
		t.Errorf("configuration and state are %q", got)
	}
	if got := must(t, "id", "-nG", "waypost-agent"); !strings.Contains(got, "adm") {
		t.Errorf("the user is in the groups %q", got)
	}
	if got := must(t, binary, "version"); got != "0.9.1\n" {
		t.Errorf("version %q", got)
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		if out, err := command(t, nil, "systemd-analyze", "verify", "/lib/systemd/system/"+unit); err != nil || strings.Contains(out, unit) {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	}
	everyKey(t)

	s := &sink{keys: map[string]bool{}}
	web := httptest.NewServer(s)
	defer web.Close()
	setKeys(t, fmt.Sprintf("\napi-key: k-secret\nendpoint: %s\nlog-path: %s\nfrom-start: true\nflush-interval: 10ms\nhealth-addr: 127.0.0.1:0\n", web.URL, mailLog(t, lines)))
	stop := startAgent(t, "/lib/systemd/system/"+unit)
	waitFor(t, "the event", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.events) > 0
	})
	stop()
	s.mu.Lock()
	if s.events[0].MessageID != "018f3c7e-1111-7222-8333-000000000001" || !s.keys["k-secret"] {
		t.Errorf("events %+v with keys %v", s.events, s.keys)
	}
	s.mu.Unlock()

	must(t, "dpkg", "-i", filepath.Join(dir, "waypost-agent-"+runtime.GOARCH+".deb")) // an upgrade keeps what is configured
	if b, err := os.ReadFile(conf); err != nil || !strings.Contains(string(b), "api-key: k-secret") {
		t.Errorf("the configuration after an upgrade: %v\n%s", err, b)
	}
	must(t, "dpkg", "-r", "waypost-agent")
	if _, err := os.Stat(binary); err == nil {
		t.Error("the binary is still there after the removal")
	}
	if _, err := os.Stat(conf); err != nil {
		t.Errorf("the removal took the configuration: %v", err)
	}
}

// everyKey holds the configuration file against the flags of the program.
func everyKey(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	help := must(t, binary, "run", "--help")
	documented := 0
	for line := range strings.SplitSeq(help, "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "--"); ok {
			name = name[:strings.IndexFunc(name+" ", func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') })]
			if documented++; name != "config" && !strings.Contains(string(b), "\n#"+name+": ") {
				t.Errorf("%s does not document %s", conf, name)
			}
		}
	}
	if documented < 10 {
		t.Errorf("found %d flags in\n%s", documented, help)
	}
}

// TestInstallScript runs the script of a real server, as an operator would.
func TestInstallScript(t *testing.T) {
	dir := packages(t)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan server.Ready, 1), make(chan error, 1)
	shelf := t.TempDir()
	go func() {
		done <- server.Run(ctx, server.Config{
			Data: filepath.Join(t.TempDir(), "data"), HTTP: "127.0.0.1:0", BounceHost: "bounce.example.com", DNSResolver: "127.0.0.1:1",
			AgentPackages: shelf, Log: slog.New(slog.DiscardHandler), Version: "test",
		}, func(r server.Ready) { ready <- r })
	}()
	var r server.Ready
	select {
	case r = <-ready:
	case err := <-done:
		t.Fatalf("the server did not start: %v", err)
	}
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	url := "http://" + r.HTTP
	log := mailLog(t, lines)
	run := func(env []string, args ...string) (string, error) {
		t.Helper()
		return command(t, env, "sh", append([]string{"-c", `curl -fsSL "$0/agent/install.sh" | sh -s -- "$@"`, url}, args...)...)
	}
	if out, err := run(nil, "--api-key", "k-secret"); err == nil || !strings.Contains(out, "make packages") {
		t.Errorf("without packages: %v\n%s", err, out)
	}
	must(t, "cp", "-r", dir+"/.", shelf)

	const odd = `k-sec'ret"\&|$x`
	for _, way := range []struct {
		args []string
		unit string
	}{
		{nil, "/lib/systemd/system/" + unit},
		{[]string{"--binary"}, ""},
	} {
		out, err := run([]string{"WAYPOST_AGENT_API_KEY=" + odd}, append(way.args, "--log-path="+log)...)
		if err != nil || strings.Contains(out, odd) || !strings.Contains(out, "systemd does not run here") && !strings.Contains(out, "started") {
			t.Fatalf("install %v: %v\n%s", way.args, err, out)
		}
		if !strings.Contains(out, "refuses the key") || !strings.Contains(out, "is readable") { // doctor: the server works, the key is made up
			t.Errorf("install %v: doctor did not reach the server or the log:\n%s", way.args, out)
		}
		if out, err = run(nil, append(way.args, "--api-key", "k-second", "--mta", "postfix")...); err != nil || strings.Contains(out, "k-second") {
			t.Fatalf("install again: %v\n%s", err, out)
		}
		b, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"\napi-key: 'k-second'\n", "\nendpoint: '" + url + "'\n", "\nlog-path: '" + log + "'\n", "\nmta: 'postfix'\n", "\n#api-key-file: \"\"\n"} {
			if strings.Count(string(b), want) != 1 {
				t.Errorf("the configuration has not once %q:\n%s", want, b)
			}
		}
		if got := must(t, "stat", "-c", "%a %U %G", conf); got != "640 root waypost-agent\n" {
			t.Errorf("the configuration is %q", got)
		}
		if out, err := run(nil, "--uninstall"); err != nil || !strings.Contains(out, "removed") {
			t.Errorf("uninstall %v: %v\n%s", way.args, err, out)
		}
		if _, err := os.Stat(binary); err == nil {
			t.Error("the binary is still there after --uninstall")
		}
		if out, err := run(nil, "--uninstall", "--purge"); err != nil {
			t.Errorf("uninstall and purge %v: %v\n%s", way.args, err, out)
		}
		if _, err := os.Stat(filepath.Dir(conf)); err == nil {
			t.Errorf("%s is still there after --uninstall --purge", filepath.Dir(conf))
		}
	}

	// A package that is not what the script's checksum says is not installed.
	var kept []byte
	name := filepath.Join(shelf, "waypost-agent-"+runtime.GOARCH+".deb")
	script := must(t, "curl", "-fsSL", url+"/agent/install.sh")
	kept, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, append(kept, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "install.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, nil, "sh", file, "--api-key", "k-secret"); err == nil || !strings.Contains(out, "nothing was installed") {
		t.Errorf("a changed package: %v\n%s", err, out)
	}
	if _, err := os.Stat(binary); err == nil {
		t.Error("a changed package was installed")
	}
	if resp, err := http.Get(url + "/agent/download/binary/" + runtime.GOARCH); err != nil {
		t.Error(err)
	} else {
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || n < 1<<20 || n > maxSize {
			t.Errorf("the binary has %d bytes: %v", n, err)
		}
		_ = resp.Body.Close()
	}
}

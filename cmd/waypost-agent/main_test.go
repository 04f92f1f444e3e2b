package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

// TestMain lets the test binary be the agent when it is asked to.
func TestMain(m *testing.M) {
	if os.Getenv("WAYPOST_AGENT_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// agentProcess starts the real program and waits for its ready line.
func agentProcess(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"run"}, args...)...)
	cmd.Env = append(os.Environ(), "WAYPOST_AGENT_TEST_MAIN=1", "WAYPOST_AGENT_API_KEY=k")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ready health=127.0.0.1:") {
			go func() {
				for lines.Scan() {
				}
			}()
			return cmd
		}
	}
	t.Fatal("the agent ended before it was ready")
	return nil
}

// server counts distinct events.
func server(t testing.TB) (url string, seen func() int) {
	t.Helper()
	var mu sync.Mutex
	ids := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var rep waypost.Report
		if err := json.NewDecoder(z).Decode(&rep); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		reply := waypost.ReportReply{Accepted: len(rep.Items)}
		for i, it := range rep.Items {
			ids[it.EventID] = true
			reply.Results = append(reply.Results, waypost.ReportResult{Index: i, Status: waypost.ReportAccepted})
		}
		_ = json.NewEncoder(w).Encode(reply)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(ids)
	}
}

const message = `Nov 24 04:00:01 mta1 postfix/qmgr[1]: %05X9EE5BF: from=<bounces+018f3c7e-1111-7222-8333-%012[1]d+7@sp-bounce.example.com>, size=700, nrcpt=1 (queue active)
Nov 24 04:00:02 mta1 postfix/smtp[1]: %05[1]X9EE5BF: to=<u%[1]d@dest.example>, relay=mx.dest.example[203.0.113.5]:25, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Nov 24 04:00:02 mta1 postfix/qmgr[1]: %05[1]X9EE5BF: removed
`

// TestKill kills the real process again and again while a log is written and
// rotated, then ends it by SIGTERM: no event may be missing.
func TestKill(t *testing.T) {
	url, seen := server(t)
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--endpoint", url, "--log-path", log, "--state-dir", filepath.Join(dir, "state"), "--health-addr", "127.0.0.1:0", "--flush-interval", "10ms"}
	total := 0
	for round := range 6 {
		cmd := agentProcess(t, args...)
		for range 400 {
			if _, err := fmt.Fprintf(file, message, total); err != nil {
				t.Fatal(err)
			}
			total++
		}
		if round == 5 {
			waitFor(t, func() bool { return seen() == total })
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
			break
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		if round%2 == 1 {
			if err := os.Rename(log, fmt.Sprintf("%s.%d", log, 3-round/2)); err != nil {
				t.Fatal(err)
			}
			_ = file.Close()
			if file, err = os.Create(log); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if seen() != total {
		t.Errorf("%d of %d events", seen(), total)
	}
}

func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("waited a minute")
		}
	}
}

// call runs a command in this process.
func call(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(&console{ctx: t.Context(), in: strings.NewReader(stdin), out: &o, err: &e}, args)
	return code, o.String(), e.String()
}

func TestConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	f := func(yaml, want string, args ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := call(t, "", append([]string{"run", "--state-dir", dir, "--config", file}, args...)...)
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%q %v: exit code %d, %q; want %q", yaml, args, code, errs, want)
		}
	}
	f("", "api-key is missing")
	f("api-key: k", "endpoint is missing")
	f("api-key: k\nbatch-sise: 3", `unknown key "batch-sise"`)
	f("api-key: k\nendpoint: [1]", "endpoint must be a single value")
	f("api-key: k\nendpoint: ftp://x", `scheme "ftp"`)
	f("api-key: k\nendpoint: https://user:pass@x", "user name")
	f("api-key: k\nendpoint: https://x\nbatch-size: 5000", "batch-size is 5000")
	f("api-key: k\nendpoint: https://x\nflush-interval: 1ms", "flush-interval is 1ms")
	f("api-key: k\nendpoint: https://x\nspool-size: 64GiBB", "no size")
	f("api-key: k\nendpoint: https://x\nmta: mailer", `mta "mailer"`)
	f("api-key: k\nendpoint: https://x", "api-key-file", "--api-key-file", filepath.Join(dir, "none"))
	f("api-key: k\nendpoint: https://x\nhealth-addr: 9113", "health-addr")
	f("api-key: k\nendpoint: https://x\nbatch-size: 5000", "batch-size is 6000", "--batch-size", "6000")
	t.Setenv("WAYPOST_AGENT_BATCH_SIZE", "7000")
	f("api-key: k\nendpoint: https://x\nbatch-size: 5000", "batch-size is 7000")
}

func TestCommands(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(log, fmt.Appendf(nil, message, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, code int, stdin string, args ...string) {
		t.Helper()
		got, out, errs := call(t, stdin, args...)
		if got != code || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d, %q, %q; want %d, %q", args, got, out, errs, code, want)
		}
	}
	line, _, _ := strings.Cut(fmt.Sprintf(message, 1), "\n")
	f("dev\n", 0, "", "version")
	f(`"event_type":"delivered"`, 0, "", "parse", "--file", log)
	f("by its return path", 0, line, "check-line")
	f("by its return path", 0, "", "check-line", line)
	f("says nothing", 0, "", "check-line", "hello")
	f(`event {"event_id"`, 0, "", "explain", "018f3c7e-1111-7222-8333-000000000001", "--log-path", log)
	f(`event {"event_id"`, 0, "", "explain", "000019EE5BF", "--log-path", log)
	f("", 1, "", "explain", "FFFFF9EE5BF", "--log-path", log)
	f("", 1, "", "nonsense")
	url, _ := server(t)
	doctor := []string{"doctor", "--api-key", "k", "--endpoint", url, "--state-dir", t.TempDir(), "--log-path", log}
	f("warning  key", 1, "", doctor...) // on the command line
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	doctor[1], doctor[2] = "--api-key-file", key
	f("takes the key", 0, "", doctor...)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	f("every user of this machine may get at the key", 2, "", doctor...)
	f("read api-key-file", 2, "", "doctor", "--api-key-file", key+"2", "--endpoint", url)
	doctor[4] = "http://127.0.0.1:1"
	f("problem  server", 2, "", doctor...)
	f(`"grade": "problem"`, 2, "", append(doctor, "--json")...)
}

// TestKeyInArguments wants a warning that does not repeat the key.
func TestKeyInArguments(t *testing.T) {
	f := func(want bool, args ...string) {
		t.Helper()
		code, _, errs := call(t, "", append([]string{"run", "--endpoint", "https://waypost.invalid", "--health-addr", "nowhere"}, args...)...)
		if code != 1 || strings.Contains(errs, "process list") != want || strings.Contains(errs, "k-secret") {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
	f(true, "--api-key", "k-secret")
	f(true, "--api-key=k-secret")
	t.Setenv("WAYPOST_AGENT_API_KEY", "k-secret")
	f(false)
}

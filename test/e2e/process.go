package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/test/ports"
)

// process is a program that a test runs, in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with both of its outputs
	done chan struct{} // closed when it has ended
}

// start runs a program until the test ends or stop or kill is called. Its
// output goes to a file in dir, and to the test's log when the test fails.
func start(t testing.TB, dir, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, log: filepath.Join(dir, name+".out"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // the state is read from cmd.ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the end of what %s wrote:\n%s", name, tail(p.log, 4<<10))
		}
	})
	return p
}

// command makes a command that outlives the test's context: it is stopped by
// start's cleanup, in order.
func command(name string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), name, args...)
}

// stop asks the program to end, then ends its group by force; it returns the
// exit code, -1 after a signal.
func (p *process) stop() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
	}
	p.kill()
	return p.cmd.ProcessState.ExitCode()
}

// kill ends the program and its group at once, as kill -9 does.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// ended tells whether the program has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// line waits for an output line with the prefix, written after the first skip
// bytes.
func (p *process) line(t testing.TB, prefix string, skip int64) string {
	t.Helper()
	var found string
	eventually(t, p.name+" to write "+prefix, time.Minute, func() bool {
		over := p.ended()
		for line := range strings.SplitSeq(string(after(p.log, skip)), "\n") {
			if strings.HasPrefix(line, prefix) {
				found = line
				return true
			}
		}
		if over {
			t.Fatalf("%s ended (%v):\n%s", p.name, p.cmd.ProcessState, tail(p.log, 4<<10))
		}
		return false
	})
	return found
}

// eventually polls until ok holds and fails the test after the limit.
func eventually(t testing.TB, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	if !within(t.Context(), limit, ok) {
		t.Fatalf("waited %v in vain for %s", limit, what)
	}
}

func within(ctx context.Context, limit time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// run runs a program to its end and gives its exit code and outputs.
func run(t testing.TB, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// mustRun is run for programs that must succeed.
func mustRun(t testing.TB, name string, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// need finds an installed program, or skips the test and names its package.
func need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, ok := find(program)
	if !ok {
		t.Skipf("skipped: %s is not installed (Debian: apt-get install %s)", program, debianPackage)
	}
	return path
}

// find looks for a program on the path and where Debian keeps daemons.
func find(program string) (string, bool) {
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/bin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// openDir is a temporary directory that daemons which give up root can pass.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// freePort is a loopback port that nobody else gets (package ports).
func freePort(t testing.TB) int {
	t.Helper()
	port, err := ports.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// after is what a file holds behind its first skip bytes.
func after(path string, skip int64) []byte {
	b, err := os.ReadFile(path)
	if err != nil || int64(len(b)) < skip {
		return nil
	}
	return b[skip:]
}

func tail(path string, n int) string {
	b := after(path, 0)
	return string(b[max(0, len(b)-n):])
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

package conformance

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/test/ports"
)

// patience is how long a condition may take on a busy machine.
const patience = 2 * time.Minute

// process is a program that a test runs, in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	log  string        // file with both of its outputs
	done chan struct{} // closed when it has ended
}

// start runs a program until the test ends. Its output goes to a file in dir.
func start(t testing.TB, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: filepath.Join(dir, "output"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended shows in its output
		close(p.done)
	}()
	t.Cleanup(p.stop)
	return p
}

// command makes a command that outlives the test's context; start's cleanup
// ends it.
func command(name string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), name, args...)
}

// stop asks the program to end and then ends its group by force.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// eventually polls until ok holds and fails the test when it never does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// awaitPorts waits until somebody listens on every port.
func awaitPorts(t testing.TB, p *process, ports map[string]int) {
	t.Helper()
	for name, port := range ports {
		eventually(t, "port "+name, func() bool {
			if p.ended() {
				t.Fatalf("%s ended:\n%s", p.cmd.Path, tail(p.log))
			}
			d := net.Dialer{Timeout: 5 * time.Second}
			c, err := d.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return false
			}
			_ = c.Close()
			return true
		})
	}
}

// run runs a program that must succeed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// freePorts are loopback ports that nobody else gets (package ports), by name.
func freePorts(t testing.TB, names ...string) map[string]int {
	t.Helper()
	taken := map[string]int{}
	for _, name := range names {
		port, err := ports.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		taken[name] = port
	}
	return taken
}

// openDir is a temporary directory that daemons which give up root can enter.
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

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// tail is the end of a file, for a failure's explanation.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

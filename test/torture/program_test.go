package torture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/test/ports"
)

// patience bounds every wait for a condition: far more than a busy machine
// needs.
const patience = 4 * time.Minute

// binaries is where TestMain put the two programs.
var binaries string

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "waypost-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// As customers have them: test/e2e runs them with the race detector.
	args := []string{
		"build", "-o", dir + string(os.PathSeparator),
		"github.com/waypost-mail/waypost/cmd/waypost", "github.com/waypost-mail/waypost/cmd/waypost-agent",
	}
	if out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs under test: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	return m.Run()
}

// program is one of ours that runs, dies and runs again, always with the same
// arguments.
type program struct {
	name, log string
	args      []string
	ready     string // begins the line that says it is up

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	starts []time.Duration // from the command to that line
}

func newProgram(t *testing.T, dir, name, ready string, args ...string) *program {
	t.Helper()
	p := &program{name: name, log: filepath.Join(dir, name+".out"), args: args, ready: ready}
	t.Cleanup(func() {
		p.kill()
		out, err := os.ReadFile(p.log)
		if err != nil {
			t.Error(err)
		}
		for _, word := range []string{"DATA RACE", "panic:", "BUG:"} {
			if strings.Contains(string(out), word) {
				t.Errorf("%s wrote %q", name, word)
			}
		}
		if t.Failed() {
			t.Logf("the end of what %s wrote:\n%s", name, out[max(0, len(out)-6<<10):])
		}
	})
	return p
}

// start runs the program until it says that it is up.
func (p *program) start(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	skip, err := out.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), filepath.Join(binaries, p.args[0]), p.args[1:]...) //nolint:gosec // ours
	cmd.Stdout, cmd.Stderr = out, out
	ownGroup(cmd)
	began, done := time.Now(), make(chan struct{})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // its state is in cmd.ProcessState
		close(done)
	}()
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	eventually(t, p.name+" to be up", func() bool {
		b, err := os.ReadFile(p.log)
		if err == nil && strings.Contains("\n"+string(b[min(int64(len(b)), skip):]), "\n"+p.ready) {
			return true
		}
		if p.ended() {
			t.Fatalf("%s ended by itself: %v", p.name, cmd.ProcessState)
		}
		return false
	})
	p.starts = append(p.starts, time.Since(began))
}

// kill ends the program as kill -9 does.
func (p *program) kill() {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
}

// stop ends the program in order.
func (p *program) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s ended with code %d", p.name, code)
		}
	case <-time.After(patience):
		t.Errorf("%s does not end", p.name)
		p.kill()
	}
}

func (p *program) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// startTimes are the median and the longest time of a start.
func (p *program) startTimes() string {
	all := slices.Clone(p.starts)
	slices.Sort(all)
	return fmt.Sprintf("%d starts, median %v, longest %v", len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}

// eventually polls until ok holds; the test fails when it never does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !within(t.Context(), ok) {
		t.Fatalf("waited %v in vain for %s", patience, what)
	}
}

func within(ctx context.Context, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
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

func port(t *testing.T) string {
	t.Helper()
	n, err := ports.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", n)
}

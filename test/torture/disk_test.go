package torture

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestDisk takes the disk from under a running server: the space, fsync, and
// every write.
func TestDisk(t *testing.T) {
	t.Parallel()
	disk := mountSmall(t)
	w := newWorld(t, "", 1, 0, filepath.Join(disk, "data"))
	stop := w.send(t)
	faults := []fault{{"full", func(t *testing.T) func() { return fill(t, disk) }}}
	if canTrace(t, w.nodes[0]) {
		faults = append(faults,
			fault{"failing fsync", func(t *testing.T) func() { return w.nodes[0].inject(t, "fsync,fdatasync", "EIO") }},
			fault{"unwritable", func(t *testing.T) func() { return w.nodes[0].inject(t, "pwrite64,ftruncate,fallocate", "EROFS") }})
	}
	r := &report{name: fmt.Sprintf("a bad disk under SQLite, %d times each", *diskRounds)}
	for _, f := range faults {
		var back []time.Duration
		for i := range *diskRounds {
			w.busy(t, i)
			mend := f.cause(t)
			w.load.always.Store(true) // relaying stands still
			refused := w.refusals()
			eventually(t, "calls to be refused on a disk that is "+f.name, func() bool { return w.refusals() >= refused+3 })
			eventually(t, "/readyz to tell of a disk that is "+f.name, func() bool { return w.readiness(t) == http.StatusServiceUnavailable })
			mend()
			mended := time.Now()
			w.busy(t, 0)
			back = append(back, time.Since(mended))
			w.load.always.Store(false)
			eventually(t, "/readyz to be good again", func() bool { return w.readiness(t) == http.StatusOK })
		}
		r.add(f.name, "%d times; mail was accepted again after %v (median)", *diskRounds, medianOf(back))
	}
	stop()
	if w.nodes[0].ended() {
		t.Error("the server ended")
	}
	w.audit(t, r, 0)
	w.nodes[0].stop(t)
	w.whole(t, r)
	r.print(t)
}

// fault is something that happens to a disk; cause begins it and gives what
// ends it.
type fault struct {
	name  string
	cause func(*testing.T) func()
}

// readiness is the status of /readyz.
func (w *world) readiness(t *testing.T) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.addrs[0]+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// mountSmall gives a file system of its own, in memory, with room for little.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	size := strconv.Itoa(48+*diskRounds*8) + "m"
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil { //nolint:gosec // a number
		t.Skipf("skipped: this user may not mount a file system: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", dir).CombinedOutput(); err != nil { //nolint:gosec // ours
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	return dir
}

// fill takes all room of a disk, and gives it back.
func fill(t *testing.T, disk string) (mend func()) {
	t.Helper()
	ballast := filepath.Join(disk, "ballast")
	f, err := os.OpenFile(ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	_ = f.Close()
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
}

// canTrace tells whether strace may look at a process here.
func canTrace(t *testing.T, p *program) bool {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Log("no strace (Debian: apt-get install strace): fsync that fails, and a disk that cannot be written, are left out")
		return false
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// It looks until it is told to end, or fails at once.
	cmd := exec.CommandContext(ctx, "timeout", "-s", "INT", "1", "strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-p", strconv.Itoa(p.cmd.Process.Pid)) //nolint:gosec // a number
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 124 {
		t.Logf("strace may not look at processes here (%v: %s): fsync that fails, and a disk that cannot be written, are left out", err, out)
		return false
	}
	return true
}

// inject makes system calls of a running program fail until the function
// returned is called.
func (p *program) inject(t *testing.T, calls, code string) (mend func()) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, //nolint:gosec // ours
		"-e", "inject="+calls+":error="+code, "-p", strconv.Itoa(p.cmd.Process.Pid))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	mend = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(os.Interrupt) // strace lets the program go
		_ = cmd.Wait()
	}
	t.Cleanup(mend)
	return mend
}

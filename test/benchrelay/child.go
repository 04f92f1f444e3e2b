package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a process in a group of its own, so that ctrl-C reaches this
// command first and everything is stopped in order.
type child struct {
	cmd  *exec.Cmd
	name string
	done chan struct{} // closed when it ended
	err  error         // how it ended; read after done
}

// startChild starts a program whose standard error, and standard output unless
// set already, go to a log file. The end of ctx asks it to end.
func startChild(cmd *exec.Cmd, name, logFile string) (*child, error) {
	f, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // read by whoever looks for a cause
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	cmd.Stderr = f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{cmd: cmd, name: name, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// ended returns an error when the process is gone.
func (c *child) ended() error {
	select {
	case <-c.done:
		if c.err != nil {
			return fmt.Errorf("%s ended: %w", c.name, c.err)
		}
		return fmt.Errorf("%s ended of itself", c.name)
	default:
		return nil
	}
}

// stop ends the process and what it started: SIGTERM, and SIGKILL for whatever
// is left of the group. It may be called twice, and on nil.
func (c *child) stop() {
	if c == nil {
		return
	}
	group := -c.pid()
	_ = syscall.Kill(group, syscall.SIGTERM)
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-c.done
}

// poll asks until done says so. It fails when done does, and after limit.
func poll(ctx context.Context, every, limit time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	deadline := time.Now().Add(limit)
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v", limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// awaitListener returns when something accepts connections at an address, or
// when one of the processes that should is gone.
func awaitListener(ctx context.Context, network, addr string, processes ...*child) error {
	var d net.Dialer
	err := poll(ctx, 20*time.Millisecond, stallLimit, func() (bool, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err == nil {
			return true, conn.Close()
		}
		var gone []error
		for _, p := range processes {
			gone = append(gone, p.ended())
		}
		return false, errors.Join(gone...)
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", addr, err)
	}
	return nil
}

// logTail is the end of a log file, "" when there is none.
func logTail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/waypost-mail/waypost"
)

// lastFlush is how long events may take to leave when the agent is stopped.
const lastFlush = 5 * time.Second

// agent is one running agent.
type agent struct {
	cfg    Config
	id     string
	spool  *Spool
	status *status
	notify *notifier
	lock   *os.File
	killed atomic.Bool // for tests: stop as kill -9 would
}

// Run follows the log and reports until ctx ends; then it writes its place
// down, sends what it has for a few seconds, and returns nil. An error means
// that it could not start or that the state directory failed.
func Run(ctx context.Context, cfg Config) error {
	a, err := newAgent(cfg)
	if err != nil {
		return err
	}
	return a.run(ctx)
}

func newAgent(cfg Config) (*agent, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state-dir: %w", err)
	}
	a := &agent{cfg: cfg, status: newStatus(), notify: newNotifier()}
	var err error
	if a.lock, err = lockDir(cfg.StateDir); err != nil {
		return nil, err
	}
	if a.id, err = agentID(cfg.StateDir); err == nil {
		a.spool, err = OpenSpool(cfg.StateDir, cfg.SpoolSize)
	}
	if err != nil {
		return nil, errors.Join(err, a.lock.Close())
	}
	return a, nil
}

// lockDir keeps a second agent out of a state directory.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state-dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock state-dir %s: another agent uses it: %w", dir, err), f.Close())
	}
	return f, nil
}

// agentID gives the id that tells the agents of one provider apart.
func agentID(dir string) (string, error) {
	name := filepath.Join(dir, "agent-id")
	if b, err := os.ReadFile(name); err == nil {
		if u, err := waypost.ParseUUID(strings.TrimSpace(string(b))); err == nil {
			return u.String(), nil
		}
	}
	id := waypost.NewUUID(time.Now()).String()
	if err := writeDurably(name, name+".new", []byte(id+"\n"), true); err != nil {
		return "", fmt.Errorf("write agent id: %w", err)
	}
	return id, nil
}

// run starts the three parts and stops them in the order reader, shipper,
// health, so that what was read is on disk before the last flush.
func (a *agent) run(ctx context.Context) error {
	defer func() { _ = a.lock.Close() }()
	defer func() { _ = a.spool.Close() }()
	r, err := newReader(a)
	if err != nil {
		return err
	}
	defer r.close()
	shipper := newShipper(&a.cfg, a.id, a.spool, a.status)
	health, stopHealth, err := a.startHealth(ctx)
	if err != nil {
		return err
	}
	defer stopHealth()
	shipping, stopShipping := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { shipper.Run(shipping) })
	err = r.run(ctx, health)
	a.notify.send("STOPPING=1")
	stopShipping()
	wg.Wait()
	if a.killed.Load() {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	shipper.Drain(last)
	a.cfg.Log.InfoContext(ctx, "stopped", "waiting", a.spool.Stats().Records)
	return err
}

// startHealth opens the health server and gives its address and the function
// that ends it.
func (a *agent) startHealth(ctx context.Context) (string, func(), error) {
	if a.cfg.Health == "" {
		return "none", func() {}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.Health)
	if err != nil {
		return "", nil, fmt.Errorf("open health-addr: %w", err)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.serveHealth(serving, l); err != nil {
			a.cfg.Log.ErrorContext(ctx, "the health server stopped", "error", err)
		}
	})
	return l.Addr().String(), func() { stop(); wg.Wait() }, nil
}

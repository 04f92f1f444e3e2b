package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/waypost-mail/waypost/internal/store"
)

// The bounds of a group.
const (
	maxGroup = 512
	maxBytes = 1 << 20
)

// op is one call that writes, on its way to the committer.
type op struct {
	act    string
	size   int // about how many bytes it writes
	run    func(*tx) error
	taken  atomic.Bool // by the committer, or by a caller that gave up first
	err    error
	answer chan struct{} // capacity 1
}

// do hands run to the committer and waits until its transaction is on disk.
// run may be called more than once, each time after a rollback; it sets its
// results anew. When ctx ends before the committer takes the op, nothing is
// stored; once it is taken, do waits for the commit and tells how it ended, so
// run never touches the caller's values after do has returned.
func (d *DB) do(ctx context.Context, act string, size int, run func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	o := &op{act: act, size: size, run: run, answer: make(chan struct{}, 1)}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return fmt.Errorf("%s: %w: the database is closed", act, store.ErrUnavailable)
	}
	d.waiting = append(d.waiting, o)
	d.mu.Unlock()
	d.signal()
	select {
	case <-o.answer:
		return wrap(act, o.err)
	case <-ctx.Done():
		if o.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("%s: waiting for the committer: %w", act, ctx.Err())
		}
		<-o.answer
		return wrap(act, o.err)
	}
}

func (d *DB) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take waits for ops and gives the next group; nil when the database was
// closed and nothing waits.
func (d *DB) take() []*op {
	for {
		d.mu.Lock()
		if n := len(d.waiting); n > 0 {
			size, end := 0, 0
			for end < n && end < maxGroup && (end == 0 || size+d.waiting[end].size <= maxBytes) {
				size += d.waiting[end].size
				end++
			}
			group := d.waiting[:end:end]
			d.waiting = d.waiting[end:]
			if len(d.waiting) == 0 {
				d.waiting = nil
			}
			d.mu.Unlock()
			return group
		}
		closed := d.closed
		d.mu.Unlock()
		if closed {
			return nil
		}
		<-d.wake
	}
}

func (d *DB) commitLoop() {
	defer close(d.done)
	for group := d.take(); group != nil; group = d.take() {
		group = slices.DeleteFunc(group, func(o *op) bool { return !o.taken.CompareAndSwap(false, true) })
		d.commit(group)
		for _, o := range group {
			o.answer <- struct{}{}
		}
		// Those just answered may have their next op ready: let them hand it
		// in, so that it shares the next commit. This waits for no one.
		runtime.Gosched()
	}
}

// commit runs a group to its end: every op has its answer in err.
func (d *DB) commit(group []*op) {
	if len(group) == 0 {
		return
	}
	err := d.try(group, false)
	if err == nil {
		return
	}
	if len(group) > 1 && !unavailable(err) {
		if err = d.try(group, true); err == nil {
			return
		}
	}
	for _, o := range group {
		o.err = d.try([]*op{o}, false)
	}
}

// try runs ops in one transaction. An error means that it was rolled back and
// no op has its answer.
func (d *DB) try(group []*op, savepoints bool) error {
	tx := &tx{db: d}
	if _, err := tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range group {
		if err := tx.runOp(o, savepoints, len(group) == 1); err != nil {
			tx.rollback()
			return err
		}
	}
	err := tx.flushMarks()
	if err == nil {
		err = tx.flushStats()
	}
	if err == nil {
		_, err = tx.exec("COMMIT")
	}
	if err != nil {
		tx.rollback()
	}
	return err
}

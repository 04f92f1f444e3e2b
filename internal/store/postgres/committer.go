package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// The bounds of a group, and of the time that one transaction may take.
const (
	maxGroup  = 512
	maxBytes  = 4 << 20
	commitMax = time.Minute
)

// op is one call that writes, on its way to a committer. The caller fills in
// what it asks for; the committer what became of it.
type op struct {
	act  string
	size int // about how many bytes it writes

	content, message, queue, attempt rows
	headline, tags                   rows // of the content
	events                           rows
	eventAt                          []int // where each row of events begins
	counted                          []waypost.Event
	settle                           *store.Settlement
	said                             []byte // the stored form of its transcript
	facts                            []fact
	report                           *report
	cancel                           *cancellation
	replay                           *replay

	recorded []store.Recorded
	err      error
	answer   chan struct{} // capacity 1
}

// addEvent encodes an event of the op.
func (o *op) addEvent(e *waypost.Event) error {
	visit := ""
	if e.Visit != nil {
		var err error
		if visit, err = asJSON(e.Visit, 1); err != nil {
			return err
		}
	}
	o.eventAt = append(o.eventAt, len(o.events))
	o.events.event(e, visit)
	o.counted = append(o.counted, *e)
	return nil
}

// committer gathers ops into transactions. run does the work of a group inside
// one; it sets each op's err and recorded anew and may be called again for the
// same ops after a rollback.
type committer struct {
	db  *DB
	id  int64 // of its row in commit_mark
	run func(context.Context, *tx, []*op) error

	mu      sync.Mutex
	waiting []*op
	closed  bool
	away    error         // not nil: why nothing can be stored now
	wake    chan struct{} // capacity 1: something waits, or closed was set
	done    chan struct{} // closed when the goroutine has ended
}

func newCommitter(d *DB, run func(context.Context, *tx, []*op) error) *committer {
	c := &committer{db: d, id: d.ids.next(), run: run, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.loop()
	return c
}

// do hands an op over and waits until its transaction is on disk.
func (c *committer) do(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", o.act, err)
	}
	o.answer = make(chan struct{}, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return fmt.Errorf("%s: %w: the database is closed", o.act, store.ErrUnavailable)
	}
	if away := c.away; away != nil {
		c.mu.Unlock()
		return wrap(context.WithoutCancel(ctx), o.act, away)
	}
	c.waiting = append(c.waiting, o)
	c.mu.Unlock()
	c.signal()
	select {
	case <-o.answer:
		return wrap(context.WithoutCancel(ctx), o.act, o.err)
	case <-ctx.Done():
		return fmt.Errorf("%s: waiting for the commit: %w", o.act, ctx.Err())
	}
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close commits what waits and ends the goroutine.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.done
}

func (c *committer) loop() {
	defer close(c.done)
	for group := c.take(); group != nil; group = c.take() {
		c.commit(group)
	}
}

// refuse answers everything that waits with the error given, and what comes
// later as well, until it is called with nil.
func (c *committer) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
	if err == nil {
		return
	}
	for _, o := range c.waiting {
		o.err = err
		o.answer <- struct{}{}
	}
	c.waiting = nil
}

// take waits for ops and gives the next group; nil when the committer was
// closed and nothing waits.
func (c *committer) take() []*op {
	for {
		c.mu.Lock()
		if n := len(c.waiting); n > 0 {
			size, end := 0, 0
			for end < n && end < maxGroup && (end == 0 || size+c.waiting[end].size <= maxBytes) {
				size += c.waiting[end].size
				end++
			}
			group := c.waiting[:end:end]
			c.waiting = c.waiting[end:]
			if len(c.waiting) == 0 {
				c.waiting = nil
			}
			c.mu.Unlock()
			return group
		}
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return nil
		}
		<-c.wake
	}
}

// commit answers every op of a group. When the group fails for another reason
// than the server's own, it is halved until the op at fault is alone.
func (c *committer) commit(group []*op) {
	err := c.persist(group)
	if err != nil && len(group) > 1 && !unavailable(err) && !errors.Is(err, errUnknown) {
		c.commit(group[:len(group)/2])
		c.commit(group[len(group)/2:])
		return
	}
	for _, o := range group {
		if err != nil {
			o.err = err
		}
		o.answer <- struct{}{}
	}
}

// persist runs a group in a transaction, again when the server ended it in
// favour of another, or once more when the connection broke before the commit
// was asked for: a pooled one may have died long ago.
func (c *committer) persist(group []*op) error {
	const tries = 4
	var err error
	lost := false
	for range tries {
		ctx, cancel := context.WithTimeout(context.Background(), commitMax)
		err = c.transact(ctx, func(ctx context.Context, t *tx) error { return c.run(ctx, t, group) })
		cancel()
		switch {
		case err == nil, errors.Is(err, errUnknown):
			return err
		case clashed(err):
		case disconnected(err) && !lost:
			lost = true
		default:
			return err
		}
	}
	return err
}

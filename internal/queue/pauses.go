package queue

import (
	"context"
	"sync"

	"github.com/waypost-mail/waypost"
)

// pauses is what people stopped, as this node knows it.
type pauses struct {
	mu  sync.Mutex
	set map[waypost.Lane]waypost.Pause
}

// has tells whether a lane, or its whole provider, is paused.
func (p *pauses) has(lane waypost.Lane) bool {
	_, ok := p.of(lane)
	return ok
}

func (p *pauses) of(lane waypost.Lane) (waypost.Pause, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pause, ok := p.set[lane]; ok {
		return pause, true
	}
	pause, ok := p.set[waypost.Lane{Provider: lane.Provider, Mailbox: waypost.AllMailboxes}]
	return pause, ok
}

// readPauses takes over what is stored; other nodes may have changed it.
func (q *Queue) readPauses(ctx context.Context) {
	all, err := q.cfg.Store.Pauses(ctx, 0)
	if err != nil {
		if ctx.Err() == nil {
			q.cfg.Log.ErrorContext(ctx, "cannot read the pauses; the last known ones hold", "error", err)
		}
		return
	}
	set := make(map[waypost.Lane]waypost.Pause, len(all))
	for _, p := range all {
		set[waypost.Lane{Provider: p.Provider, Mailbox: p.Mailbox}] = p
	}
	q.paused.mu.Lock()
	q.paused.set = set
	q.paused.mu.Unlock()
}

// Pause stops the relay of a provider or of one of its lanes: at once on this
// node, within seconds on others. What is in flight is finished.
func (q *Queue) Pause(ctx context.Context, p waypost.Pause) error {
	if err := q.cfg.Store.SetPause(ctx, p); err != nil {
		return err
	}
	q.readPauses(ctx)
	return nil
}

// Resume ends a pause; store.ErrNotFound when there is none.
func (q *Queue) Resume(ctx context.Context, account, provider int64, box waypost.Mailbox) error {
	if err := q.cfg.Store.DeletePause(ctx, account, provider, box); err != nil {
		return err
	}
	q.readPauses(ctx)
	q.lanes.stir()
	return nil
}

// Changed says that a provider was changed or deleted: this node follows at
// once, others within seconds.
func (q *Queue) Changed(provider int64) { q.relays.forget(provider) }

// Wake makes the loop look at the store's lanes again at once, after messages
// were made due or moved.
func (q *Queue) Wake(ctx context.Context) {
	heads, err := q.cfg.Store.LaneHeads(ctx)
	if err != nil {
		return // the loop polls anyway
	}
	q.lanes.learn(heads)
}

package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
)

// hookInterval is how often a node looks for changes that others made to
// webhooks; the contract gives five seconds.
const hookInterval = 2 * time.Second

// wanted are the enabled webhooks of each account, with what they want.
type wanted map[int64][]hook

type hook struct {
	id    int64
	wants waypost.WebhookFlags
}

// hooks keeps what the webhooks want in memory, so that an event that nobody
// wants costs nothing.
type hooks struct {
	mu  sync.Mutex // one reader at a time: what was read later is kept
	now atomic.Pointer[wanted]
}

func (h *hooks) current() wanted {
	if w := h.now.Load(); w != nil {
		return *w
	}
	return nil
}

// tell adds the deliveries of an event.
func (w wanted) tell(told *rows, e *waypost.Event) {
	if e.Facets.OwnWebhook {
		if e.Stat() != waypost.StatNone {
			told.delivery(0, e)
		}
		return
	}
	for _, h := range w[e.Account] {
		if h.wants.Want(e) {
			told.delivery(h.id, e)
		}
	}
}

// readHooks reads what the webhooks want now.
func (d *DB) readHooks(ctx context.Context) error {
	d.hooks.mu.Lock()
	defer d.hooks.mu.Unlock()
	rows, err := d.pool.Query(ctx, `SELECT account, id, wants FROM webhook WHERE enabled ORDER BY id`)
	if err != nil {
		return wrap(ctx, "read webhooks", err)
	}
	w := wanted{}
	var account int64
	var h hook
	_, err = pgx.ForEachRow(rows, []any{&account, &h.id, (*int32)(&h.wants)}, func() error {
		w[account] = append(w[account], h)
		return nil
	})
	if err != nil {
		return wrap(ctx, "read webhooks", err)
	}
	d.hooks.now.Store(&w)
	return nil
}

// hooksChanged reads the webhooks again after a change of this node's. The
// change is stored already: a failure leaves the news to the next turn of tend.
func (d *DB) hooksChanged(ctx context.Context) { _ = d.readHooks(context.WithoutCancel(ctx)) }

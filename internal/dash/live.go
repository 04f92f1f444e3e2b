package dash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var liveScreen = screen{Routes: []route{{"GET /live", waypost.RoleViewer, (*Dash).live}}}

// The pace of live updates, and how many pages of one node may follow them.
const (
	lookEvery  = 2 * time.Second  // for new events, while somebody follows
	tickAtMost = 15 * time.Second // a tick comes at least this often: ages and limits move without events
	maxStreams = 500
)

// live is the stream of server-sent events that tells a page to read its live
// parts again. It ends when the session does.
func (d *Dash) live(v *visit) error {
	ticks, leave, err := d.hub.join(v.account())
	if err != nil {
		http.Error(v.w, err.Error(), http.StatusServiceUnavailable)
		return nil
	}
	defer leave()
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a reverse proxy must not hold it back
	out := http.NewResponseController(v.w)
	_ = out.SetWriteDeadline(time.Time{}) // a stream has none; not every writer knows deadlines
	send := func(text string) bool {
		_, err := fmt.Fprint(v.w, text)
		return err == nil && out.Flush() == nil
	}
	if !send("retry: 5000\nevent: hello\ndata: 1\n\n") {
		return nil
	}
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	for {
		select {
		case <-v.ctx().Done():
			return nil
		case <-d.hub.closed:
			return nil
		case <-ticks:
			if !send("event: tick\ndata: 1\n\n") {
				return nil
			}
		case <-check.C:
			again := d.visit(v.w, v.r)
			if d.identify(again) != nil {
				return nil
			}
		}
	}
}

// Close ends every live stream, so that the server's shutdown need not wait
// for them, and looks that are under way.
func (d *Dash) Close() {
	d.hub.close()
	d.lookouts.close()
}

// hub looks for new events on behalf of all pages that follow an account: the
// cost does not depend on their number.
type hub struct {
	store  store.Events
	log    *slog.Logger
	closed chan struct{}

	mu       sync.Mutex
	end      sync.Once
	accounts map[int64]*crowd
	streams  int
}

// crowd are the pages that follow one account.
type crowd struct {
	pages map[chan struct{}]bool
	stop  context.CancelFunc
}

func newHub(s store.Events, l *slog.Logger) *hub {
	return &hub{store: s, log: l, closed: make(chan struct{}), accounts: map[int64]*crowd{}}
}

func (h *hub) close() { h.end.Do(func() { close(h.closed) }) }

var errCrowded = errors.New("too many pages follow live updates; reload to see what is new")

func (h *hub) join(account int64) (<-chan struct{}, func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= maxStreams {
		return nil, nil, errCrowded
	}
	h.streams++
	page := make(chan struct{}, 1)
	c := h.accounts[account]
	if c == nil {
		ctx, stop := context.WithCancel(context.Background())
		c = &crowd{pages: map[chan struct{}]bool{}, stop: stop}
		h.accounts[account] = c
		go h.watch(ctx, account)
	}
	c.pages[page] = true
	return page, func() { h.leave(account, page) }, nil
}

func (h *hub) leave(account int64, page chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
	c := h.accounts[account]
	if delete(c.pages, page); len(c.pages) == 0 {
		c.stop()
		delete(h.accounts, account)
	}
}

// watch looks for events newer than the last one until nobody follows.
func (h *hub) watch(ctx context.Context, account int64) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var last int64
	told := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.closed:
			return
		case now := <-look.C:
			newest, err := h.store.ListEvents(ctx, store.EventQuery{Account: account, After: last, Limit: 1})
			if err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "live updates: cannot look for events", "error", err)
			}
			fresh := len(newest) > 0
			if fresh {
				fresh, last = last != 0, newest[0].ID
			}
			if fresh || now.Sub(told) >= tickAtMost {
				told = now
				h.tell(account)
			}
		}
	}
}

// tell wakes the pages; one that has not taken its last tick needs no other.
func (h *hub) tell(account int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.accounts[account]
	if c == nil {
		return
	}
	for page := range c.pages {
		select {
		case page <- struct{}{}:
		default:
		}
	}
}

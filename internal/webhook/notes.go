package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
)

// notes gathers outcomes and stores them in few transactions. What cannot be
// stored is claimed again when its lease ends, and sent again.
type notes struct {
	w    *Workers
	ctx  context.Context //nolint:containedctx // that of a lane's requests
	in   chan waypost.Delivery
	sync chan chan struct{}
	end  sync.WaitGroup
}

func (w *Workers) keepNotes(ctx context.Context) *notes {
	n := &notes{w: w, ctx: ctx, in: make(chan waypost.Delivery, flushMost), sync: make(chan chan struct{})}
	n.end.Go(n.run)
	return n
}

func (n *notes) add(d waypost.Delivery) { n.in <- d }

// flush returns when everything added before is stored.
func (n *notes) flush() {
	ack := make(chan struct{})
	n.sync <- ack
	<-ack
}

func (n *notes) close() {
	close(n.in)
	n.end.Wait()
}

func (n *notes) run() {
	var all []waypost.Delivery
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	save := func() {
		if len(all) == 0 {
			return
		}
		if err := n.w.cfg.Store.FinishDeliveries(n.ctx, all, n.w.cfg.Now()); err != nil {
			n.w.cfg.Log.ErrorContext(n.ctx, "cannot note deliveries; they will go out again", "deliveries", len(all), "error", err)
		}
		all = all[:0]
	}
	for {
		select {
		case d, ok := <-n.in:
			if !ok {
				save()
				return
			}
			if all = append(all, d); len(all) >= flushMost {
				save()
			}
		case ack := <-n.sync:
			for range len(n.in) {
				all = append(all, <-n.in)
			}
			save()
			close(ack)
		case <-tick.C:
			save()
		}
	}
}

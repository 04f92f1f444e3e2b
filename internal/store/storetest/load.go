package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testCancelled(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.is(f.s.Accept(ctx, f.call(1, f.now)), context.Canceled)
	// It may have been stored or not, but never in part.
	n, err := f.s.Depth(t.Context())
	f.ok(err)
	f.equal("events and queue agree", len(f.events()), n)
	f.accept(1, f.now)
	f.depth(n + 1)
}

// book keeps what the workers of testLoad know.
type book struct {
	mu       sync.Mutex
	accepted map[waypost.UUID]bool
	held     map[waypost.UUID]bool
	sent     map[waypost.UUID]int
	twice    []waypost.UUID
}

func (b *book) hold(all []store.Claimable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range all {
		if b.held[c.Message.ID] {
			b.twice = append(b.twice, c.Message.ID)
		}
		b.held[c.Message.ID] = true
	}
}

// release comes before the settlement: afterwards another may hold it.
func (b *book) release(id waypost.UUID, sent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, id)
	if sent {
		b.sent[id]++
	}
}

// testLoad: 64 callers accept, claim, settle and fail at once; nothing is lost
// and nothing happens twice.
func testLoad(t *testing.T, e Engine) {
	f := newFixture(t, e)
	b := &book{accepted: map[waypost.UUID]bool{}, held: map[waypost.UUID]bool{}, sent: map[waypost.UUID]int{}}
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			mine := *f
			mine.lane.Mailbox = waypost.Mailbox(i % 3)
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range rounds {
				if err := mine.work(b, r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	f.finish(b)
	if len(b.twice) > 0 {
		t.Errorf("handed out while held: %v", b.twice)
	}
	for id := range b.accepted {
		if b.sent[id] != 1 {
			t.Errorf("%s was finished %d times", id, b.sent[id])
		}
		tr := f.trail(id)
		f.equal("events of a message", types(tr.Events), []waypost.EventType{waypost.CSProcessed, waypost.CSSent})
	}
	f.depth(0)
	n := int64(len(b.accepted))
	f.equal("counters", f.recount(), map[waypost.Stat]int64{waypost.StatProcessed: n, waypost.StatSent: n})
}

// work is one round of a caller: an accept, a refused accept, a claim and the
// settlement of what it got.
func (f *fixture) work(b *book, r *rand.Rand) error {
	ctx := f.t.Context()
	a := f.call(1+r.IntN(4), f.now)
	if err := f.s.Accept(ctx, a); err != nil {
		return err
	}
	b.mu.Lock()
	for _, m := range a.Messages {
		b.accepted[m.ID] = true
	}
	b.mu.Unlock()
	if r.IntN(4) == 0 {
		bad := f.call(3, f.now)
		bad.Messages[2].ID = a.Messages[0].ID
		if err := f.s.Accept(ctx, bad); err == nil {
			return errors.New("a second message of the same id was accepted")
		}
	}
	got, err := f.s.Claim(ctx, store.Claim{Lane: f.lane, Now: f.now, Max: 1 + r.IntN(8), LeaseUntil: f.now.Add(time.Minute)})
	if err != nil {
		return err
	}
	b.hold(got.Entries)
	for _, c := range got.Entries {
		again := r.IntN(4) == 0
		b.release(c.Message.ID, !again)
		if again {
			err = f.s.Settle(ctx, &store.Settlement{
				Entry: c.Entry, Message: c.Message, Retry: f.now, Attempt: f.attempt(c, waypost.AttemptTransient),
			})
		} else {
			err = f.sent(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finish relays what is left.
func (f *fixture) finish(b *book) {
	for box := range waypost.Mailbox(3) {
		for {
			got := f.claimBy(store.Claim{Lane: waypost.Lane{Provider: f.provider, Mailbox: box}, Max: 100})
			if len(got.Entries) == 0 {
				break
			}
			b.hold(got.Entries)
			for _, c := range got.Entries {
				b.release(c.Message.ID, true)
				f.ok(f.sent(c))
			}
		}
	}
}

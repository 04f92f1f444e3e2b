package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// keyed makes a call of n recipients with an Idempotency-Key.
func (f *fixture) keyed(key string, n int) *store.Acceptance {
	a := f.call(n, f.now)
	a.Replay = &store.Replay{
		SubAccount: f.sub, Key: key, Request: [32]byte{1, 2, 255}, Answer: []byte(`[{"messageId":"` + a.Messages[0].ID.String() + `"}]`),
		Expires: f.now.Add(24 * time.Hour),
	}
	return a
}

func (f *fixture) replay(sub int64, key string, want *store.Replay) {
	f.t.Helper()
	got, err := f.s.Replay(f.t.Context(), sub, key, f.now)
	if want == nil {
		f.is(err, store.ErrNotFound)
		return
	}
	f.ok(err)
	f.equal("answer to "+key, got, *want)
}

func testReplay(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	f.replay(f.sub, "k1", nil)
	a := f.keyed("k1", 2)
	f.ok(f.s.Accept(ctx, a))
	f.replay(f.sub, "k1", a.Replay)
	f.replay(f.sub+1, "k1", nil)
	f.replay(f.sub, "K1", nil)
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.replay(f.sub, "k1", a.Replay)
	}

	// A key that is live stores nothing, whatever the call.
	again := f.keyed("k1", 3)
	f.is(f.s.Accept(ctx, again), store.ErrExists)
	f.depth(2)
	f.replay(f.sub, "k1", a.Replay)
	_, err := f.s.Message(ctx, f.account, again.Messages[0].ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.Content(ctx, again.Content.ID)
	f.is(err, store.ErrNotFound)
	f.equal("counters", f.recount(), map[waypost.Stat]int64{waypost.StatProcessed: 2})

	// Another sub-account's key is another.
	other := f.keyed("k1", 1)
	other.Replay.SubAccount = f.sub + 1
	f.ok(f.s.Accept(ctx, other))
	f.replay(f.sub+1, "k1", other.Replay)

	// A call that fails keeps no answer.
	bad := f.keyed("k2", 1)
	bad.Messages[0].ID = a.Messages[0].ID
	if err := f.s.Accept(ctx, bad); err == nil {
		t.Fatal("a second message of the same id was accepted")
	}
	f.replay(f.sub, "k2", nil)

	// A key that has expired is free.
	f.now = f.now.Add(24*time.Hour - time.Millisecond)
	f.is(f.s.Accept(ctx, f.keyed("k1", 1)), store.ErrExists)
	f.now = f.now.Add(time.Millisecond)
	f.replay(f.sub, "k1", nil)
	late := f.keyed("k1", 1)
	f.ok(f.s.Accept(ctx, late))
	f.replay(f.sub, "k1", late.Replay)
	f.depth(4)
}

// testReplayRace: of calls with the same key at the same time one is stored.
func testReplayRace(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const keys, callers = 8, 6
	var mu sync.Mutex
	stored := map[string][]*store.Acceptance{}
	var wg sync.WaitGroup
	for k := range keys {
		for range callers {
			a := f.keyed(fmt.Sprintf("key %d", k), 1)
			wg.Go(func() {
				err := f.s.Accept(t.Context(), a)
				switch {
				case err == nil:
					mu.Lock()
					stored[a.Replay.Key] = append(stored[a.Replay.Key], a)
					mu.Unlock()
				case !errors.Is(err, store.ErrExists):
					t.Error(err)
				}
			})
		}
	}
	// Calls without a key go on beside them.
	f.accept(1, f.now)
	wg.Wait()
	f.equal("keys stored", len(stored), keys)
	for key, all := range stored {
		f.equal("calls stored of "+key, len(all), 1)
		f.replay(f.sub, key, all[0].Replay)
	}
	f.depth(keys + 1)
}

func testPruneReplays(t *testing.T, e Engine) {
	f := newFixture(t, e)
	for i := range 5 {
		a := f.keyed(fmt.Sprint(i), 1)
		a.Replay.Expires = f.now.Add(time.Duration(i+1) * time.Hour)
		f.ok(f.s.Accept(t.Context(), a))
	}
	for _, want := range []int{2, 1, 0} {
		n, err := f.s.PruneReplays(t.Context(), f.now.Add(4*time.Hour), 2)
		f.ok(err)
		f.equal("pruned", n, want)
	}
	for i, live := range []bool{false, false, false, true, true} {
		_, err := f.s.Replay(t.Context(), f.sub, fmt.Sprint(i), f.now)
		f.equal(fmt.Sprintf("%d is left", i), err == nil, live)
	}
}

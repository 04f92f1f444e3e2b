package api

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestRoom: large calls share the room, what is too large goes alone, small ones
// need none, and nobody waits for ever.
func TestRoom(t *testing.T) {
	const most = 10 << 20
	r := newRoom(most)
	take := func(length int64) (func(int64) error, func()) {
		t.Helper()
		grow, free, err := r.take(t.Context(), length)
		if err != nil {
			t.Fatal(err)
		}
		return grow, free
	}
	refused := func(err error) {
		t.Helper()
		if e, ok := errors.AsType[*Error](err); !ok || e.status != 503 || e.GetHeaders().Get("Retry-After") == "" {
			t.Fatalf("%v", err)
		}
	}
	_, free := take(100 << 20) // more than there is
	r.patience = time.Millisecond
	_, _, err := r.take(t.Context(), 1<<20)
	refused(err)
	_, freeSmall := take(smallCall)
	grow, freeUnknown := take(-1)
	if err := grow(smallCall); err != nil {
		t.Error(err)
	}
	refused(grow(1 << 20))
	// The next one gets the room when it is free.
	r.patience = time.Minute
	done := make(chan func())
	go func() {
		_, free, err := r.take(t.Context(), 2<<20)
		if err != nil {
			t.Error(err)
			free = func() {}
		}
		done <- free
	}()
	free()
	free = <-done
	if err := grow(1 << 20); err != nil { // 6 and 3 of 10 MiB
		t.Error(err)
	}
	refused(grow(2 << 20))
	free()
	freeSmall()
	freeUnknown()
	if !r.taken.TryAcquire(most) {
		t.Error("not everything was given back")
	}
	// Who goes away waits no longer.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.take(ctx, 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

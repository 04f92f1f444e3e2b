package api

import (
	"context"
	"sync"
	"time"
)

// usage remembers when keys were used, to be stored from time to time.
type usage struct {
	mu   sync.Mutex
	last map[int64]time.Time
}

func (u *usage) note(key int64, now time.Time) {
	u.mu.Lock()
	u.last[key] = now
	u.mu.Unlock()
}

func (u *usage) drain() map[int64]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.last
	u.last = map[int64]time.Time{}
	return out
}

// usageEvery is how often the last use of keys is stored.
const usageEvery = time.Minute

// Run stores when keys were used last, every minute and once more when ctx
// ends. It always returns nil.
func (a *API) Run(ctx context.Context) error {
	tick := time.NewTicker(usageEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.storeUsage(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			a.storeUsage(last)
			return nil
		}
	}
}

func (a *API) storeUsage(ctx context.Context) {
	used := a.used.drain()
	if len(used) == 0 {
		return
	}
	if err := a.cfg.Store.TouchKeys(ctx, used); err != nil {
		a.cfg.Log.WarnContext(ctx, "cannot store when keys were used last", "keys", len(used), "error", err)
	}
}

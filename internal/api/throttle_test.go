package api

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestThrottle: whatever the calls, a key never gets more than a bucket and
// what flowed in, and who waits as told gets in.
func TestThrottle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perHour := rapid.IntRange(1, 100_000).Draw(t, "perHour")
		th := throttle{buckets: map[int64]bucket{}}
		start := time.Unix(1_800_000_000, 0)
		now, got := start, 0
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 120_000).Draw(t, "ms")) * time.Millisecond)
			wait, ok := th.take(1, perHour, now)
			if !ok {
				if wait <= 0 || wait > time.Hour+time.Microsecond {
					t.Fatalf("told to wait %v", wait)
				}
				now = now.Add(wait + time.Millisecond)
				if _, ok = th.take(1, perHour, now); !ok {
					t.Fatalf("waited %v as told and was refused", wait)
				}
			}
			got++
		}
		bucket := max(10, float64(perHour)/10)
		if most := bucket + now.Sub(start).Hours()*float64(perHour) + 1; float64(got) > most {
			t.Fatalf("%d requests in %v at %d an hour, at most %v", got, now.Sub(start), perHour, most)
		}
	})
}

// TestThrottleTellsToWait: a token that lacks by a rounding error only is still
// waited for.
func TestThrottleTellsToWait(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	th := throttle{swept: now, buckets: map[int64]bucket{1: {tokens: math.Nextafter(1, 0), at: now, size: 10_000}}}
	wait, ok := th.take(1, 100_000, now)
	if ok || wait <= 0 {
		t.Errorf("ok %v, wait %v", ok, wait)
	}
	if _, ok = th.take(1, 100_000, now.Add(wait)); !ok {
		t.Error("refused after the wait")
	}
}

// TestThrottleForgets: memory is bound by the keys that were used lately.
func TestThrottleForgets(t *testing.T) {
	th := throttle{buckets: map[int64]bucket{}}
	now := time.Now()
	for key := range int64(1000) {
		th.take(key, 100, now)
	}
	th.take(1000, 100, now.Add(2*time.Hour))
	if len(th.buckets) != 1 {
		t.Errorf("%d buckets are kept", len(th.buckets))
	}
	if _, ok := th.take(7, 0, now); !ok {
		t.Error("a key without a bound is bounded")
	}
}

package queue

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(1_764_000_000, 0)
	b := &breaker{}
	for i := range openAfter {
		if open, probe, _ := b.state(now); open || probe {
			t.Fatalf("not closed after %d failures", i)
		}
		want := waypost.ProviderEventKind("")
		if i == openAfter-1 {
			want = waypost.BreakerOpened
		}
		if got := b.note(true, now); got != want {
			t.Fatalf("failure %d: %q, want %q", i+1, got, want)
		}
	}
	pause := firstOpen
	for range 20 {
		open, _, until := b.state(now)
		if !open || !until.Equal(now.Add(pause)) {
			t.Fatalf("open %v until %v, want %v", open, until, now.Add(pause))
		}
		if b.note(true, now) != "" {
			t.Fatal("a straggler's failure changed an open breaker")
		}
		if b.probe(now) {
			t.Fatal("an open breaker was probed")
		}
		now = until
		if open, probe, _ := b.state(now); open || !probe {
			t.Fatal("not half open when the pause is over")
		}
		if !b.probe(now) || b.probe(now) {
			t.Fatal("a half-open breaker lets exactly one probe through")
		}
		if open, _, _ := b.state(now); !open {
			t.Fatal("others pass while the probe is under way")
		}
		if b.note(true, now) != waypost.BreakerOpened {
			t.Fatal("a failed probe does not open the breaker again")
		}
		pause = min(2*pause, longOpen)
	}
	_, _, until := b.state(now)
	if !b.probe(until) {
		t.Fatal("no probe")
	}
	b.release()
	if !b.probe(until) {
		t.Fatal("a probe that was given back cannot be taken again")
	}
	if b.note(false, until) != waypost.BreakerClosed {
		t.Fatal("a probe that worked does not close the breaker")
	}
	for range openAfter - 1 {
		b.note(true, until)
	}
	if b.note(false, until) != "" || b.note(true, until) != "" {
		t.Fatal("failures are not counted anew after a success")
	}
}

package storetest

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testLimitsHold(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(25, f.now)
	ask := store.Claim{Max: 8, PerHour: 10, Burst: true}
	got := f.claimBy(ask)
	f.equal("Max before the limit", len(got.Entries), 8)
	if !got.NextToken.IsZero() {
		t.Fatalf("no limit held anything back, yet NextToken is %v", got.NextToken)
	}
	got = f.claimBy(ask)
	f.equal("the limit", len(got.Entries), 2)
	if !got.NextToken.After(f.now) || got.NextDue.IsZero() || got.NextDue.After(f.now) {
		t.Fatalf("the limit cut the answer short: %+v", got)
	}
	next := got.NextToken
	got = f.claimBy(ask)
	f.equal("nothing is left", len(got.Entries), 0)
	f.equal("the same next token", got.NextToken, next)

	// Long leases, so that only the limit decides.
	lease := next.Add(time.Hour)
	held, err := f.s.Claim(t.Context(), store.Claim{
		Lane: f.lane, Now: next.Add(-time.Millisecond), Max: 100, PerHour: 10, Burst: true, LeaseUntil: lease,
	})
	f.ok(err)
	f.equal("a moment too early", len(held.Entries), 0)
	held, err = f.s.Claim(t.Context(), store.Claim{Lane: f.lane, Now: next, Max: 100, PerHour: 10, Burst: true, LeaseUntil: lease})
	f.ok(err)
	f.equal("in time", len(held.Entries), 10)
}

func testLimitsTwoLanes(t *testing.T, e Engine) {
	f := newFixture(t, e)
	gmail, yahoo := waypost.Lane{Provider: f.provider, Mailbox: 0}, waypost.Lane{Provider: f.provider, Mailbox: 1}
	other, _ := f.newProvider("relay two")
	for _, lane := range []waypost.Lane{gmail, yahoo, {Provider: other}} {
		f.lane = lane
		f.accept(10, f.now)
	}
	got := f.claimBy(store.Claim{Lane: gmail, Max: 100, Burst: true, PerHour: 8, LanePerHour: 3})
	f.equal("the lane's limit", len(got.Entries), 3)
	if got.NextToken.IsZero() {
		t.Fatal("the lane's limit held messages back, yet NextToken is zero")
	}
	got = f.claimBy(store.Claim{Lane: yahoo, Max: 100, Burst: true, PerHour: 8, LanePerHour: 9})
	f.equal("what the provider has left", len(got.Entries), 5)
	got = f.claimBy(store.Claim{Lane: waypost.Lane{Provider: other}, Max: 100, PerHour: 8, Burst: true})
	f.equal("another provider", len(got.Entries), 8)
	got = f.claimBy(store.Claim{Lane: gmail, Max: 100, Burst: true, PerHour: 9, LanePerHour: 5})
	f.equal("raised limits hold at once", len(got.Entries), 1)
	got = f.claimBy(store.Claim{Lane: gmail, Max: 100, Burst: true, PerHour: 2, LanePerHour: 5})
	f.equal("lowered limits too", len(got.Entries), 0)
}

func testLimitsRefund(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(3, f.now)
	got := f.claimBy(store.Claim{Max: 10, PerHour: 2, LanePerHour: 2, Burst: true})
	f.equal("claimed", len(got.Entries), 2)
	f.equal("token", got.Entries[0].Entry.Token, waypost.BucketMinute(f.now))
	f.now = f.now.Add(time.Minute)
	c := got.Entries[0]
	f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: f.now, Refund: true}))
	// The same settlement again is lost and refunds nothing.
	f.is(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: f.now, Refund: true}), store.ErrLost)
	got = f.claimBy(store.Claim{Max: 10, PerHour: 2, LanePerHour: 2, Burst: true})
	f.equal("one token was given back", len(got.Entries), 1)
}

// testLimitsSpread: without Burst at most half of the hour's tokens, rounded
// up, go in ten minutes, of the provider and of a lane.
func testLimitsSpread(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(20, f.now)
	other := waypost.Lane{Provider: f.provider, Mailbox: 0}
	mine := f.lane
	f.lane = other
	f.accept(20, f.now)
	f.lane = mine
	ask := store.Claim{Max: 100, PerHour: 9, LeaseUntil: f.now.Add(24 * time.Hour)}
	got := f.claimBy(ask)
	f.equal("half of nine, rounded up", len(got.Entries), 5)
	if !got.NextToken.After(f.now) || got.NextToken.After(f.now.Add(11*time.Minute)) {
		t.Fatalf("the next token is promised for %v at %v", got.NextToken, f.now)
	}
	ask.Burst = true
	f.equal("a burst takes the rest", len(f.claimBy(ask).Entries), 4)

	ask = store.Claim{Max: 100, Lane: other, PerHour: 100, LanePerHour: 4, Now: f.now.Add(2 * time.Hour), LeaseUntil: f.now.Add(24 * time.Hour)}
	got = f.claimBy(ask)
	f.equal("half of the lane's four", len(got.Entries), 2)
	ask.Now = got.NextToken
	f.equal("the other half", len(f.claimBy(ask).Entries), 2)
}

// testBuckets: the state of the limits can be read.
func testBuckets(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(6, f.now)
	minute := waypost.BucketMinute(f.now)
	buckets := func(since int64) map[waypost.Mailbox][]waypost.Bucket {
		got, err := f.s.Buckets(t.Context(), f.provider, since)
		f.ok(err)
		return got
	}
	f.equal("nothing yet", len(buckets(0)), 0)
	f.claimBy(store.Claim{Max: 2, PerHour: 100})
	f.now = f.now.Add(3 * time.Minute)
	f.claimBy(store.Claim{Max: 3, PerHour: 100})
	f.equal("two minutes", buckets(minute), map[waypost.Mailbox][]waypost.Bucket{
		f.lane.Mailbox: {{Minute: minute, N: 2}, {Minute: minute + 3, N: 3}},
	})
	f.equal("the later", buckets(minute+1), map[waypost.Mailbox][]waypost.Bucket{f.lane.Mailbox: {{Minute: minute + 3, N: 3}}})
	other, err := f.s.Buckets(t.Context(), f.provider+999, 0)
	f.ok(err)
	f.equal("another provider", len(other), 0)
}

// limitModel is what a limit must do, told from the outside: every token that
// was taken and not given back, with its exact time.
type limitModel struct {
	perHour, perLane int
	burst            bool
	now, latest      time.Time // the clock, and the latest that it has shown
	taken            map[waypost.Mailbox][]time.Time
	held             []store.Claimable
	due              map[waypost.Mailbox]int
}

func (m *limitModel) free(box waypost.Mailbox) int {
	var all, lane []waypost.Bucket
	for b, times := range m.taken {
		for _, at := range times {
			one := waypost.Bucket{Minute: waypost.BucketMinute(at), N: 1}
			all = append(all, one)
			if b == box {
				lane = append(lane, one)
			}
		}
	}
	a, _ := waypost.Allowance(all, waypost.Limit{PerHour: m.perHour, Burst: m.burst}, m.now)
	b, _ := waypost.Allowance(lane, waypost.Limit{PerHour: m.perLane, Burst: m.burst}, m.now)
	return min(a, b)
}

// over tells whether any hour, or any ten minutes of a spread limit, holds
// more than a limit allows, by the exact times.
func (m *limitModel) over() bool {
	var all []time.Time
	for _, lane := range m.taken {
		if m.exceeds(lane, m.perLane) {
			return true
		}
		all = append(all, lane...)
	}
	return m.exceeds(all, m.perHour)
}

func (m *limitModel) exceeds(taken []time.Time, perHour int) bool {
	if perHour == 0 {
		return false
	}
	for _, end := range taken {
		hour, ten := 0, 0
		for _, at := range taken {
			if age := end.Sub(at); age >= 0 && age < time.Hour {
				hour++
				if age < 10*time.Minute {
					ten++
				}
			}
		}
		if hour > perHour || !m.burst && ten > (perHour+1)/2 {
			return true
		}
	}
	return false
}

// step moves the clock: forward as far as it likes, and back by less than the
// two hours for which an engine must remember.
func (m *limitModel) step(d time.Duration) {
	m.now = m.now.Add(d)
	if m.now.After(m.latest) {
		m.latest = m.now
	}
	if oldest := m.latest.Add(-115 * time.Minute); m.now.Before(oldest) {
		m.now = oldest
	}
}

// testLimitsProperty: whatever is claimed, settled, given back, restarted, and
// however the clock runs on, no rolling hour has more than the limit, and no
// token is wasted.
func testLimitsProperty(t *testing.T, e Engine) {
	f := newFixture(t, e)
	cases := 0
	rapid.Check(t, func(rt *rapid.T) {
		cases++
		provider, _ := f.newProvider(fmt.Sprintf("case %d", cases))
		m := &limitModel{
			perHour: rapid.IntRange(0, 12).Draw(rt, "perHour"), perLane: rapid.IntRange(0, 8).Draw(rt, "perLane"),
			burst: rapid.Bool().Draw(rt, "burst"), now: epoch, latest: epoch,
			taken: map[waypost.Mailbox][]time.Time{}, due: map[waypost.Mailbox]int{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": func(rt *rapid.T) {
				box := waypost.Mailbox(rapid.IntRange(0, 1).Draw(rt, "box"))
				n := rapid.IntRange(1, 9).Draw(rt, "n")
				f.lane, f.now = waypost.Lane{Provider: provider, Mailbox: box}, m.now
				f.accept(n, epoch.Add(-3*time.Hour)) // due whenever the clock steps back to
				m.due[box] += n
			},
			"claim": func(rt *rapid.T) { f.claimModel(rt, m, provider) },
			"finish": func(rt *rapid.T) {
				for _, c := range m.held {
					f.ok(f.sent(c))
				}
				m.held = nil
			},
			"refund": func(rt *rapid.T) {
				if len(m.held) == 0 {
					rt.Skip("nothing is held")
				}
				c := m.held[0]
				m.held = m.held[1:]
				f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: epoch.Add(-3 * time.Hour), Refund: true}))
				box := c.Entry.Lane.Mailbox
				m.due[box]++
				for i, at := range m.taken[box] {
					if waypost.BucketMinute(at) == c.Entry.Token {
						m.taken[box] = append(m.taken[box][:i], m.taken[box][i+1:]...)
						break
					}
				}
			},
			"clock": func(rt *rapid.T) {
				m.step(time.Duration(rapid.IntRange(1, 90*60*1000).Draw(rt, "ms")) * time.Millisecond)
			},
			"back": func(rt *rapid.T) {
				m.step(-time.Duration(rapid.IntRange(1, 70*60*1000).Draw(rt, "ms")) * time.Millisecond)
			},
			"seconds": func(*rapid.T) { m.step(17 * time.Second) },
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "seldom") > 0 || e.Reopen == nil {
					rt.Skip("not now")
				}
				for _, c := range m.held { // held messages would be due at different times
					f.ok(f.sent(c))
				}
				m.held = nil
				f.s = e.Reopen(t, f.s)
			},
		})
	})
}

func (f *fixture) claimModel(rt *rapid.T, m *limitModel, provider int64) {
	box := waypost.Mailbox(rapid.IntRange(0, 1).Draw(rt, "box"))
	limit := rapid.IntRange(1, 10).Draw(rt, "max")
	free := m.free(box)
	got := f.claimBy(store.Claim{
		Lane: waypost.Lane{Provider: provider, Mailbox: box}, Now: m.now, Max: limit,
		LeaseUntil: m.now.Add(10_000 * time.Hour), PerHour: m.perHour, LanePerHour: m.perLane, Burst: m.burst,
	})
	if want := min(limit, free, m.due[box]); len(got.Entries) != want {
		rt.Fatalf("%d handed out, want %d: %d free, %d due, at most %d", len(got.Entries), want, free, m.due[box], limit)
	}
	for range got.Entries {
		m.taken[box] = append(m.taken[box], m.now)
	}
	m.due[box] -= len(got.Entries)
	m.held = append(m.held, got.Entries...)
	if m.over() {
		rt.Fatalf("more than %d (lane: %d) in the hour before %v: %v", m.perHour, m.perLane, m.now, m.taken)
	}
	if held := free < limit && m.due[box] > 0; held != !got.NextToken.IsZero() || held && !got.NextToken.After(m.now) {
		rt.Fatalf("NextToken is %v at %v, held back: %v", got.NextToken, m.now, held)
	}
}

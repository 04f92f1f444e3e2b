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
	ask := store.Claim{Max: 8, PerHour: 10}
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
		Lane: f.lane, Now: next.Add(-time.Millisecond), Max: 100, PerHour: 10, LeaseUntil: lease,
	})
	f.ok(err)
	f.equal("a moment too early", len(held.Entries), 0)
	held, err = f.s.Claim(t.Context(), store.Claim{Lane: f.lane, Now: next, Max: 100, PerHour: 10, LeaseUntil: lease})
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
	got := f.claimBy(store.Claim{Lane: gmail, Max: 100, PerHour: 8, LanePerHour: 3})
	f.equal("the lane's limit", len(got.Entries), 3)
	if got.NextToken.IsZero() {
		t.Fatal("the lane's limit held messages back, yet NextToken is zero")
	}
	got = f.claimBy(store.Claim{Lane: yahoo, Max: 100, PerHour: 8, LanePerHour: 9})
	f.equal("what the provider has left", len(got.Entries), 5)
	got = f.claimBy(store.Claim{Lane: waypost.Lane{Provider: other}, Max: 100, PerHour: 8})
	f.equal("another provider", len(got.Entries), 8)
	got = f.claimBy(store.Claim{Lane: gmail, Max: 100, PerHour: 9, LanePerHour: 5})
	f.equal("raised limits hold at once", len(got.Entries), 1)
	got = f.claimBy(store.Claim{Lane: gmail, Max: 100, PerHour: 2, LanePerHour: 5})
	f.equal("lowered limits too", len(got.Entries), 0)
}

func testLimitsRefund(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(3, f.now)
	got := f.claimBy(store.Claim{Max: 10, PerHour: 2, LanePerHour: 2})
	f.equal("claimed", len(got.Entries), 2)
	f.equal("token", got.Entries[0].Entry.Token, waypost.BucketMinute(f.now))
	f.now = f.now.Add(time.Minute)
	c := got.Entries[0]
	f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: f.now, Refund: true}))
	// The same settlement again is lost and refunds nothing.
	f.is(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: f.now, Refund: true}), store.ErrLost)
	got = f.claimBy(store.Claim{Max: 10, PerHour: 2, LanePerHour: 2})
	f.equal("one token was given back", len(got.Entries), 1)
}

// limitModel is what a limit must do, told from the outside: every token that
// was taken and not given back, with its exact time.
type limitModel struct {
	perHour, perLane int
	now              time.Time
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
	a, _ := waypost.Allowance(all, m.perHour, m.now)
	b, _ := waypost.Allowance(lane, m.perLane, m.now)
	return min(a, b)
}

// over tells whether the hour that ends now holds more than a limit allows.
func (m *limitModel) over() bool {
	all := 0
	for _, times := range m.taken {
		lane := 0
		for _, at := range times {
			if m.now.Sub(at) < time.Hour {
				lane++
			}
		}
		if all += lane; m.perLane > 0 && lane > m.perLane {
			return true
		}
	}
	return m.perHour > 0 && all > m.perHour
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
			now: epoch, taken: map[waypost.Mailbox][]time.Time{}, due: map[waypost.Mailbox]int{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": func(rt *rapid.T) {
				box := waypost.Mailbox(rapid.IntRange(0, 1).Draw(rt, "box"))
				n := rapid.IntRange(1, 9).Draw(rt, "n")
				f.lane, f.now = waypost.Lane{Provider: provider, Mailbox: box}, m.now
				f.accept(n, m.now)
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
				f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: m.now, Refund: true}))
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
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 90*60*1000).Draw(rt, "ms")) * time.Millisecond)
			},
			"seconds": func(rt *rapid.T) { m.now = m.now.Add(17 * time.Second) },
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
		LeaseUntil: m.now.Add(10_000 * time.Hour), PerHour: m.perHour, LanePerHour: m.perLane,
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

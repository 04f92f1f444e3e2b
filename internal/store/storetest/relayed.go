package storetest

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// testRelayedEvidence: whether evidence finishes a message depends on what came
// last: its acceptance, its last attempt, or the claim of a node that may have
// died with it.
func testRelayedEvidence(t *testing.T, e Engine) {
	accepted := epoch
	claimed := epoch.Add(10 * time.Minute)
	const lease = 2 * time.Minute
	for name, c := range map[string]struct {
		claim, retry bool
		at           time.Time // of the evidence
		finished     bool
	}{
		"accepted":                       {at: accepted.Add(time.Second), finished: true},
		"seen before it was accepted":    {at: accepted.Add(-time.Second)},
		"claimed":                        {claim: true, at: claimed.Add(time.Second), finished: true},
		"seen before the claim":          {claim: true, at: claimed.Add(-time.Second)},
		"its holder died":                {claim: true, at: claimed.Add(lease + time.Minute), finished: true},
		"its attempt failed":             {claim: true, retry: true, at: claimed.Add(time.Second), finished: true},
		"seen before the failed attempt": {claim: true, retry: true, at: claimed.Add(-time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, e)
			m := f.accept(1, f.now)[0]
			var held store.Claimable
			if c.claim {
				f.now = claimed
				held = f.claimBy(store.Claim{Max: 1, LeaseUntil: claimed.Add(lease)}).Entries[0]
			}
			if c.retry {
				f.retry(held, waypost.AttemptTransient, claimed.Add(time.Hour))
			}
			f.now = c.at
			f.record(store.Fact{Event: waypost.Event{Message: m.ID, At: c.at}, Deferral: true, Relayed: true})
			f.equal("finished", f.trail(m.ID).Waiting == nil, c.finished)
			want := map[waypost.Stat]int64{waypost.StatProcessed: 1}
			if c.finished {
				want[waypost.StatSent] = 1
			}
			f.equal("counters", f.recount(), want)
			if c.claim && !c.retry {
				err := f.sent(held)
				if c.finished {
					f.is(err, store.ErrLost)
				} else {
					f.ok(err)
				}
				f.equal("sent once", f.recount()[waypost.StatSent], int64(1))
			}
		})
	}
}

package queue

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// TestOutage: nothing is claimed while storage is away, and for a while after
// it came back; errors of other kinds, and a store that always answers, hold up
// nothing.
func TestOutage(t *testing.T) {
	o, now := &outage{rest: 8 * time.Second}, time.Now()
	free := func(at time.Time, want bool) {
		t.Helper()
		if got := o.until(at).IsZero(); got != want {
			t.Errorf("may claim at %v: %v, want %v", at.Sub(now), got, want)
		}
	}
	o.note(nil, now)
	o.note(errors.New("a row that cannot be read"), now)
	free(now, true)
	o.note(store.ErrUnavailable, now)
	free(now, false)
	o.note(nil, now.Add(shortOutage/2))
	free(now.Add(shortOutage/2), true) // one call that was refused is no outage
	for _, err := range []error{fmt.Errorf("claim: %w", store.ErrUnavailable), fmt.Errorf("claim: %w", store.ErrUnknown)} {
		o.note(err, now.Add(-shortOutage))
		o.note(err, now) // goes on
		free(now, false)
		free(now.Add(time.Hour), false)
		o.note(nil, now)
		free(now, false)
		if at := o.until(now.Add(time.Second)); !at.Equal(now.Add(8 * time.Second)) {
			t.Errorf("claiming goes on at %v, want after 8 s", at.Sub(now))
		}
		o.note(nil, now.Add(4*time.Second)) // does not begin the rest anew
		free(now.Add(8*time.Second), true)
	}
	o.begin(now)
	free(now.Add(time.Hour), false)
}

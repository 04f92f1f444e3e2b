package e2e

import (
	"fmt"
	"testing"
)

// tally is counters by what they are counted for.
type tally map[string]map[string]int64

func (n tally) add(key, counter string, by int64) {
	if n[key] == nil {
		n[key] = map[string]int64{}
	}
	if by != 0 {
		n[key][counter] += by
	}
}

// equal wants the same counters but for those that are zero.
func (n tally) equal(t testing.TB, by string, want tally) {
	t.Helper()
	for _, both := range []tally{n, want} {
		for key, counts := range both {
			if len(counts) == 0 {
				delete(both, key)
			}
		}
	}
	if a, b := fmt.Sprint(n), fmt.Sprint(want); a != b { // fmt sorts the keys of maps
		t.Errorf("statistics by %s are\n%s, the events say\n%s", by, a, b)
	}
}

// counter is the counter of the statistics that an event is counted by.
func (e *listed) counter() string {
	if e.Type == 62 { // relayed by nobody
		return "dropped"
	}
	return map[int]string{
		58: "processed", 59: "sent", 60: "delivered", 63: "hardBounced", 64: "softBounced", 65: "opened", 66: "clicked", 67: "spam", 68: "unsubscribed",
	}[e.Type]
}

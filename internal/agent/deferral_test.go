package agent

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestDeferrals compares the store of deferrals with a map, and wants all of
// its room back in the end.
func TestDeferrals(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	tab := newTable()
	ds := &tab.deferrals
	entries := make([]entry, 20)
	want := make([]map[string]words, len(entries))
	for range 20_000 {
		i := rnd.IntN(len(entries))
		e := &entries[i]
		if want[i] == nil {
			want[i] = map[string]words{}
		}
		to := fmt.Sprintf("user%d@dest.example", rnd.IntN(5))
		d, kept := ds.find(e, to), want[i][to]
		if (d == nil) != (kept.to == "") {
			t.Fatalf("%s: found %v, want %+v", to, d, kept)
		}
		if d != nil && ds.read(d) != kept {
			t.Fatalf("%s: %+v, want %+v", to, ds.read(d), kept)
		}
		switch n := rnd.IntN(10); {
		case n < 3:
			ds.settle(e, to)
			delete(want[i], to)
		case n == 3:
			ds.dropAll(e)
			clear(want[i])
		default:
			w := words{
				to: to, relay: strings.Repeat("r", rnd.IntN(70)), enhanced: strings.Repeat("4", rnd.IntN(3)),
				text: strings.Repeat("text ", rnd.IntN(80)), recipient: to,
			}
			if n == 4 {
				w.recipient = "alias@dest.example"
			}
			if d == nil {
				d = ds.add(e, to)
			}
			ds.keep(d, &w)
			want[i][to] = w
		}
		if int(e.deferrals) != len(want[i]) {
			t.Fatalf("%d deferrals, want %d", e.deferrals, len(want[i]))
		}
	}
	if ds.bytes() == 0 {
		t.Error("nothing was kept at last")
	}
	for i := range entries {
		ds.dropAll(&entries[i])
	}
	if n := ds.bytes(); n != 0 {
		t.Errorf("%d bytes are still in use", n)
	}
	if n := len(ds.words.slabs); n > 3 {
		t.Errorf("%d slabs of blocks: they were not used again", n)
	}
}

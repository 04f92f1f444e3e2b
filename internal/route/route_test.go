package route

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
)

func TestClassify(t *testing.T) {
	c := NewClassifier()
	f := func(recipient, want string) {
		t.Helper()
		if got := c.Classify(recipient).String(); got != want {
			t.Fatalf("%s is %s, want %s", recipient, got, want)
		}
	}
	f("a@gmail.com", "gmail")
	f("A@GoogleMail.com", "gmail")
	f("a@hotmail.co.uk", "microsoft")
	f("a@web.de", "gmx")
	f("a@sbcglobal.net", "att")
	f("a@example.com", "default")
	f("a@gmail.com.example.com", "default")
	f("nonsense", "default")
}

func TestSharesFollowWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(-1, 100), 1, 6).Draw(t, "weights")
		pool := &waypost.Pool{}
		sum := 0
		for i, w := range weights {
			pool.Members = append(pool.Members, waypost.PoolMember{Provider: int64(i + 1), Weight: w})
			sum += max(w, 0)
		}
		const n = 4000
		got := map[int64]int{}
		for range n {
			got[Choose(pool, waypost.NewUUID(time.Unix(1, 0)))]++
		}
		if sum == 0 {
			if got[0] != n {
				t.Fatalf("no weight, but %v", got)
			}
			return
		}
		for _, m := range pool.Members {
			want := float64(n) * float64(max(m.Weight, 0)) / float64(sum)
			if d := float64(got[m.Provider]) - want; d > 250 || d < -250 { // eight standard deviations at the worst share
				t.Fatalf("provider %d of weight %d got %d of %d, want about %.0f", m.Provider, m.Weight, got[m.Provider], n, want)
			}
		}
		id := waypost.NewUUID(time.Now())
		if first, again := Choose(pool, id), Choose(pool, id); first != again {
			t.Fatal("the same message went two ways")
		}
	})
}

package dash

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// share is a provider's part of a pool.
type share struct {
	ID       int64
	Name     string
	Weight   int
	Intended float64 // 0 to 1
	Count    int
	Actual   float64 // 0 to 1
	Class    string  // of manage.css
	Member   bool    // else it took mail when it still was one, or by overflow
}

// colours is how many classes c0, c1 … manage.css has.
const colours = 8

func intended(p *waypost.Pool, names map[int64]string) []share {
	sum := 0
	for _, m := range p.Members {
		sum += m.Weight
	}
	var out []share
	for i, m := range p.Members {
		s := share{ID: m.Provider, Name: orElse(names[m.Provider], "a deleted provider"), Weight: m.Weight, Class: fmt.Sprintf("c%d", i%colours), Member: true}
		if sum > 0 {
			s.Intended = float64(m.Weight) / float64(sum)
		}
		out = append(out, s)
	}
	return out
}

// actual adds what each provider got, others than the members too.
func actual(shares []share, counts map[int64]int, seen int, names map[int64]string) []share {
	ids := make([]int64, 0, len(counts))
	for id := range counts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		i := slices.IndexFunc(shares, func(s share) bool { return s.ID == id })
		if i < 0 {
			i = len(shares)
			shares = append(shares, share{ID: id, Name: orElse(names[id], "a deleted provider"), Class: fmt.Sprintf("c%d", i%colours)})
		}
		shares[i].Count = counts[id]
		if seen > 0 {
			shares[i].Actual = float64(counts[id]) / float64(seen)
		}
	}
	return shares
}

// lately counts the messages of a pool that each provider took in the present
// hour and the 24 before it.
func (d *Dash) lately(v *visit, pool int64) (counts map[int64]int, seen int, err error) {
	rows, err := d.cfg.Store.Times(v.ctx(), store.TimeQuery{
		Account: v.account(), Kind: store.TimedPool, From: v.now.Truncate(time.Hour).Add(-24 * time.Hour), To: v.now.Add(time.Minute), Keys: []int{int(pool)}, ByProvider: true,
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the counters of pool %d: %w", pool, err)
	}
	counts = map[int64]int{}
	for _, r := range rows {
		if r.Provider != 0 {
			counts[r.Provider] += int(r.N)
			seen += int(r.N)
		}
	}
	return counts, seen, nil
}

// bar is shares as a picture.
type bar struct {
	Title string
	Plot  template.HTML
}

// drawBar draws shares side by side; the table below has the numbers.
func drawBar(title string, shares []share, of func(*share) float64) bar {
	const width, height = 600.0, 28.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="bar" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s; the numbers stand in the table"><rect class="track" width="%g" height="%g"/>`,
		width, height, template.HTMLEscapeString(title), width, height)
	x := 0.0
	for i := range shares {
		w := width * of(&shares[i])
		if w <= 0 {
			continue
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%.2f" width="%.2f" height="%g"><title>%s: %s</title></rect>`,
			shares[i].Class, x, max(w-1, 0.5), height, template.HTMLEscapeString(shares[i].Name), percent(of(&shares[i])))
		x += w
	}
	b.WriteString(`</svg>`)
	return bar{title, template.HTML(b.String())} //nolint:gosec // numbers, classes of ours, and escaped words
}

// Bar draws the intended shares of a pool in a list.
func (r poolRow) Bar() bar {
	return drawBar("Intended shares", r.Shares, func(s *share) float64 { return s.Intended })
}

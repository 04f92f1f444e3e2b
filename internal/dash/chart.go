package dash

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// chart is a plot drawn here, and the table of its numbers.
type chart struct {
	Name   string // in addresses of its CSV file: small letters
	Title  string
	Lines  bool   // lines; else bars, stacked
	Unit   string // "" for numbers, "%" for shares of 0 to 1, "s" for times in seconds
	Series []series
	Points []string // what stands below: days, minutes
	What   string   // head of the table's first column; "" : When
	Marks  []level  // warning lines
	Floor  float64  // value of the bottom line: a line that hugs 1 needs no 0
	Note   string
	Empty  string // what is said in the place of a plot of nothing; "" : an empty plot
	Now    chip   // what it comes to, beside the title
	Heat   bool   // a heat map: points across, series down
	Most   string // of a heat map: what its darkest shade stands for
	Tabs   []statTab
	CSV    string // address of its file, set by the page
	Plot   template.HTML
	Ticks  []string // of the upright axis, from the top
	Below  []string // the few of Points that stand below the plot
}

// series is one outcome, or one line.
type series struct {
	Name   string
	Class  string // of style.css: s-ok, s-warn …
	Values []float64
}

// level is a warning line.
type level struct {
	Name  string
	At    float64
	Class string
}

// The field that plots are drawn on; the page stretches it.
const (
	plotWidth  = 600.0
	plotHeight = 160.0
)

// draw fills in the plot.
func (c *chart) draw() *chart {
	top := c.top()
	for i := 4; i >= 0; i -= 2 {
		c.Ticks = append(c.Ticks, c.format(c.Floor+(top-c.Floor)*float64(i)/4))
	}
	if n := len(c.Points); n > 0 {
		c.Below = []string{c.Points[0]}
		if n > 4 {
			c.Below = append(c.Below, c.Points[n/2])
		}
		c.Below = append(c.Below, c.Points[n-1])
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(c.Title+"; the numbers follow as a table"))
	for i := 0; i <= 4; i += 2 {
		y := plotHeight * float64(i) / 4
		fmt.Fprintf(&b, `<line class="grid" x1="0" x2="%g" y1="%.1f" y2="%.1f"/>`, plotWidth, y, y)
	}
	if c.Lines {
		c.lines(&b, top)
	} else {
		c.bars(&b, top)
	}
	for _, m := range c.Marks {
		if m.At >= c.Floor && m.At <= top {
			y := c.y(m.At, top)
			fmt.Fprintf(&b, `<line class="level %s" x1="0" x2="%g" y1="%.1f" y2="%.1f"><title>%s</title></line>`, m.Class, plotWidth, y, y, template.HTMLEscapeString(m.Name))
		}
	}
	b.WriteString(`</svg>`)
	c.Plot = template.HTML(b.String()) //nolint:gosec // numbers, classes of ours, and escaped words
	return c
}

// top is a round number that no value exceeds.
func (c *chart) top() float64 {
	most := 0.0
	for i := range c.Points {
		sum := 0.0
		for _, s := range c.Series {
			if c.Lines {
				sum = max(sum, s.at(i))
			} else {
				sum += s.at(i)
			}
		}
		most = max(most, sum)
	}
	for _, m := range c.Marks {
		most = max(most, m.At*1.1)
	}
	switch {
	case c.Floor > 0:
		return 1
	case c.Unit == "%":
		return min(1, roundUp(max(most, c.least())))
	case c.Unit == "s":
		return roundUpTime(max(most, 0.1))
	}
	return max(4, roundUp(most))
}

// least is the smallest top of a plot of shares: one that has marks shows them.
func (c *chart) least() float64 {
	if len(c.Marks) > 0 {
		return 0.0001
	}
	return 0.01
}

// y is the height of a value, from the top of the field.
func (c *chart) y(v, top float64) float64 {
	return plotHeight * (1 - min(max((v-c.Floor)/(top-c.Floor), 0), 1))
}

// Blank tells whether there is nothing to plot.
func (c *chart) Blank() bool {
	for i := range c.Series {
		for _, v := range c.Series[i].Values {
			if v != 0 && !math.IsNaN(v) {
				return false
			}
		}
	}
	return true
}

// at is a value; missing ones and those that are no number are 0.
func (s *series) at(i int) float64 {
	if i >= len(s.Values) || math.IsNaN(s.Values[i]) || math.IsInf(s.Values[i], 0) {
		return 0
	}
	return max(0, s.Values[i])
}

func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 6, 8, 10} { // of which the half is round, too
		if v <= m*p*1.0000001 {
			return m * p
		}
	}
	return 10 * p
}

// roundUpTime is roundUp for seconds: to what a clock calls round, as is its
// half.
func roundUpTime(v float64) float64 {
	const minute, hour, day = 60, 3600, 86400
	for _, bound := range []float64{0.1, 0.2, 0.4, 1, 2, 4, 10, 20, minute, 2 * minute, 4 * minute, 10 * minute, 20 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 12 * hour, day, 2 * day, 4 * day} {
		if v <= bound {
			return bound
		}
	}
	return roundUp(v/day) * day
}

func (c *chart) bars(b *strings.Builder, top float64) {
	n := float64(max(1, len(c.Points)))
	step := plotWidth / n
	gap := min(step*0.25, 6)
	for i, name := range c.Points {
		y := plotHeight
		var words []string
		var rects strings.Builder
		for _, s := range c.Series {
			v := s.at(i)
			if v == 0 {
				continue
			}
			h := plotHeight * v / top
			y -= h
			fmt.Fprintf(&rects, `<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`, s.Class, float64(i)*step+gap/2, y, step-gap, h)
			words = append(words, s.Name+" "+c.format(v))
		}
		fmt.Fprintf(b, `<g class="col"><title>%s: %s</title><rect class="hit" x="%.2f" y="0" width="%.2f" height="%g"/>%s</g>`,
			template.HTMLEscapeString(name), template.HTMLEscapeString(orElse(strings.Join(words, ", "), "nothing")), float64(i)*step, step, plotHeight, rects.String())
	}
}

func (c *chart) lines(b *strings.Builder, top float64) {
	x := func(i int) float64 {
		if len(c.Points) < 2 {
			return plotWidth / 2
		}
		return plotWidth * float64(i) / float64(len(c.Points)-1)
	}
	for _, s := range c.Series {
		var d strings.Builder
		pen := "M"
		for i := range c.Points {
			if i >= len(s.Values) || math.IsNaN(s.Values[i]) {
				pen = "M" // nothing is known of this point: the line has a gap
				continue
			}
			if alone(s.Values, i) { // a point between gaps would be no line
				fmt.Fprintf(b, `<path class="line dot %s" d="M%.1f %.1fh0.1"/>`, s.Class, x(i), c.y(s.at(i), top))
			}
			fmt.Fprintf(&d, "%s%.1f %.1f", pen, x(i), c.y(s.at(i), top))
			pen = "L"
		}
		fmt.Fprintf(b, `<path class="line %s" d="%s"><title>%s</title></path>`, s.Class, d.String(), template.HTMLEscapeString(s.Name))
	}
	step := plotWidth / float64(max(1, len(c.Points)))
	for i, name := range c.Points {
		var words []string
		for _, s := range c.Series {
			if i < len(s.Values) && !math.IsNaN(s.Values[i]) {
				words = append(words, s.Name+" "+c.format(s.Values[i]))
			}
		}
		fmt.Fprintf(b, `<g class="col"><title>%s: %s</title><rect class="hit" x="%.2f" y="0" width="%.2f" height="%g"/></g>`,
			template.HTMLEscapeString(name), template.HTMLEscapeString(orElse(strings.Join(words, ", "), "nothing")), float64(i)*step, step, plotHeight)
	}
}

// alone tells whether nothing is known of the points beside one.
func alone(values []float64, i int) bool {
	gap := func(i int) bool { return i < 0 || i >= len(values) || math.IsNaN(values[i]) }
	return gap(i-1) && gap(i+1)
}

func (c *chart) format(v float64) string {
	switch c.Unit {
	case "%":
		return percent(v)
	case "s":
		if v == 0 {
			return "0"
		}
		return spell(time.Duration(v * float64(time.Second)))
	}
	if v == math.Trunc(v) {
		return number(int64(v))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// Rows is the table of the numbers.
func (c *chart) Rows() []chartRow {
	out := make([]chartRow, len(c.Points))
	for i, p := range c.Points {
		out[i].Name = p
		for _, s := range c.Series {
			cell := "–"
			if i < len(s.Values) && !math.IsNaN(s.Values[i]) {
				cell = c.format(s.Values[i])
			}
			out[i].Cells = append(out[i].Cells, cell)
		}
	}
	return out
}

// chartRow is one line of the table beside a plot.
type chartRow struct {
	Name  string
	Cells []string
}

// sparkline draws a few values without axes; the number beside it says what
// they lead to.
func sparkline(values []float64, class string) template.HTML {
	if len(values) < 2 {
		return ""
	}
	const w, h = 120.0, 32.0
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	if top == 0 {
		top = 1
	}
	var d strings.Builder
	pen := "M"
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", pen, w*float64(i)/float64(len(values)-1), 2+(h-4)*(1-v/top))
		pen = "L"
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %g %g" preserveAspectRatio="none" aria-hidden="true"><path class="line %s" d="%s"/></svg>`, w, h, class, d.String())) //nolint:gosec // numbers and a class of ours
}

// gauge draws how much of a limit is used, 0 to 1.
func gauge(share float64) template.HTML {
	share = min(max(share, 0), 1)
	class := "s-ok"
	switch {
	case share >= 1:
		class = "s-bad"
	case share >= 0.8:
		class = "s-warn"
	}
	return template.HTML(fmt.Sprintf(`<svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="6"/><rect class="%s" width="%.1f" height="6"/></svg>`, class, share*100)) //nolint:gosec // as above
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

package dash

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func TestParseLine(t *testing.T) {
	for _, tt := range []struct {
		text    string
		falling bool
		want    Line
		bad     string
	}{
		{"2,5", false, Line{0.02, 0.05}, ""},
		{" 95 , 90.5 ", true, Line{0.95, 0.905}, ""},
		{"0.1,0.5", false, Line{0.001, 0.005}, ""},
		{"3,3", false, Line{0.03, 0.03}, ""},
		{"5,2", false, Line{}, "danger begins behind attention"},
		{"90,95", true, Line{}, "danger begins behind attention"},
		{"2", false, Line{}, "two percentages"},
		{"2,5,7", false, Line{}, "two percentages"},
		{"2,x", false, Line{}, "no percentage"},
		{"-1,5", false, Line{}, "no percentage"},
		{"2,101", false, Line{}, "no percentage"},
		{"NaN,5", false, Line{}, "no percentage"},
	} {
		got, err := ParseLine(tt.text, tt.falling)
		switch {
		case tt.bad == "" && (err != nil || math.Abs(got.Warn-tt.want.Warn) > 1e-12 || math.Abs(got.Bad-tt.want.Bad) > 1e-12):
			t.Errorf("%q is %v, %v; want %v", tt.text, got, err, tt.want)
		case tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)):
			t.Errorf("%q: %v, want %q", tt.text, err, tt.bad)
		}
	}
}

func TestRateKind(t *testing.T) {
	rising, falling := rate{Line: Line{0.02, 0.05}}, rate{Falling: true, Line: Line{0.95, 0.90}}
	for _, tt := range []struct {
		r     *rate
		share float64
		want  string
	}{
		{&rising, 0, "ok"},
		{&rising, 0.02, "ok"},
		{&rising, 0.021, "warn"},
		{&rising, 0.06, "bad"},
		{&rising, math.NaN(), ""},
		{&falling, 1, "ok"},
		{&falling, 0.95, "ok"},
		{&falling, 0.94, "warn"},
		{&falling, 0.2, "bad"},
	} {
		if got := tt.r.kind(tt.share); got != tt.want {
			t.Errorf("%v is %q, want %q", tt.share, got, tt.want)
		}
	}
}

// TestChartDraws: gaps stay gaps, a point between gaps is seen, a floor lifts
// the bottom line, and names are escaped.
func TestChartDraws(t *testing.T) {
	nan := math.NaN()
	c := (&chart{
		Title: `<i>"`, Lines: true, Unit: "%", Floor: 0.8, Points: []string{"a", "b", "c", "d<"},
		Series: []series{{Name: "one", Class: "s-ok", Values: []float64{0.9, nan, 1, nan}}},
	}).draw()
	plot := string(c.Plot)
	if strings.Contains(plot, "<i>") || strings.Contains(plot, "d<:") || strings.Count(plot, "line dot") != 2 {
		t.Errorf("the plot is %s", plot)
	}
	if got := strings.Join(c.Ticks, " "); got != "100 % 90.0 % 80.0 %" {
		t.Errorf("ticks %s", got)
	}
	if rows := c.Rows(); rows[1].Cells[0] != "–" || rows[2].Cells[0] != "100 %" {
		t.Errorf("rows %v", rows)
	}
	if c.Blank() || !(&chart{Points: []string{"a"}, Series: []series{{Values: []float64{0, nan}}}}).Blank() {
		t.Error("what is blank is judged wrongly")
	}
}

func TestRoundUpTime(t *testing.T) {
	for v, want := range map[float64]float64{0.05: 0.1, 0.3: 0.4, 61: 120, 900: 1200, 3601: 7200, 86400: 86400, 5 * 86400: 6 * 86400} {
		if got := roundUpTime(v); got != want {
			t.Errorf("%v is rounded to %v, want %v", v, got, want)
		}
	}
}

// TestPlotFile: a file has numbers as numbers, nothing for what is unknown, and
// no cell that a spreadsheet would compute.
func TestPlotFile(t *testing.T) {
	c := &chart{Name: "x", What: "day", Points: []string{"1 Jan", "=2+2"}, Series: []series{{Name: "@sum", Values: []float64{0.125, math.NaN()}}}}
	w := httptest.NewRecorder()
	v := &visit{w: w, r: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/p?by=day&csv=x", nil)}
	if !v.plots(nil, &chart{}, c) {
		t.Fatal("the file was not written")
	}
	if got := w.Body.String(); got != "day,'@sum\n1 Jan,0.125\n'=2+2,\n" {
		t.Errorf("the file is %q", got)
	}
	v.r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/p?by=day", nil)
	if v.plots(c) || c.CSV != "/p?by=day&csv=x" {
		t.Errorf("the address is %q", c.CSV)
	}
}

func TestFunnel(t *testing.T) {
	b := funnel(&counters{Processed: 200, Sent: 150, Delivered: 120, UniqueOpen: 30})
	var got []string
	for _, r := range b.Rows {
		got = append(got, r.Name+" "+number(r.N)+" "+r.Share)
	}
	if s := strings.Join(got, "; "); s != "Accepted 200 –; Sent 150 75.0 %; Delivered 120 80.0 %; Opened 30 25.0 %; Clicked 0 0 %" {
		t.Error(s)
	}
	if !funnel(&counters{}).Blank() {
		t.Error("nothing is a funnel")
	}
}

func TestLatencyChart(t *testing.T) {
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	rows := []store.TimeRow{
		{At: at, Key: waypost.RelayTimes.Bucket(90 * time.Millisecond), N: 90},
		{At: at, Key: waypost.RelayTimes.Bucket(4 * time.Second), N: 10},
		{At: at.Add(time.Hour), Key: 10_000, N: 3}, // no bucket of ours
	}
	c := latencyChart([]string{"09:00", "10:00"}, rows, func(r store.TimeRow) int { return int(r.At.Sub(at) / time.Hour) })
	p50, p95 := c.Series[0].Values, c.Series[1].Values
	if !(p50[0] > 0.05 && p50[0] <= 0.1) || !(p95[0] > 2 && p95[0] <= 5) || !math.IsNaN(p50[1]) || !math.IsNaN(p95[1]) {
		t.Errorf("p50 %v, p95 %v", p50, p95)
	}
}

func TestAgentCard(t *testing.T) {
	now := time.Now()
	card := func(age time.Duration, st waypost.AgentState) (agentCard, chip) {
		s := providerState{Seen: waypost.Agent{LastSeen: now.Add(-age), State: st}}
		return cardOf(&s, now), agentChip(&s.Seen, now)
	}
	fine := waypost.AgentState{Status: "ok", Log: "/var/log/mail.log"}
	behind := waypost.AgentState{Status: "degraded", Reasons: []string{"the spool is nearly full"}, Log: "x", LagBytes: 5 << 20}
	for _, tt := range []struct {
		age            time.Duration
		state          waypost.AgentState
		kind           string
		trouble, nexts int
	}{
		{time.Second, fine, "ok", 0, 0},
		{time.Second, waypost.AgentState{}, "ok", 0, 0}, // an older agent tells nothing
		{time.Second, behind, "warn", 2, 1},
		{time.Second, waypost.AgentState{Status: "failing", Reasons: []string{"the log cannot be read"}}, "bad", 1, 1},
		{20 * time.Minute, fine, "warn", 1, 2},
		{3 * time.Hour, behind, "bad", 3, 2},
	} {
		c, mark := card(tt.age, tt.state)
		if mark.Kind != tt.kind || len(c.Trouble) != tt.trouble || len(c.Next) != tt.nexts {
			t.Errorf("after %s in state %q: %s, %q, %q", tt.age, tt.state.Status, mark.Kind, c.Trouble, c.Next)
		}
	}
	if c, mark := card(3*time.Hour, behind); !strings.Contains(strings.Join(c.Trouble, " "), "When it was last heard: it has not caught up with its log, 5.0 MiB unread.") || mark.Text != "agent silent" {
		t.Errorf("%q", c.Trouble)
	}
	var never providerState
	if c := cardOf(&never, now); len(c.Trouble)+len(c.Next) != 0 {
		t.Errorf("an agent that never came: %q", c)
	}
}

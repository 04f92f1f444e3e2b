package torture

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// report is what a drill found.
type report struct {
	name  string
	lines [][2]string
}

func (r *report) add(what, format string, args ...any) {
	r.lines = append(r.lines, [2]string{what, fmt.Sprintf(format, args...)})
}

func (r *report) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", r.name)
	for _, l := range r.lines {
		fmt.Fprintf(&b, "  %-44s %s\n", l[0], l[1])
	}
	t.Log(b.String())
}

// told is an event of the export.
type told struct {
	Type      int    `json:"type"`
	MessageID string `json:"messageId"`
	Code      int    `json:"smtpCode"`
	Source    string `json:"source"`
}

// The numbers of events (sendpost.md, b).
const (
	processed, sent, delivered, hardBounced, softBounced = 58, 59, 60, 63, 64
)

var counters = map[int]string{processed: "processed", sent: "sent", delivered: "delivered", 62: "dropped", hardBounced: "hardBounced", softBounced: "softBounced"}

// events reads all events, by message; a message that is not there is not in
// the map.
func (w *world) events(t *testing.T) map[string][]told {
	t.Helper()
	out := map[string][]told{}
	for line := range bytes.Lines(w.must(t, http.MethodGet, "/account/export/event?format=ndjson", nil, nil)) {
		var e told
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out[e.MessageID] = append(out[e.MessageID], e)
	}
	return out
}

// finished tells whether a message has the event of its end.
func finished(all []told) bool {
	return slices.ContainsFunc(all, func(e told) bool { return e.Type == sent }) &&
		slices.ContainsFunc(all, func(e told) bool { return e.Type == delivered || e.Type == hardBounced || e.Type == softBounced })
}

// settle waits until every message that was accepted has come to its end and
// the agent has told of all.
func (w *world) settle(t *testing.T) map[string][]told {
	t.Helper()
	var all map[string][]told
	var open string
	done := within(t.Context(), func() bool {
		// The first provider is the one without a limit that is felt.
		n, err := w.query(t.Context(), "SELECT count(*) FROM queue WHERE provider = (SELECT min(id) FROM provider)")
		if err != nil || n > 0 {
			open = fmt.Sprintf("%d messages that wait (%v)", n, err)
			return false
		}
		if !w.agentIdle(t) {
			open = "the agent's rest"
			return false
		}
		all = w.events(t)
		for id, to := range w.load.accepted {
			if !w.load.waiting[id] && !finished(all[id]) {
				open = fmt.Sprintf("the end of %s to %s, events %v", id, to, all[id])
				time.Sleep(500 * time.Millisecond) // an export costs more than a look
				return false
			}
		}
		return true
	})
	if !done {
		t.Errorf("lost: waited %v in vain for %s", patience, open)
	}
	return all
}

// audit counts everything. kills is how often messages in flight may have been
// cut.
func (w *world) audit(t *testing.T, r *report, kills int) {
	t.Helper()
	all := w.settle(t)
	l := &w.load
	r.add("calls", "%d, not answered %d, refused %v", l.calls, l.unanswered, l.refused)
	for _, odd := range l.odd {
		t.Errorf("an answer that is none: %s", odd)
	}
	lost, twice := 0, 0
	for id, to := range l.accepted {
		if len(all[id]) == 0 {
			lost++
			t.Errorf("%s to %s was accepted and is not there", id, to)
			continue
		}
		want := map[int]int{processed: 1, sent: 1, endOf(to): 1}
		if l.waiting[id] {
			want = map[int]int{processed: 1}
			if len(all[id]) > 1 {
				want[sent] = 1
			}
		}
		got := map[int]int{}
		for _, e := range all[id] {
			got[e.Type]++
		}
		for _, n := range got {
			twice += n - 1
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s to %s has events %v, want %v", id, to, got, want)
		}
	}
	r.add("accepted messages", "%d, lost %d", len(l.accepted), lost)
	events := 0
	for _, list := range all {
		events += len(list)
	}
	relayedTwice := w.auditRelay(t, r, all, kills)
	// What was relayed twice has two ends in the mail server's log; the second
	// is kept as evidence and counted nowhere.
	again := max(w.evidence(t)-relayedTwice-w.told, 0)
	r.add("events", "%d, stored twice %d", events, twice+again)
	if again > 0 {
		t.Errorf("%d reports of the agent were stored twice, under different ids", again)
	}
	w.auditSuppressions(t, r)
	w.auditStatistics(t, r)
}

// endOf is the event that a recipient leads to.
func endOf(to string) int {
	switch local, _, _ := strings.Cut(to, "+"); local {
	case "hardbounce":
		return hardBounced
	case "softbounce":
		return softBounced
	}
	return delivered
}

func (w *world) auditSuppressions(t *testing.T, r *report) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(w.must(t, http.MethodGet, "/subaccount/suppression/export", nil, nil))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, line := range lines {
		have[line[0]] = true
	}
	want, lost := 0, 0
	for id, to := range w.load.accepted {
		if w.load.waiting[id] || endOf(to) != hardBounced {
			continue
		}
		if want++; !have[to] {
			lost++
			t.Errorf("%s bounced hard and is not suppressed", to)
		}
	}
	r.add("suppressions", "%d, lost %d", want, lost)
}

// auditStatistics recounts the events and compares with the counters, over all
// and by mailbox category. What nobody waited for, such as messages of calls
// that were not answered, may still be on its way: it counts again until no
// event came meanwhile.
func (w *world) auditStatistics(t *testing.T, r *report) {
	t.Helper()
	now := time.Now().UTC()
	span := "?from=" + now.AddDate(0, 0, -2).Format(time.DateOnly) + "&to=" + now.AddDate(0, 0, 1).Format(time.DateOnly)
	type row struct{ Stat map[string]int64 }
	var want map[string]int64
	var days, boxes []row
	eventually(t, "no more events to come", func() bool {
		want, days, boxes = recount(w.events(t)), nil, nil
		w.must(t, http.MethodGet, "/account/stat"+span, nil, &days)
		w.must(t, http.MethodGet, "/account/stat/breakdown"+span+"&by=mailbox", nil, &boxes)
		return maps.Equal(want, recount(w.events(t)))
	})
	verdict := "equal the recount"
	for by, rows := range map[string][]row{"day": days, "mailbox category": boxes} {
		got := map[string]int64{}
		for _, row := range rows {
			for counter, n := range row.Stat {
				if n != 0 && !strings.HasPrefix(counter, "unique") {
					got[counter] += n
				}
			}
		}
		if !maps.Equal(got, want) {
			verdict = "WRONG"
			t.Errorf("statistics by %s are %v, the events say %v", by, got, want)
		}
	}
	r.add("statistics", "%s: %v", verdict, want)
}

func recount(all map[string][]told) map[string]int64 {
	out := map[string]int64{}
	for _, list := range all {
		for _, e := range list {
			out[counters[e.Type]]++
		}
	}
	return out
}

// arrival is the line by which a mail server takes a message into its queue.
var arrival = regexp.MustCompile(`(?m)^(\S+) \S+ postfix/cleanup\[\d+\]: \w+: message-id=<([0-9a-f-]{36})@`)

// auditRelay counts in the mail server's log what came more than once. Only
// what a kill cut may: it was in flight.
func (w *world) auditRelay(t *testing.T, r *report, all map[string][]told, kills int) (twice int) {
	t.Helper()
	b, err := os.ReadFile(w.relay.log)
	if err != nil {
		t.Fatal(err)
	}
	queued := map[string]int{}
	for _, m := range arrival.FindAllSubmatch(b, -1) {
		queued[string(m[2])]++
	}
	proven := 0
	for id, n := range queued {
		twice += n - 1
		// Without a reply the agent's report was the first to say that the mail
		// server has the message: a kill had cut it.
		if slices.ContainsFunc(all[id], func(e told) bool { return e.Type == sent && e.Code == 0 }) {
			proven++
		}
	}
	for id := range w.load.accepted {
		if !w.load.waiting[id] && queued[id] == 0 {
			t.Errorf("%s was accepted and never reached the mail server", id)
		}
	}
	share := 0.0
	if cut := twice + proven; cut > 0 {
		share = 100 * float64(twice) / float64(cut)
	}
	r.add("relayed twice", "%d of %d messages; %d more were cut and settled by the agent's report (%.1f %% of those cut came twice)", twice, len(queued), proven, share)
	if most := kills * inFlight; twice > most {
		t.Errorf("%d messages were relayed twice; %d kills explain %d", twice, kills, most)
	}
	if w.limited != nil {
		w.auditLimit(t, r)
	}
	return twice
}

// inFlight is how many messages a node has in flight for one provider at most:
// four for each of its 20 sessions.
const inFlight = 80

// auditLimit looks for the hour in which the limited provider got most.
func (w *world) auditLimit(t *testing.T, r *report) {
	t.Helper()
	b, err := os.ReadFile(w.limited.log)
	if err != nil {
		t.Fatal(err)
	}
	var at []time.Time
	for _, m := range arrival.FindAllSubmatch(b, -1) {
		when, err := time.Parse(time.RFC3339Nano, string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, when)
	}
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) > 59*time.Minute { // limits are exact to a minute
			first++
		}
		most = max(most, i-first+1)
	}
	r.add("most in a rolling hour", "%d of a limit of %d, %d waited for it", most, w.limited.limit, len(w.load.waiting))
	if most > w.limited.limit || most == 0 {
		t.Errorf("the limited provider relayed %d in an hour, the limit is %d", most, w.limited.limit)
	}
}

// evidence counts events that were told twice under different ids. It reads
// the database itself: lists leave them out.
func (w *world) evidence(t *testing.T) int {
	t.Helper()
	n, err := w.query(context.WithoutCancel(t.Context()), "SELECT count(*) FROM event WHERE evidence = "+map[bool]string{true: "1", false: "true"}[w.database == ""])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

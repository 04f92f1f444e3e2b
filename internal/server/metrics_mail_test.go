package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// TestMailMetrics relays a message, has its delivery reported, pauses the
// provider, and finds all of it at /metrics.
func TestMailMetrics(t *testing.T) {
	h := newHouse(t, nil)
	providers, err := h.node.store.Providers(t.Context(), h.sub.Account, store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	p := providers[0]
	h.wantMetrics(`waypost_agent_last_seen_timestamp_seconds{name="mta",tpsp="1"} 0`, `waypost_provider_paused{name="mta",tpsp="1"} 0`)

	got := h.send("news@example.com")
	h.until("the message is sent", func() bool {
		return strings.Contains(h.metrics(), `waypost_events_total{source="relay",type="CSSent"} 1`)
	})
	seen := time.UnixMilli(1_790_000_000_500)
	if err := h.node.store.AgentSeen(t.Context(), waypost.Agent{Provider: p.ID, LastSeen: seen}); err != nil {
		t.Fatal(err)
	}
	item := waypost.ReportItem{EventID: "1", MessageID: got.ID.String(), EventType: waypost.ReportDelivered, SMTPCode: 250}
	for range 2 { // the second is a duplicate, and counts for nothing
		if _, err := h.node.door.Report(t.Context(), p.ID, []waypost.ReportItem{item}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.node.queue.Pause(t.Context(), waypost.Pause{Account: h.sub.Account, Provider: p.ID, Mailbox: waypost.AllMailboxes, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	h.wantMetrics(
		`waypost_events_total{source="api",type="CSProcessed"} 1`,
		`waypost_events_total{source="agent",type="CSDelivered"} 1`,
		`waypost_relay_attempts_total{result="sent",tpsp="1"} 1`,
		`waypost_relay_seconds_count{tpsp="1"} 1`,
		`waypost_in_flight_messages{name="mta",tpsp="1"} 0`,
		`waypost_breaker_open{name="mta",tpsp="1"} 0`,
		`waypost_provider_paused{name="mta",tpsp="1"} 1`,
		`waypost_agent_last_seen_timestamp_seconds{name="mta",tpsp="1"} 1.7900000005e+09`,
		`waypost_queue_late_seconds 0`,
	)

	// The guide for operators names each of them, and no other.
	guide, err := os.ReadFile("../../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(re, text string) []string {
		var all []string
		for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	served := names(`(?m)^# TYPE (waypost_\w+)`, h.metrics())
	if told := names("(?m)^\\| `(waypost_\\w+)", string(guide)); !slices.Equal(told, served) {
		t.Errorf("doc/operating.md lists\n%q\n/metrics has\n%q", told, served)
	}
}

func (h *house) metrics() string {
	h.Helper()
	status, body := h.read(h.url + "/metrics")
	if status != 200 {
		h.Fatalf("/metrics: %d %s", status, body)
	}
	return body
}

func (h *house) wantMetrics(lines ...string) {
	h.Helper()
	body := h.metrics()
	for _, line := range lines {
		if !strings.Contains(body, "\n"+line+"\n") {
			h.Errorf("no %q among\n%s", line, strings.Join(regexp.MustCompile(`(?m)^waypost_.*`).FindAllString(body, -1), "\n"))
		}
	}
}

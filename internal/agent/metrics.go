package agent

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metrics writes the counters in the text format of Prometheus.
func (a *agent) metrics(now time.Time) []byte {
	h := a.health(now)
	var b []byte
	metric := func(name, kind, help string, value float64) {
		b = fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name, kind, name, number(value))
	}
	labelled := func(name, kind, help, label string, values map[string]int64) {
		b = fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			b = fmt.Appendf(b, "%s{%s=\"%s\"} %d\n", name, label, escapeLabel(k), values[k])
		}
	}
	const p = "waypost_agent_"
	up := 1.0
	if h.Status == "failing" {
		up = 0
	}
	labelled(p+"build_info", "gauge", "Version of the agent.", "version", map[string]int64{h.Version: 1})
	metric(p+"healthy", "gauge", "1 unless the agent is stuck.", up)
	metric(p+"lines_total", "counter", "Log lines read.", float64(h.Lines))
	metric(p+"lines_cut_total", "counter", "Log lines too long to look at.", float64(h.LinesCut))
	metric(p+"parse_errors_total", "counter", "Log lines of an unknown form.", float64(h.ParseErrors))
	labelled(p+"events_total", "counter", "Events found, by type.", "type", h.Events)
	labelled(p+"correlated_total", "counter", "Events by how their message was found.", "method", map[string]int64{
		"return_path": h.CorrelatedBy.ReturnPath, "header": h.CorrelatedBy.Header,
		"message_id": h.CorrelatedBy.MessageID, "chain": h.CorrelatedBy.Chain,
	})
	labelled(p+"unknown_queue_id_total", "counter", "Outcomes without a message, by reason.", "reason", h.Unknown)
	metric(p+"hops_total", "counter", "Sent lines that only passed a message on.", float64(h.Hops))
	metric(p+"outcomes_lost_total", "counter", "Recipients without an outcome when their message was removed.", float64(h.OutcomesLost))
	metric(p+"evicted_total", "counter", "Queue ids forgotten for want of room.", float64(h.Evicted))
	metric(p+"table_entries", "gauge", "Queue ids remembered.", float64(h.Remembered))
	metric(p+"lag_bytes", "gauge", "Bytes of the log not read yet.", float64(h.LagBytes))
	metric(p+"rotations_total", "counter", "Times reading went on in a newer file.", float64(h.Rotations))
	metric(p+"broken_archives_total", "counter", "Rotated logs that could not be unzipped to their end.", float64(h.BrokenArchives))
	metric(p+"spool_bytes", "gauge", "Size of the spool on disk.", float64(h.SpoolBytes))
	metric(p+"spool_events", "gauge", "Events that the server does not have yet.", float64(h.Buffered))
	metric(p+"sent_total", "counter", "Events that the server took.", float64(h.Sent))
	metric(p+"rejected_total", "counter", "Events that the server refused.", float64(h.Rejected))
	metric(p+"dropped_total", "counter", "Events lost to damage of the spool.", float64(h.Dropped))
	metric(p+"clock_skew_seconds", "gauge", "Server's clock ahead of this one.", h.ClockSkewSeconds)
	codes, latency := map[string]int64{}, time.Duration(0)
	a.status.with(func(s *status) {
		latency = s.latency
		for code, n := range s.requests {
			codes[strconv.Itoa(code)] = n // 0: no answer
		}
	})
	labelled(p+"requests_total", "counter", "Requests to the server, by status; 0 is no answer.", "code", codes)
	metric(p+"request_seconds_total", "counter", "Time spent in requests.", latency.Seconds())
	return b
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// escapeLabel escapes a label's value.
func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}

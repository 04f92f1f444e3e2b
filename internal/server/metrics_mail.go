package server

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/store"
)

// attempts counts the attempts of this node to relay messages.
type attempts struct {
	number  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newAttempts() *attempts {
	return &attempts{
		number: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waypost_relay_attempts_total", Help: "Attempts of this node to relay a message, by provider and result: sent, transient (retried), permanent, or unknown (cut after the last byte).",
		}, []string{"tpsp", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "waypost_relay_seconds", Help: "How long these attempts took, from composing the message to the provider's last reply.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"tpsp"}),
	}
}

func (a *attempts) observe(provider int64, result waypost.AttemptResult, took time.Duration) {
	id := strconv.FormatInt(provider, 10)
	a.number.WithLabelValues(id, result.String()).Inc()
	a.seconds.WithLabelValues(id).Observe(took.Seconds())
}

// traffic shows at each scrape what the parts of the node know: the events
// that went through the door, the queue, and the state of every provider.
type traffic struct {
	door  *ingest.Door
	queue *queue.Queue
	store store.Store

	events, late, inFlight, open, paused, agent *prometheus.Desc
}

func newTraffic(door *ingest.Door, q *queue.Queue, s store.Store) *traffic {
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &traffic{
		door: door, queue: q, store: s,
		events:   of("waypost_events_total", "Events that this node stored, by type and source; deferrals of agents among them.", "type", "source"),
		late:     of("waypost_queue_late_seconds", "For how long the message has been due that is due longest, paused lanes aside. Mail that waits for an hourly limit counts."),
		inFlight: of("waypost_in_flight_messages", "Messages that this node hands to a provider now.", "tpsp", "name"),
		open:     of("waypost_breaker_open", "1 while this node's breaker lets nothing through to a provider, because no session comes about.", "tpsp", "name"),
		paused:   of("waypost_provider_paused", "1 while somebody has paused a provider.", "tpsp", "name"),
		agent:    of("waypost_agent_last_seen_timestamp_seconds", "When the agent of a provider was heard last, in Unix time; 0: never.", "tpsp", "name"),
	}
}

// Describe implements [prometheus.Collector].
func (t *traffic) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{t.events, t.late, t.inFlight, t.open, t.paused, t.agent} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (t *traffic) Collect(to chan<- prometheus.Metric) {
	for _, c := range t.door.Counts() {
		to <- prometheus.MustNewConstMetric(t.events, prometheus.CounterValue, float64(c.N), c.Type.String(), string(c.Source))
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(t.late, t.queue.Late().Seconds())

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	providers, paused, err := t.providers(ctx)
	if err != nil { // the other metrics are of use without them
		return
	}
	relaying := map[int64]queue.Relaying{}
	for _, r := range t.queue.Relaying() {
		relaying[r.Provider] = r
	}
	for i := range providers {
		p := &providers[i]
		labels := []string{strconv.FormatInt(p.ID, 10), p.Name}
		gauge(t.inFlight, float64(relaying[p.ID].InFlight), labels...)
		gauge(t.open, truth(relaying[p.ID].Open), labels...)
		gauge(t.paused, truth(paused[p.ID]), labels...)
		if seen, err := t.seen(ctx, p.ID); err == nil {
			gauge(t.agent, seen, labels...)
		}
	}
}

// providers lists the first 1,000 providers and which of them are paused.
func (t *traffic) providers(ctx context.Context) ([]waypost.Provider, map[int64]bool, error) {
	account, err := t.store.FirstAccount(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := t.store.Providers(ctx, account.ID, store.Page{Limit: 1000})
	if err != nil {
		return nil, nil, err
	}
	pauses, err := t.store.Pauses(ctx, account.ID)
	if err != nil {
		return nil, nil, err
	}
	paused := map[int64]bool{}
	for _, p := range pauses {
		if p.Mailbox == waypost.AllMailboxes {
			paused[p.Provider] = true
		}
	}
	return list, paused, nil
}

// seen is when a provider's agent was heard last.
func (t *traffic) seen(ctx context.Context, provider int64) (float64, error) {
	agent, err := t.store.Agent(ctx, provider)
	if errors.Is(err, store.ErrNotFound) || err == nil && agent.LastSeen.IsZero() {
		return 0, nil
	}
	return float64(agent.LastSeen.UnixMilli()) / 1000, err
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

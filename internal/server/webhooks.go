package server

import (
	"context"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// newHooks makes what sends to webhooks, and its workers: nil on a node that
// does not play the role webhook. It is a role of its own, so that relaying and
// webhooks can be on different nodes.
func newHooks(c *Config, box *secret.Box, s store.Store, names *net.Resolver, geo *track.Geo) (*webhook.Sender, *webhook.Workers) {
	sender := webhook.NewSender(webhook.SenderConfig{AllowPrivate: c.AllowPrivateNetworks, Resolver: names, Version: c.Version})
	if !c.has("webhook") {
		return sender, nil
	}
	return sender, webhook.NewWorkers(webhook.Config{Store: s, Box: box, Sender: sender, Log: c.Log, Geo: geo, IP: c.PublicIP})
}

// tell works on the outbox of webhooks until ctx ends.
func (n *node) tell(ctx context.Context) error {
	if n.hooks == nil {
		return nil
	}
	return n.hooks.Run(ctx)
}

// hookMetrics are the counters of webhook workers.
func hookMetrics(w *webhook.Workers) []prometheus.Collector {
	gauge := func(name, help string, of func(webhook.Counts) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return of(w.Counts()) })
	}
	attempts := func(outcome string, of func(webhook.Counts) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "waypost_webhook_attempts_total", Help: "Requests to webhooks by outcome.", ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 { return float64(of(w.Counts())) })
	}
	return []prometheus.Collector{
		attempts("done", func(c webhook.Counts) int64 { return c.Done }),
		attempts("failed", func(c webhook.Counts) int64 { return c.Failed }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "waypost_webhook_dead_letters_total", Help: "Deliveries given up after their last attempt."},
			func() float64 { return float64(w.Counts().Dead) }),
		gauge("waypost_webhook_waiting", "Webhooks with deliveries that wait.", func(c webhook.Counts) float64 { return float64(c.Waiting) }),
		gauge("waypost_webhook_lag_seconds", "By how much the oldest due delivery is late.", func(c webhook.Counts) float64 { return c.Lag.Seconds() }),
	}
}

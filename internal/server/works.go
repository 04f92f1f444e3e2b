package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// works describes this node to people. Nothing that it says waits for the
// network.
type works struct {
	cfg     *Config
	store   store.Store
	queue   *queue.Queue
	hooks   *webhook.Workers // nil without the role
	started time.Time
}

func newWorks(c *Config, s store.Store, q *queue.Queue, hooks *webhook.Workers) *works {
	return &works{cfg: c, store: s, queue: q, hooks: hooks, started: time.Now()}
}

func (w *works) describe(ctx context.Context) dash.Node {
	c := w.cfg
	n := dash.Node{Started: w.started, Engine: "SQLite", Data: c.Data, DiskWarn: freeWarn, Workers: w.workers(), Settings: settingsOf(c)}
	if c.Database != "" {
		n.Engine = "PostgreSQL"
	}
	if size, err := w.store.Size(ctx); err == nil {
		n.Database = size
	}
	if free, total, err := diskSpace(c.Data); err == nil {
		n.DiskFree, n.DiskTotal = free, total
	}
	return n
}

func (w *works) workers() []dash.Worker {
	c := w.cfg
	relay := dash.Worker{Name: "Relaying mail", On: c.has("send"), Text: "nothing is being handed over"}
	if !relay.On {
		relay.Text = "left to other nodes"
	}
	if messages, providers := w.queue.InFlight(); messages > 0 {
		relay.Text = fmt.Sprintf("%d messages are being handed over to %d providers", messages, providers)
	}
	hooks := dash.Worker{Name: "Webhooks", On: w.hooks != nil, Text: "left to other nodes"}
	if w.hooks != nil {
		n := w.hooks.Counts()
		hooks.Text = fmt.Sprintf("since the start %d deliveries went well and %d failed", n.Done, n.Failed+n.Dead)
		if n.Waiting > 0 {
			hooks.Text += fmt.Sprintf("; those of %d webhooks wait, the oldest for %s", n.Waiting, n.Lag.Round(time.Second))
		}
	}
	listen := func(name, role, addr, without string) dash.Worker {
		out := dash.Worker{Name: name, On: c.has(role) && addr != "", Text: "listens on " + addr}
		if !out.On {
			out.Text = without
		}
		return out
	}
	return []dash.Worker{
		{Name: "API", On: c.has("api"), Text: "listens on " + c.HTTP},
		relay,
		listen("Bounce reports", "bounce", c.SMTP, "no listen address: set smtp"),
		listen("SMTP submission", "submission", c.Submission, "no listen address: set submission"),
		{Name: "Opens and clicks", On: c.has("track"), Text: "at " + c.HTTP},
		hooks,
	}
}

// settingsOf are the settings worth knowing at a glance, none of them secret.
func settingsOf(c *Config) []dash.Setting {
	keep := func(d time.Duration) string {
		if d == 0 {
			return "kept for ever"
		}
		return fmt.Sprintf("kept for %d days", int(d.Hours())/24)
	}
	schedule := c.RetrySchedule
	if len(schedule) == 0 {
		schedule = waypost.DefaultRetrySchedule
	}
	pauses := make([]string, len(schedule))
	for i, d := range schedule {
		pauses[i] = strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
	}
	return []dash.Setting{
		{Name: "Bounce host", Value: c.BounceHost},
		{Name: "Retries after", Value: strings.Join(pauses, ", ")},
		{Name: "Finished messages", Value: keep(c.Retention.Messages)},
		{Name: "Events", Value: keep(c.Retention.Events)},
		{Name: "Journal", Value: keep(c.Retention.Journal)},
		{Name: "Providers on private addresses", Value: map[bool]string{true: "allowed", false: "refused"}[c.AllowPrivateNetworks]},
		{Name: "Addresses of opens and clicks", Value: map[bool]string{true: "not kept", false: "kept"}[c.ForgetIP]},
	}
}

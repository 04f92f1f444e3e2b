package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// Retention says how long is kept what only grows; 0 keeps it for ever.
// Counters by day are always kept: they are small.
type Retention struct {
	Messages time.Duration // finished messages with their contents
	Events   time.Duration // what happened to them
	Journal  time.Duration // provider events and the audit log
}

// What is kept for a time that the contract fixes.
const (
	keepDeliveries  = 3 * 24 * time.Hour  // of webhooks, once they went well
	keepDeadLetters = 30 * 24 * time.Hour // D-38
)

// How long counters by time are kept: plots by minute show a day at most, those
// by hour three months.
const (
	keepMinutes = 26 * time.Hour
	keepHours   = 100 * 24 * time.Hour
)

// How retention works: a batch is one short transaction, so that nothing waits
// for it; a round goes on until nothing is left or the next one is due.
const (
	retainEvery = 10 * time.Minute
	retainBatch = 2000
)

// retention deletes what is past its time, until ctx ends. It returns nil.
func retention(ctx context.Context, s store.Store, r Retention, log *slog.Logger) error {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		retainRound(ctx, s, r, log, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func retainRound(ctx context.Context, s store.Store, r Retention, log *slog.Logger, now time.Time) {
	for _, p := range []struct {
		what  string
		keep  time.Duration
		prune func(ctx context.Context, before time.Time, limit int) (int, error)
	}{
		{"answers to idempotency keys", time.Nanosecond, s.PruneReplays},
		{"expired suppressions", time.Nanosecond, s.PruneSuppressions},
		{"deliveries of webhooks", time.Nanosecond, func(ctx context.Context, before time.Time, limit int) (int, error) {
			return s.PruneDeliveries(ctx, before.Add(-keepDeliveries), before.Add(-keepDeadLetters), limit)
		}},
		{"counters by time", time.Nanosecond, func(ctx context.Context, before time.Time, limit int) (int, error) {
			return s.PruneTimes(ctx, before.Add(-keepMinutes), before.Add(-keepHours), limit)
		}},
		{"sessions of the dashboard", time.Nanosecond, func(ctx context.Context, before time.Time, _ int) (int, error) {
			return 0, s.PruneSessions(ctx, before)
		}},
		{"marks of logins and credentials", time.Nanosecond, s.PruneMarks},
		{"messages", r.Messages, s.PruneMessages},
		{"events", r.Events, s.PruneEvents},
		{"journal entries", r.Journal, s.PruneJournal},
	} {
		if p.keep <= 0 {
			continue
		}
		total := 0
		for ctx.Err() == nil {
			n, err := p.prune(ctx, now.Add(-p.keep), retainBatch)
			if err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "what is past its retention stays for now", "what", p.what, "error", err)
			}
			total += n
			if err != nil || n < retainBatch || time.Since(now) > retainEvery/2 {
				break
			}
		}
		if total > 0 {
			log.InfoContext(ctx, "deleted what is past its retention", "what", p.what, "rows", total)
		}
	}
}

// sampleEvery is how often it is noted how much waits.
const sampleEvery = time.Minute

// sampleDepth notes how much waits, every minute until ctx ends. It returns
// nil: a plot with a gap is no reason to stop.
func sampleDepth(ctx context.Context, s store.Store, log *slog.Logger) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if err := s.SampleDepth(ctx, time.Now()); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "how much waits could not be noted; the plot of the queue has a gap", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

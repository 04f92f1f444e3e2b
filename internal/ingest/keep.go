package ingest

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost-mail/waypost"
)

// Retention is how long raw reports are kept (D-35).
const Retention = 30 * 24 * time.Hour

// pruneBatch is how many reports are deleted in one transaction.
const pruneBatch = 500

// Keep deletes reports past their retention and logs each warning when it
// begins, until ctx ends. It returns nil.
func (d *Door) Keep(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	standing := map[waypost.Lane]bool{}
	for n := 0; ; n++ {
		if n%10 == 0 {
			d.prune(ctx, log, time.Now())
		}
		now := map[waypost.Lane]bool{}
		for _, w := range d.Warnings(0, time.Now()) {
			now[w.Lane] = true
			if !standing[w.Lane] {
				log.WarnContext(ctx, "a mailbox provider turns mail away; see GET /api/v1/account/warnings", "provider", w.Lane.Provider,
					"mailbox", w.Lane.Mailbox.String(), "reason", w.Reason, "replies", w.Troubled, "of", w.Reports, "last_reply", w.Text)
			}
		}
		standing = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *Door) prune(ctx context.Context, log *slog.Logger, now time.Time) {
	for {
		n, err := d.store.PruneReports(ctx, now.Add(-Retention), pruneBatch)
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "old reports stay for now", "error", err)
		}
		if err != nil || n < pruneBatch {
			return
		}
	}
}

package senderdomain

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// The schedule of D-30.
const (
	youth        = 48 * time.Hour // of a domain, in which its owner adds records
	whileYoung   = 5 * time.Minute
	whileWaiting = time.Hour
	whileGood    = 24 * time.Hour
)

// How Run works.
const (
	pollEvery  = 5 * time.Second
	batchSize  = 64
	concurrent = 8 // domains checked at the same time
)

// NextCheck is when a domain is due again: at once when it was never checked;
// every 5 minutes while a record is unverified that was asked for in the last
// 48 hours; then daily when it can send (DKIM and return path verified) and
// waits for no key, else hourly.
func NextCheck(d *waypost.SenderDomain, now time.Time) time.Time {
	if d.CheckedAt.IsZero() {
		return now
	}
	young, waits := false, !d.Verified(waypost.RecordDKIM) || !d.Verified(waypost.RecordReturnPath)
	for _, r := range d.Records {
		if r.Verified {
			continue
		}
		since := d.Created
		if !r.Since.IsZero() {
			since = r.Since
		}
		young = young || now.Sub(since) < youth
		waits = waits || r.Kind == waypost.RecordDKIMNext || r.Kind == waypost.RecordEd25519
	}
	switch {
	case young:
		return now.Add(whileYoung)
	case waits:
		return now.Add(whileWaiting)
	}
	return now.Add(whileGood)
}

// Run checks domains as they come due, until ctx ends; it then returns nil.
func (c *Checker) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		wait := pollEvery
		if c.round(ctx) {
			wait = 0
		}
		timer.Reset(wait)
	}
}

// round checks one batch and tells whether more may be due.
func (c *Checker) round(ctx context.Context) (more bool) {
	due, err := c.store.DomainsDue(ctx, time.Now(), batchSize)
	if err != nil {
		if ctx.Err() == nil {
			c.log.WarnContext(ctx, "list the sender domains to check", slog.Any("error", err))
		}
		return false
	}
	more = len(due) == batchSize
	next := make(chan *waypost.SenderDomain)
	var work sync.WaitGroup
	var mu sync.Mutex
	for range min(concurrent, len(due)) {
		work.Go(func() {
			for d := range next {
				if !c.checkAndSave(ctx, d) {
					mu.Lock()
					more = false // do not hurry after trouble
					mu.Unlock()
				}
			}
		})
	}
	for i := range due {
		next <- &due[i]
	}
	close(next)
	work.Wait()
	return more
}

func (c *Checker) checkAndSave(ctx context.Context, d *waypost.SenderDomain) bool {
	log := c.log.With(slog.String("domain", d.Name), slog.Int64("sub_account", d.SubAccount))
	before, selector := verified(d), d.Selector
	after, err := c.CheckAndSave(ctx, d, time.Now())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return true // deleted meanwhile
	case err != nil:
		if ctx.Err() == nil {
			log.WarnContext(ctx, "check a sender domain", slog.Any("error", err))
		}
		return false
	}
	if after.Selector != selector {
		log.InfoContext(ctx, "DKIM key rotated", slog.String("from", selector), slog.String("to", after.Selector))
	}
	for kind, now := range verified(&after) {
		switch {
		case now && !before[kind]:
			log.InfoContext(ctx, "DNS record verified", slog.String("record", string(kind)))
		case !now && before[kind]:
			log.WarnContext(ctx, "DNS record withdrawn", slog.String("record", string(kind)), slog.String("reason", after.Record(kind).Failure))
		}
	}
	return true
}

func verified(d *waypost.SenderDomain) map[waypost.RecordKind]bool {
	out := map[waypost.RecordKind]bool{}
	for _, r := range d.Records {
		out[r.Kind] = r.Verified
	}
	return out
}

package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// pruner notes what it is asked to delete; every other method of the contract
// is absent and must not be called.
type pruner struct {
	store.Store
	before map[string]time.Time
	left   int // messages still to delete
	err    error
}

func (p *pruner) note(what string, before time.Time) { p.before[what] = before }

func (p *pruner) PruneReplays(_ context.Context, before time.Time, _ int) (int, error) {
	p.note("replays", before)
	return 0, p.err
}

func (p *pruner) PruneSuppressions(_ context.Context, before time.Time, _ int) (int, error) {
	p.note("suppressions", before)
	return 0, nil
}

func (p *pruner) PruneDeliveries(_ context.Context, done, dead time.Time, _ int) (int, error) {
	p.note("done", done)
	p.note("dead", dead)
	return 0, nil
}

func (p *pruner) PruneTimes(_ context.Context, minutes, hours time.Time, _ int) (int, error) {
	p.note("minutes", minutes)
	p.note("hours", hours)
	return 0, nil
}

func (p *pruner) PruneSessions(_ context.Context, before time.Time) error {
	p.note("sessions", before)
	return nil
}

func (p *pruner) PruneMarks(_ context.Context, before time.Time, _ int) (int, error) {
	p.note("marks", before)
	return 0, nil
}

func (p *pruner) PruneMessages(_ context.Context, before time.Time, limit int) (int, error) {
	p.note("messages", before)
	n := min(limit, p.left)
	p.left -= n
	return n, nil
}

func (p *pruner) PruneEvents(_ context.Context, before time.Time, _ int) (int, error) {
	p.note("events", before)
	return 0, nil
}

func (p *pruner) PruneJournal(_ context.Context, before time.Time, _ int) (int, error) {
	p.note("journal", before)
	return 0, nil
}

// TestRetentionRound: each kind by its own time, in batches until nothing is
// left, what is kept for ever not at all, and one failure does not stop the
// others.
func TestRetentionRound(t *testing.T) {
	now := time.Now()
	p := &pruner{before: map[string]time.Time{}, left: 2*retainBatch + 5, err: errors.New("disk on fire")}
	var log bytes.Buffer
	retainRound(t.Context(), p, Retention{Messages: 90 * 24 * time.Hour, Journal: 48 * time.Hour}, slog.New(slog.NewTextHandler(&log, nil)), now)
	for what, ago := range map[string]time.Duration{
		"messages": 90 * 24 * time.Hour, "journal": 48 * time.Hour, "done": keepDeliveries, "dead": keepDeadLetters,
		"minutes": keepMinutes, "hours": keepHours,
		"suppressions": 0, "sessions": 0, "replays": 0, "marks": 0,
	} {
		at, asked := p.before[what]
		if got := now.Sub(at) - ago; !asked || got < 0 || got > time.Second {
			t.Errorf("%s: asked %v for those before %v, want %v ago", what, asked, at, ago)
		}
	}
	if _, asked := p.before["events"]; asked {
		t.Error("events are kept for ever, but were deleted")
	}
	if p.left != 0 {
		t.Errorf("%d messages past their time stay", p.left)
	}
	for _, want := range []string{"disk on fire", "rows=4005"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}

package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const (
	millionLanes = 1000
	openLanes    = 50 // of them have tokens
)

// millionLane is one of the lanes: 50 providers of 20 categories.
func millionLane(i int) waypost.Lane {
	return waypost.Lane{Provider: int64(1 + i/20), Mailbox: waypost.Mailbox(i % 20)}
}

// millionClaim asks a lane for one message; all but the first lanes have a
// limit of one message an hour.
func millionClaim(i int, now time.Time) store.Claim {
	c := store.Claim{Lane: millionLane(i), Now: now, Max: 1, LeaseUntil: now.Add(time.Hour), Burst: true, LanePerHour: 1}
	if i < openLanes {
		c.LanePerHour = 1 << 30
	}
	return c
}

// fill queues n messages, spread over the lanes, past the API: a million calls
// would take minutes.
func fill(b *testing.B, d *DB, n int, due time.Time) {
	b.Helper()
	err := d.do(b.Context(), "fill", 0, func(tx *tx) error {
		_, err := tx.exec(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1)
INSERT INTO message (id, account, sub_account, content, recipient, to_name, cc, domain, pool, provider, mailbox, submitted)
SELECT unhex(printf('%012x%020x', $2, i)), 1, 1, zeroblob(16), 'user' || i || '@example.org', '', '', 1, 1, 1 + i % 1000 / 20, i % 20, $2 FROM n`,
			n, due.UnixMilli())
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO queue (provider, mailbox, due, message, attempt, unknown)
SELECT provider, mailbox, submitted, id, 0, 0 FROM message ORDER BY provider, mailbox, id`)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkClaimMillion claims from lanes with tokens and gives the message
// back, and asks lanes without tokens, in a queue of a thousand messages and
// of a million.
func BenchmarkClaimMillion(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		d := open(b, filepath.Join(b.TempDir(), "waypost.db"))
		now := time.Now().Truncate(time.Millisecond)
		fill(b, d, n, now)
		var spare []store.Claimable // a token of each lane that is to have none
		for i := openLanes; i < millionLanes; i++ {
			got, err := d.Claim(b.Context(), millionClaim(i, now))
			if err != nil || len(got.Entries) != 1 {
				b.Fatal(len(got.Entries), err)
			}
			spare = append(spare, got.Entries[0])
		}
		for _, c := range spare {
			if err := d.Settle(b.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: now}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("%d/tokens", n), func(b *testing.B) { claimOpen(b, d, now) })
		b.Run(fmt.Sprintf("%d/none", n), func(b *testing.B) {
			used := cpu()
			for i := range b.N {
				got, err := d.Claim(b.Context(), millionClaim(openLanes+i%(millionLanes-openLanes), now))
				if err != nil || len(got.Entries) > 0 || got.NextToken.IsZero() {
					b.Fatal(got, err)
				}
			}
			report(b, cpu()-used, b.Elapsed())
		})
	}
}

// claimOpen measures the claims apart from the settlements that follow them.
func claimOpen(b *testing.B, d *DB, now time.Time) {
	var took, used time.Duration
	for i := range b.N {
		start, before := time.Now(), cpu()
		got, err := d.Claim(b.Context(), millionClaim(i%openLanes, now))
		took, used = took+time.Since(start), used+cpu()-before
		if err != nil || len(got.Entries) != 1 {
			b.Fatal(len(got.Entries), err)
		}
		c := got.Entries[0]
		if err := d.Settle(b.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: now, Refund: true}); err != nil {
			b.Fatal(err)
		}
	}
	report(b, used, took)
}

func report(b *testing.B, used, took time.Duration) {
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/claim")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/claim")
}

// BenchmarkHeap opens a database with WAYPOST_QUEUED messages, a million
// without it, looks at every lane, and reports what stays in memory. Claims
// walk through the whole of the queue's pages, which the page cache bounds.
func BenchmarkHeap(b *testing.B) {
	n := 1_000_000
	if s := os.Getenv("WAYPOST_QUEUED"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	path := filepath.Join(b.TempDir(), "waypost.db")
	d := open(b, path)
	now := time.Now()
	fill(b, d, n, now)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	before := rss(b)
	d = open(b, path)
	b.ResetTimer()
	for b.Loop() {
		if _, err := d.LaneHeads(b.Context()); err != nil {
			b.Fatal(err)
		}
		for i := range millionLanes {
			if _, err := d.Claim(b.Context(), millionClaim(i, now)); err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MB")
	b.ReportMetric(rss(b), "rss-MB")
	b.ReportMetric(before, "rss-before-MB")
}

// rss is the resident memory of the process in MB, pages that the driver keeps
// outside Go's heap included; 0 where /proc does not tell.
func rss(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return float64(resident*os.Getpagesize()) / (1 << 20)
}

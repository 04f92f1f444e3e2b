package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

const (
	millionLanes = 1000
	openLanes    = 50 // of them have tokens
)

// millionClaim asks one of the lanes, 50 providers of 20 categories, for one
// message; all but the first lanes have a limit of one message an hour.
func millionClaim(i int, at time.Time) store.Claim {
	c := store.Claim{
		Lane: waypost.Lane{Provider: int64(1 + i/20), Mailbox: waypost.Mailbox(i % 20)},
		Now:  at, Max: 1, LeaseUntil: at.Add(time.Hour), Burst: true, LanePerHour: 1,
	}
	if i < openLanes {
		c.LanePerHour = 1 << 30
	}
	return c
}

// fill queues n messages, spread over the lanes, past the API: a million calls
// would take minutes.
func fill(b *testing.B, d *DB, n int, due time.Time) {
	b.Helper()
	_, err := d.pool.Exec(b.Context(), `INSERT INTO message (id, account, sub_account, content, domain, pool, provider, submitted,
mailbox, recipient, to_name, cc)
SELECT gen_random_uuid(), 1, 1, gen_random_uuid(), 1, 1, 1 + i % 1000 / 20, $2::bigint, i % 20, 'user' || i || '@example.org', '', ''
FROM generate_series(0, $1::bigint - 1) i`, n, due.UnixMilli())
	if err == nil {
		_, err = d.pool.Exec(b.Context(), `INSERT INTO queue (message, account, provider, due, lease, attempt, mailbox, unknown)
SELECT id, account, provider, submitted, 0, 0, mailbox, false FROM message`)
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, sql := range []string{"VACUUM ANALYZE message", "VACUUM ANALYZE queue", "CHECKPOINT"} {
		if _, err := d.pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClaimMillion claims from lanes with tokens and gives the message
// back, and asks lanes without tokens, in a queue of a thousand messages and
// of a million.
func BenchmarkClaimMillion(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		d := open(b, pgtest.Start(b))
		at := time.Now().Truncate(time.Millisecond)
		fill(b, d, n, at)
		var spare []store.Claimable // a token of each lane that is to have none
		for i := openLanes; i < millionLanes; i++ {
			got, err := d.Claim(b.Context(), millionClaim(i, at))
			if err != nil || len(got.Entries) != 1 {
				b.Fatal(len(got.Entries), err)
			}
			spare = append(spare, got.Entries[0])
		}
		for _, c := range spare {
			if err := d.Settle(b.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: at}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("%d/tokens", n), func(b *testing.B) { claimOpen(b, d, at) })
		b.Run(fmt.Sprintf("%d/none", n), func(b *testing.B) {
			for i := range b.N {
				got, err := d.Claim(b.Context(), millionClaim(openLanes+i%(millionLanes-openLanes), at))
				if err != nil || len(got.Entries) > 0 || got.NextToken.IsZero() {
					b.Fatal(got, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/claim")
		})
	}
}

// claimOpen measures the claims apart from the settlements that follow them.
func claimOpen(b *testing.B, d *DB, at time.Time) {
	var took time.Duration
	for i := range b.N {
		start := time.Now()
		got, err := d.Claim(b.Context(), millionClaim(i%openLanes, at))
		took += time.Since(start)
		if err != nil || len(got.Entries) != 1 {
			b.Fatal(len(got.Entries), err)
		}
		c := got.Entries[0]
		if err := d.Settle(b.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: at, Refund: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/claim")
}

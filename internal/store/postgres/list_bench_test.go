package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

// BenchmarkListProvider lists a page of one provider's events among half a
// million: of one that has most of them, of one that has few, and of one that
// has none.
func BenchmarkListProvider(b *testing.B) {
	d := open(b, pgtest.Start(b))
	_, err := d.pool.Exec(b.Context(), `INSERT INTO event (id, account, sub_account, provider, message, at, code, attempt, type, late,
evidence, source, recipient, enhanced, text, reason, rule, queue, relay)
SELECT $1::bigint + i, 1, 1, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END, gen_random_uuid(), 1, 250, 1, 58 + i % 11, false, false, 'api',
'user@example.org', '2.0.0', 'Ok: queued as 4bXyZ1', '', '', '', '' FROM generate_series(0, 499999) i`, store.EventID(time.Now().UnixMilli(), 0, 0))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.pool.Exec(b.Context(), "ANALYZE event"); err != nil {
		b.Fatal(err)
	}
	for _, provider := range []int64{1, 2, 3} {
		for name, types := range map[string][]waypost.EventType{"all": nil, "bounces": {waypost.CSHardBounced, waypost.CSSoftBounced}} {
			b.Run(fmt.Sprintf("provider%d/%s", provider, name), func(b *testing.B) {
				for b.Loop() {
					_, err := d.ListEvents(b.Context(), store.EventQuery{Account: 1, Provider: provider, Types: types, Limit: 100})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

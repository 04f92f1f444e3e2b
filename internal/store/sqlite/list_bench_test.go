package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// BenchmarkListProvider lists a page of one provider's events among half a
// million: of one that has most of them, of one that has few, and of one that
// has none.
func BenchmarkListProvider(b *testing.B) {
	d := open(b, filepath.Join(b.TempDir(), "waypost.db"))
	first := store.EventID(time.Now().UnixMilli(), 0, 0)
	err := d.do(b.Context(), "fill", 0, func(tx *tx) error {
		_, err := tx.exec(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499999)
INSERT INTO event SELECT $1 + i, 58 + i % 11, 1, 1, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END, randomblob(16), 'user@example.org', 1, 'api',
250, '2.0.0', 'Ok: queued as 4bXyZ1', '', '', 1, '', '', 0, 0 FROM n`, first)
		return err
	})
	if err != nil {
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

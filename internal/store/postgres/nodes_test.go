package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

var (
	now  = time.Date(2026, 3, 14, 9, 26, 53, 589e6, time.UTC)
	lane = waypost.Lane{Provider: 7, Mailbox: waypost.MailboxDefault}
)

// call makes an API call of n recipients with a text body.
func call(n int, text string) *store.Acceptance {
	a := &store.Acceptance{Content: waypost.Content{
		ID: waypost.NewUUID(now), Account: 1, SubAccount: 2, From: waypost.Address{Email: "news@example.com"}, Subject: "Hello", Text: text,
	}}
	for i := range n {
		to := fmt.Sprintf("user%d@example.org", i)
		m := waypost.Message{
			ID: waypost.NewUUID(now), Account: 1, SubAccount: 2, Content: a.Content.ID, Recipient: to,
			To: waypost.Address{Email: to}, Provider: lane.Provider, Mailbox: lane.Mailbox, SubmittedAt: now,
		}
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, event(waypost.CSProcessed, &m))
		a.Queue = append(a.Queue, store.Waiting{Lane: lane, Message: m.ID, Due: now})
	}
	return a
}

func event(typ waypost.EventType, m *waypost.Message) waypost.Event {
	return waypost.Event{
		Type: typ, Account: m.Account, SubAccount: m.SubAccount, Provider: m.Provider, Message: m.ID,
		Recipient: m.Recipient, At: now, Source: waypost.SourceAPI,
	}
}

// sent settles a claimed message as relayed.
func sent(t testing.TB, d *DB, c store.Claimable) error {
	e := event(waypost.CSSent, &c.Message)
	e.Source, e.Code, e.Text, e.Attempt = waypost.SourceRelay, 250, "2.0.0 Ok: queued as 4bXyZ1", c.Entry.Attempt+1
	said := &waypost.Transcript{
		Attempt: e.Attempt, Took: 14 * time.Millisecond, Remote: "192.0.2.7:587", Reused: true,
		Steps: []waypost.TranscriptStep{
			{Name: "mail", Code: 250, Text: "2.1.0 Ok", Took: 3 * time.Millisecond},
			{Name: "rcpt", Code: 250, Text: "2.1.5 Ok"},
			{Name: "data", Code: 354, Text: "End data with <CR><LF>.<CR><LF>"},
			{Name: "final", Code: 250, Text: e.Text, Took: 9 * time.Millisecond},
		},
	}
	return d.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{e}, Transcript: said})
}

// TestNodesOpen: nodes that start at the same moment on an empty database.
func TestNodesOpen(t *testing.T) {
	url := pgtest.Start(t)
	nodes := make([]*DB, 4)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			d, err := Open(t.Context(), url, Options{MaxConns: 4})
			if err != nil {
				t.Error(err)
				return
			}
			nodes[i] = d
		})
	}
	wg.Wait()
	numbers := map[int]bool{}
	for _, d := range nodes {
		if d == nil {
			continue
		}
		numbers[d.ids.node] = true
		if err := errors.Join(d.Accept(t.Context(), call(1, "x")), d.Close()); err != nil {
			t.Error(err)
		}
	}
	if len(numbers) != len(nodes) {
		t.Errorf("node numbers %v, want %d different ones", numbers, len(nodes))
	}
}

// TestNodesClaim: two nodes never hand out the same message, and every message
// is finished once.
func TestNodesClaim(t *testing.T) {
	url := pgtest.Start(t)
	nodes := []*DB{open(t, url), open(t, url)}
	const messages = 400
	for range 4 {
		if err := nodes[0].Accept(t.Context(), call(messages/4, "x")); err != nil {
			t.Fatal(err)
		}
	}
	seen := claimAll(t, nodes, store.Claim{Lane: lane, Now: now, Max: 9, LeaseUntil: now.Add(time.Minute)}, messages)
	if len(seen) != messages {
		t.Errorf("%d of %d messages were handed out", len(seen), messages)
	}
	if n, err := nodes[1].Depth(t.Context()); err != nil || n != 0 {
		t.Errorf("depth is %d, %v", n, err)
	}
	days, err := nodes[1].DailyStats(t.Context(), 1, 0, now, now)
	if err != nil || len(days) != 1 || days[0].Counts[waypost.StatSent] != messages {
		t.Errorf("counters of two nodes: %v, %v", days, err)
	}
}

// TestNodesLimit: a limit holds for the nodes together, and none of it is lost.
func TestNodesLimit(t *testing.T) {
	url := pgtest.Start(t)
	nodes := []*DB{open(t, url), open(t, url)}
	if err := nodes[0].Accept(t.Context(), call(300, "x")); err != nil {
		t.Fatal(err)
	}
	c := store.Claim{Lane: lane, Now: now, Max: 7, LeaseUntil: now.Add(time.Minute), PerHour: 100, LanePerHour: 90, Burst: true}
	if seen := claimAll(t, nodes, c, 90); len(seen) != 90 {
		t.Errorf("%d messages were let through, the limit is 90", len(seen))
	}
}

// claimAll claims and settles on all nodes at once until want messages were
// handed out and the lane gives no more.
func claimAll(t *testing.T, nodes []*DB, c store.Claim, want int) map[waypost.UUID]int {
	var mu sync.Mutex
	seen := map[waypost.UUID]int{}
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) >= want
	}
	var wg sync.WaitGroup
	for _, d := range nodes {
		for range 4 {
			wg.Go(func() {
				for {
					got, err := d.Claim(t.Context(), c)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, one := range got.Entries {
						seen[one.Message.ID]++
					}
					mu.Unlock()
					for _, one := range got.Entries {
						if err := sent(t, d, one); err != nil {
							t.Error(err)
							return
						}
					}
					if len(got.Entries) == 0 && (enough() || !got.NextToken.IsZero()) {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was handed out %d times", id, n)
		}
	}
	return seen
}

// TestNewerSchema: a database that a newer program wrote is refused.
func TestNewerSchema(t *testing.T) {
	url := pgtest.Start(t)
	d := open(t, url)
	if _, err := d.pool.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(t.Context(), url, Options{}); err == nil || !strings.Contains(err.Error(), "newer Waypost") {
		if again != nil {
			_ = again.Close()
		}
		t.Fatalf("a newer schema was opened: %v", err)
	}
}

// TestPartitions: events are in the partition of their month, and a month
// without one is no obstacle.
func TestPartitions(t *testing.T) {
	url := pgtest.Start(t)
	clock := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	d, err := Open(t.Context(), url, Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, at := range []time.Time{clock, clock.AddDate(0, 3, 0), clock.AddDate(1, 0, 0)} {
		clock = at
		if err := d.Accept(t.Context(), call(1, "x")); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := d.pool.Query(t.Context(), `SELECT tableoid::regclass::text FROM event ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if want := "event_2026_11 event_2027_02 event_rest"; err != nil || strings.Join(got, " ") != want {
		t.Fatalf("events are in %v, %v; want %s", got, err, want)
	}
	// The month that event_rest has rows of stays there; the others are made.
	if err := d.makePartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Accept(t.Context(), call(1, "x")); err != nil {
		t.Fatal(err)
	}
}

package queue_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
)

// addProvider makes another provider on a scripted server, and a pool of its
// own.
func (w *world) addProvider(name string, server *smtptest.Server, change func(*waypost.Provider)) (int64, waypost.Pool) {
	w.Helper()
	now := time.Now().Truncate(time.Millisecond)
	p := waypost.Provider{
		Account: w.sub.Account, Name: name, Host: server.Host(), Port: server.Port(), Security: "none", Auth: "none",
		MaxPerHour: 100_000, RetryPermanent: true, Created: now, Updated: now,
	}
	if change != nil {
		change(&p)
	}
	key := waypost.APIKey{Kind: waypost.KeyIngestion, Account: p.Account, Hash: [32]byte{byte(len(name)), name[0], name[len(name)-1]}, Created: now}
	pool := waypost.Pool{Account: p.Account, Name: name, Strategy: waypost.StrategyVolumePercentage, Created: now}
	if err := w.store.CreateProvider(w.Context(), &p, &key, &pool); err != nil {
		w.Fatal(err)
	}
	return p.ID, pool
}

func (w *world) addPool(p waypost.Pool) waypost.Pool {
	w.Helper()
	p.Account, p.Created = w.sub.Account, time.Now().Truncate(time.Millisecond)
	if err := w.store.CreatePool(w.Context(), &p); err != nil {
		w.Fatal(err)
	}
	return p
}

// sendTo sends one message to each of n recipients through a pool.
func (w *world) sendTo(pool string, n int) []queue.Accepted {
	w.Helper()
	s := queue.Submission{SubAccount: w.sub, Pool: pool, Content: waypost.Content{From: waypost.Address{Email: "x@example.com"}, Text: "t"}}
	for i := range n {
		s.To = append(s.To, queue.Recipient{Address: waypost.Address{Email: fmt.Sprintf("r%d@example.org", i)}})
	}
	got, err := w.queue.Enqueue(w.Context(), &s)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("waited a minute for: %s", what)
		}
	}
}

// TestFailoverUnderLoad kills one of two providers while messages are relayed:
// no loss, no duplicate, the other takes over.
func TestFailoverUnderLoad(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{} // deliveries by message
	half := make(chan struct{})
	count := func(env smtptest.Envelope, _ []byte) string {
		mu.Lock()
		defer mu.Unlock()
		seen[env.From]++
		if len(seen) == 60 {
			close(half)
		}
		return "250 2.0.0 ok"
	}
	w, first := newWorld(t, smtptest.Script{Final: count}, func(_ *waypost.Provider, c *queue.Config) {
		c.Retry = waypost.RetrySchedule{time.Hour, time.Hour}
	})
	second := smtptest.New(t, smtptest.Script{Final: count})
	id2, _ := w.addProvider("second", second, nil)
	pools, err := w.store.Pools(t.Context(), w.sub.Account, store.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	id1 := pools[0].Members[0].Provider
	w.addPool(waypost.Pool{Name: "both", Strategy: waypost.StrategyVolumePercentage, Failover: true, Members: []waypost.PoolMember{
		{Provider: id1, Weight: 1}, {Provider: id2, Weight: 1},
	}})
	w.run()
	got := w.sendTo("both", 200)
	<-half
	first.Close()
	cut := 0
	for _, a := range got {
		trail := w.trail(a.ID)
		w.until("message "+a.ID.String()+" sent or its connection cut after the last byte", func() bool {
			trail = w.trail(a.ID)
			return trail.Waiting == nil || trail.Waiting.Unknown
		})
		if trail.Waiting != nil {
			cut++ // the kill hit it between its last byte and the reply: it waits for evidence (D-20)
			continue
		}
		if e := last(trail); e.Type != waypost.CSSent {
			t.Errorf("message %s ended as %s: %s", a.ID, e.Type, e.Text)
		}
	}
	duplicates := 0
	for _, n := range seen {
		duplicates += n - 1
	}
	t.Logf("200 messages: %d relayed once by either provider, %d wait for evidence, %d duplicates", len(seen), cut, duplicates)
	if len(seen)+cut < 200 || duplicates != 0 {
		t.Errorf("%d of 200 relayed, %d wait, %d duplicates", len(seen), cut, duplicates)
	}
	events, err := w.store.ProviderEvents(t.Context(), id1, store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) == 0 || events[len(events)-1].Kind != waypost.BreakerOpened || !strings.Contains(events[len(events)-1].Text, "no session came about") {
		t.Errorf("events of the provider that was killed: %+v", events)
	}
}

func TestBreakerWaitsAndRecovers(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, func(_ *waypost.Provider, c *queue.Config) {
		c.Retry = waypost.RetrySchedule{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
	})
	addr := server.Addr()
	server.Close()
	w.run()
	got := w.sendTo("mta", 20)
	pools, err := w.store.Pools(t.Context(), w.sub.Account, store.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	provider := pools[0].Members[0].Provider
	kinds := func() (out []waypost.ProviderEventKind) {
		all, err := w.store.ProviderEvents(t.Context(), provider, store.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			out = append(out, e.Kind)
		}
		return out
	}
	w.until("the breaker to open", func() bool { return len(kinds()) > 0 })
	waiting := 0
	for _, a := range got {
		if w.trail(a.ID).Waiting != nil {
			waiting++
		}
	}
	if waiting == 0 {
		t.Error("an open breaker let every message use up its attempts")
	}
	x, err := w.queue.Explain(t.Context(), &w.sub, "mta", "x@example.com", "a@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if c := x.Candidates[0]; c.Breaker == "closed" || !strings.Contains(x.Why, "no member") && c.Breaker == "open" {
		t.Errorf("explained as %+v: %s", c, x.Why)
	}
	back, err := smtptest.ListenOn(addr, smtptest.Script{})
	if err != nil {
		t.Skipf("the port was taken by another program meanwhile: %v", err)
	}
	t.Cleanup(back.Close)
	for _, a := range got {
		w.until("every message to end", func() bool { return w.trail(a.ID).Waiting == nil })
	}
	if all := kinds(); all[0] != waypost.BreakerClosed {
		t.Errorf("changes of the provider, newest first: %v", all)
	}
	if n := len(back.Messages()); n < waiting {
		t.Errorf("%d messages arrived, %d waited for the breaker", n, waiting)
	}
}

func TestOverflowWhenTheHourIsUsedUp(t *testing.T) {
	w, first := newWorld(t, smtptest.Script{}, func(p *waypost.Provider, _ *queue.Config) { p.MaxPerHour, p.Burst = 5, true })
	second := smtptest.New(t, smtptest.Script{})
	_, over := w.addProvider("overflow", second, nil)
	pools, err := w.store.Pools(t.Context(), w.sub.Account, store.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	main := pools[0]
	main.Overflow, main.Patience = over.ID, time.Minute
	if err := w.store.UpdatePool(t.Context(), &main); err != nil {
		t.Fatal(err)
	}
	w.run()
	for _, a := range w.sendTo("mta", 20) {
		if e := last(w.await(a.ID)); e.Type != waypost.CSSent {
			t.Errorf("%+v", e)
		}
	}
	if a, b := len(first.Messages()), len(second.Messages()); a != 5 || b != 15 {
		t.Errorf("%d by the pool's own provider, limit 5, and %d by the overflow pool", a, b)
	}
}

func TestPauseAndResume(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	w.run()
	first := w.sendTo("mta", 1)[0]
	provider := w.await(first.ID).Message.Provider
	if err := w.queue.Pause(t.Context(), waypost.Pause{Account: w.sub.Account, Provider: provider, Mailbox: waypost.AllMailboxes, Reason: "maintenance", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	held := w.sendTo("mta", 1)[0]
	time.Sleep(100 * time.Millisecond) // it would be relayed by now
	trail := w.trail(held.ID)
	if trail.Waiting == nil {
		t.Fatal("relayed while paused")
	}
	x, err := w.queue.ExplainMessage(t.Context(), &trail)
	if err != nil || !strings.Contains(x.Why, "maintenance") {
		t.Errorf("explained as %q, %v", x.Why, err)
	}
	if err := w.queue.Resume(t.Context(), w.sub.Account, provider, waypost.AllMailboxes); err != nil {
		t.Fatal(err)
	}
	if e := last(w.await(held.ID)); e.Type != waypost.CSSent || len(server.Messages()) != 2 {
		t.Errorf("%+v, %d messages", e, len(server.Messages()))
	}
}

func TestDeletedProviderHandsItsMailOn(t *testing.T) {
	w, first := newWorld(t, smtptest.Script{}, func(_ *waypost.Provider, c *queue.Config) { c.Retry = waypost.RetrySchedule{time.Hour} })
	second := smtptest.New(t, smtptest.Script{})
	id2, _ := w.addProvider("second", second, nil)
	pools, err := w.store.Pools(t.Context(), w.sub.Account, store.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	id1 := pools[0].Members[0].Provider
	both := w.addPool(waypost.Pool{Name: "both", Strategy: waypost.StrategyVolumePercentage, Failover: true, Members: []waypost.PoolMember{{Provider: id1, Weight: 1}}})
	lonely, shared := w.sendTo("mta", 1)[0], w.sendTo("both", 1)[0] // nothing runs yet
	both.Members = append(both.Members, waypost.PoolMember{Provider: id2, Weight: 1})
	if err := w.store.UpdatePool(t.Context(), &both); err != nil {
		t.Fatal(err)
	}
	if err := w.store.DeleteProvider(t.Context(), w.sub.Account, id1); err != nil {
		t.Fatal(err)
	}
	w.queue.Changed(id1)
	w.run()
	if e := last(w.await(shared.ID)); e.Type != waypost.CSSent || e.Provider != id2 {
		t.Errorf("the message whose pool has another member: %+v", e)
	}
	if e := last(w.await(lonely.ID)); e.Reason != waypost.DropProviderGone {
		t.Errorf("the message whose pool has none: %+v", e)
	}
	if len(first.Messages()) != 0 {
		t.Error("a deleted provider was relayed to")
	}
}

func TestConnectionsPerCategory(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	w, _ := newWorld(t, smtptest.Script{Final: func(smtptest.Envelope, []byte) string {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return "250 ok"
	}}, func(p *waypost.Provider, _ *queue.Config) {
		p.Settings = map[waypost.Mailbox]waypost.MailboxLimit{waypost.MailboxDefault: {MaxConnections: 2}}
	})
	w.run()
	for _, a := range w.sendTo("mta", 40) {
		w.await(a.ID)
	}
	if most > 2 {
		t.Errorf("%d at one time, limit 2", most)
	}
}

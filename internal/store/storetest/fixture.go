package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// epoch is the clock of the suite: an hour that is no round one.
var epoch = time.Date(2026, 3, 14, 9, 26, 53, 589e6, time.UTC)

// fixture is an installed store with one provider.
type fixture struct {
	t        testing.TB
	s        store.Store
	account  int64
	sub      int64
	provider int64
	pool     int64
	lane     waypost.Lane
	now      time.Time
}

func newFixture(t *testing.T, e Engine) *fixture {
	t.Helper()
	f := &fixture{t: t, s: e.Open(t), now: epoch}
	in := installation()
	f.ok(f.s.Install(t.Context(), in))
	f.account, f.sub = in.Account.ID, in.SubAccount.ID
	f.provider, f.pool = f.newProvider("relay one")
	f.lane = waypost.Lane{Provider: f.provider, Mailbox: waypost.MailboxDefault}
	return f
}

func installation() *store.Installation {
	return &store.Installation{
		Account:    waypost.Account{Name: "Example", Created: epoch},
		SubAccount: waypost.SubAccount{Name: "default", Default: true, Created: epoch},
		Keys: []*waypost.APIKey{
			{Kind: waypost.KeyAccount, Hash: [32]byte{1}, Hint: "ab…yz", Created: epoch},
			{Kind: waypost.KeySubAccount, Hash: [32]byte{2}, Hint: "cd…wx", Created: epoch, Expires: epoch.Add(time.Hour)},
		},
	}
}

func (f *fixture) newProvider(name string) (provider, pool int64) {
	f.t.Helper()
	p := &waypost.Provider{
		Account: f.account, Name: name, Host: "mail.example.net", Port: 587, Security: "starttls", Auth: "auto",
		MaxPerHour: 100, Created: epoch, Updated: epoch,
	}
	key := &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: hashOf(name), Created: epoch}
	q := &waypost.Pool{Account: f.account, Name: name, Strategy: waypost.StrategyVolumePercentage, Created: epoch}
	f.ok(f.s.CreateProvider(f.t.Context(), p, key, q))
	return p.ID, q.ID
}

func hashOf(name string) (h [32]byte) {
	copy(h[1:], fmt.Sprintf("%s/%d", name, time.Now().UnixNano()))
	h[0] = 9
	return h
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) is(err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Fatalf("got error %v, want %v", err, want)
	}
}

// equal compares what was stored with what came back. JSON maps with number
// keys and times compare by value.
func (f *fixture) equal(what string, got, want any) {
	f.t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool {
		return a.UnixMilli() == b.UnixMilli() && a.IsZero() == b.IsZero()
	})); d != "" {
		f.t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// call makes an API call of n recipients, due at the time given.
func (f *fixture) call(n int, due time.Time) *store.Acceptance {
	a := &store.Acceptance{Content: waypost.Content{
		ID: waypost.NewUUID(f.now), Account: f.account, SubAccount: f.sub,
		From: waypost.Address{Name: "Shop", Email: "news@example.com"}, Subject: "Hello", Text: "Hello {{name}}", HTML: "<p>Hello",
	}}
	for i := range n {
		to := fmt.Sprintf("user%d@example.org", i)
		m := waypost.Message{
			ID: waypost.NewUUID(f.now), Account: f.account, SubAccount: f.sub, Content: a.Content.ID, Recipient: to,
			To: waypost.Address{Email: to}, Provider: f.lane.Provider, Mailbox: f.lane.Mailbox, SubmittedAt: f.now,
		}
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, f.event(waypost.CSProcessed, &m, waypost.SourceAPI))
		a.Queue = append(a.Queue, store.Waiting{Lane: f.lane, Message: m.ID, Due: due})
	}
	return a
}

// accept stores a call of n recipients.
func (f *fixture) accept(n int, due time.Time) []waypost.Message {
	f.t.Helper()
	a := f.call(n, due)
	f.ok(f.s.Accept(f.t.Context(), a))
	return a.Messages
}

func (f *fixture) event(typ waypost.EventType, m *waypost.Message, src waypost.Source) waypost.Event {
	return waypost.Event{
		Type: typ, Account: m.Account, SubAccount: m.SubAccount, Provider: m.Provider, Message: m.ID,
		Recipient: m.Recipient, At: f.now, Source: src,
	}
}

// claim claims without limits, for a lease of two minutes.
func (f *fixture) claim(limit int) store.Claimed {
	f.t.Helper()
	return f.claimBy(store.Claim{Max: limit})
}

// claimBy fills in what c leaves out.
func (f *fixture) claimBy(c store.Claim) store.Claimed {
	f.t.Helper()
	if c.Lane == (waypost.Lane{}) {
		c.Lane = f.lane
	}
	if c.Now.IsZero() {
		c.Now = f.now
	}
	if c.LeaseUntil.IsZero() {
		c.LeaseUntil = c.Now.Add(2 * time.Minute)
	}
	got, err := f.s.Claim(f.t.Context(), c)
	f.ok(err)
	return got
}

// sent settles a claimed message as relayed.
func (f *fixture) sent(c store.Claimable) error {
	e := f.event(waypost.CSSent, &c.Message, waypost.SourceRelay)
	e.Attempt, e.Code, e.Enhanced, e.Text = c.Entry.Attempt+1, 250, "2.0.0", "Ok: queued as 4bXyZ1"
	return f.s.Settle(f.t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{e}})
}

// attempt is a failed attempt of a claimed message.
func (f *fixture) attempt(c store.Claimable, result waypost.AttemptResult) *waypost.Attempt {
	return &waypost.Attempt{
		Message: c.Message.ID, N: c.Entry.Attempt + 1, Provider: c.Entry.Lane.Provider, At: f.now,
		Took: 1500 * time.Millisecond, Result: result, Stage: "data", Code: 451, Enhanced: "4.3.0", Text: "try later",
	}
}

// retry settles a claimed message as due again after a failed attempt.
func (f *fixture) retry(c store.Claimable, result waypost.AttemptResult, due time.Time) {
	f.t.Helper()
	f.ok(f.s.Settle(f.t.Context(), &store.Settlement{
		Entry: c.Entry, Message: c.Message, Retry: due,
		Unknown: result == waypost.AttemptUnknown, Attempt: f.attempt(c, result),
	}))
}

// events lists all events of the account, newest first, page by page.
func (f *fixture) events() []waypost.Event {
	f.t.Helper()
	var all []waypost.Event
	q := store.EventQuery{Account: f.account, Limit: 1000}
	for {
		page, err := f.s.ListEvents(f.t.Context(), q)
		f.ok(err)
		all = append(all, page...)
		if len(page) < q.Limit {
			return all
		}
		q.Before = page[len(page)-1].ID
	}
}

// recount proves that the counters equal the events.
func (f *fixture) recount() map[waypost.Stat]int64 {
	f.t.Helper()
	want := map[waypost.Stat]int64{}
	from, to := epoch, epoch
	for _, e := range f.events() {
		for _, s := range e.Stats() {
			want[s]++
		}
		if e.At.Before(from) {
			from = e.At
		}
		if e.At.After(to) {
			to = e.At
		}
	}
	got := map[waypost.Stat]int64{}
	days, err := f.s.DailyStats(f.t.Context(), f.account, 0, from, to)
	f.ok(err)
	for _, d := range days {
		for s, n := range d.Counts {
			got[s] += n
		}
	}
	f.equal("counters against events", got, want)
	return got
}

func (f *fixture) depth(want int) {
	f.t.Helper()
	n, err := f.s.Depth(f.t.Context())
	f.ok(err)
	if n != want {
		f.t.Fatalf("depth is %d, want %d", n, want)
	}
}

func (f *fixture) trail(id waypost.UUID) store.Trail {
	f.t.Helper()
	tr, err := f.s.Trail(f.t.Context(), f.account, id)
	f.ok(err)
	return tr
}

func ids(all []store.Claimable) []waypost.UUID {
	out := make([]waypost.UUID, len(all))
	for i, c := range all {
		out[i] = c.Message.ID
	}
	return out
}

func types(all []waypost.Event) []waypost.EventType {
	out := make([]waypost.EventType, len(all))
	for i, e := range all {
		out[i] = e.Type
	}
	return out
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}

// suppress adds suppressions and tells how many were new.
func (f *fixture) suppress(all []waypost.Suppression) int {
	f.t.Helper()
	n, err := f.s.Suppress(f.t.Context(), all)
	f.ok(err)
	return n
}

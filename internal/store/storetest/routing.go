package storetest

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testUpdateProvider(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	second, _ := f.newProvider("relay two")
	before, err := f.s.Provider(ctx, f.account, second)
	f.ok(err)
	p := waypost.Provider{
		ID: f.provider, Account: f.account, Name: "renamed", Host: "192.0.2.9", Port: 465, Security: "tls", Auth: "plain",
		Username: "new", Password: waypost.Sealed{7, 0, 9}, HELO: "new.example.com", TLSSkipVerify: true, PlainAuth: true,
		MaxPerHour: 77, Burst: true, MaxConnections: 5, MaxPerSession: 250,
		Settings:       map[waypost.Mailbox]waypost.MailboxLimit{3: {MaxPerHour: 9}},
		RetryPermanent: true, Retry: waypost.RetrySchedule{time.Minute}, Created: epoch.Add(time.Hour), Updated: epoch.Add(time.Hour),
	}
	f.ok(f.s.UpdateProvider(ctx, &p))
	want := p
	want.Created = epoch // stays
	got, err := f.s.Provider(ctx, f.account, f.provider)
	f.ok(err)
	f.equal("updated", got, want)

	taken := want
	taken.Name, taken.Host = "relay two", "192.0.2.10"
	f.is(f.s.UpdateProvider(ctx, &taken), store.ErrExists)
	stranger := want
	stranger.Account, stranger.Host = f.account+1, "192.0.2.11"
	f.is(f.s.UpdateProvider(ctx, &stranger), store.ErrNotFound)
	missing := want
	missing.ID += 1000
	f.is(f.s.UpdateProvider(ctx, &missing), store.ErrNotFound)
	got, err = f.s.AnyProvider(ctx, f.provider)
	f.ok(err)
	f.equal("after three refusals", got, want)
	got, err = f.s.AnyProvider(ctx, second)
	f.ok(err)
	f.equal("its neighbour", got, before)
	for account, want := range map[int64]int{f.account: 2, f.account + 1: 0} {
		n, err := f.s.CountProviders(ctx, account)
		f.ok(err)
		f.equal("number of providers", n, want)
	}
}

func testDeleteProvider(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	second, _ := f.newProvider("relay two")
	keys := map[string]*waypost.APIKey{
		"its own":     {Kind: waypost.KeyIngestion, Account: f.account, Provider: f.provider, Hash: [32]byte{31}},
		"another's":   {Kind: waypost.KeyIngestion, Account: f.account, Provider: second, Hash: [32]byte{32}},
		"the account": {Kind: waypost.KeyAccount, Account: f.account, Hash: [32]byte{33}},
	}
	for _, k := range keys {
		f.ok(f.s.CreateKey(ctx, k))
	}
	f.ok(f.s.AgentSeen(ctx, waypost.Agent{Provider: f.provider, ID: "a", LastSeen: epoch}))
	for _, provider := range []int64{f.provider, second} {
		f.ok(f.s.SetPause(ctx, waypost.Pause{Account: f.account, Provider: provider, Mailbox: 3, At: epoch}))
	}
	mix := &waypost.Pool{
		Account: f.account, Name: "mix", Strategy: waypost.StrategyEmailProvider, Failover: true,
		Members: []waypost.PoolMember{{Provider: f.provider, Weight: 1}, {Provider: second, Weight: 2}},
		Lists: map[string][]int64{
			"gmail": {f.provider, second}, "yahoo": {f.provider}, waypost.OtherList: {second},
		},
		Metadata: `{"x":1}`, Created: epoch,
	}
	f.ok(f.s.CreatePool(ctx, mix))
	m := f.accept(1, f.now)[0]

	f.is(f.s.DeleteProvider(ctx, f.account+1, f.provider), store.ErrNotFound)
	_, err := f.s.Key(ctx, keys["its own"].Hash)
	f.ok(err)
	f.ok(f.s.DeleteProvider(ctx, f.account, f.provider))
	f.is(f.s.DeleteProvider(ctx, f.account, f.provider), store.ErrNotFound)
	_, err = f.s.AnyProvider(ctx, f.provider)
	f.is(err, store.ErrNotFound)
	_, err = f.s.Agent(ctx, f.provider)
	f.is(err, store.ErrNotFound)
	_, err = f.s.Key(ctx, keys["its own"].Hash)
	f.is(err, store.ErrNotFound)
	for _, name := range []string{"another's", "the account"} {
		_, err = f.s.Key(ctx, keys[name].Hash)
		f.ok(err)
	}
	pauses, err := f.s.Pauses(ctx, f.account)
	f.ok(err)
	f.equal("pauses left", pauses, []waypost.Pause{{Account: f.account, Provider: second, Mailbox: 3, At: epoch}})

	own, err := f.s.Pool(ctx, f.account, f.pool)
	f.ok(err) // a pool stays, with no member
	f.equal("members of its own pool", len(own.Members), 0)
	got, err := f.s.Pool(ctx, f.account, mix.ID)
	f.ok(err)
	want := *mix
	want.Members = []waypost.PoolMember{{Provider: second, Weight: 2}}
	want.Lists = map[string][]int64{"gmail": {second}, waypost.OtherList: {second}}
	f.equal("a shared pool", got, want)

	// Its messages wait on, and can be dropped or moved.
	f.depth(1)
	f.equal("where its message waits", f.trail(m.ID).Waiting.Lane, f.lane)
	n, err := f.s.Move(ctx, f.account, store.Selection{Provider: f.provider, Mailbox: waypost.AllMailboxes, Limit: 10}, mix.ID,
		func(*waypost.Message) int64 { return second })
	f.ok(err)
	f.equal("moved", n, 1)
	// The name is free again.
	f.newProvider("relay one")
}

func testRotateKey(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	second, _ := f.newProvider("relay two")
	add := func(id byte, provider int64, expires time.Time) *waypost.APIKey {
		k := &waypost.APIKey{Kind: waypost.KeyIngestion, Account: f.account, Provider: provider, Hash: [32]byte{id}, Expires: expires}
		f.ok(f.s.CreateKey(ctx, k))
		return k
	}
	until := epoch.Add(24 * time.Hour)
	for _, tt := range []struct {
		key  *waypost.APIKey
		want time.Time
	}{
		{add(41, f.provider, time.Time{}), until},
		{add(42, f.provider, until.Add(time.Hour)), until},
		{add(43, f.provider, epoch.Add(time.Hour)), epoch.Add(time.Hour)},
		{add(44, f.provider, epoch.Add(-time.Hour)), epoch.Add(-time.Hour)},
		{add(45, second, time.Time{}), time.Time{}},
	} {
		fresh := &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: [32]byte{50, tt.key.Hash[0]}, Hint: "new", Created: epoch}
		f.is(f.s.RotateKey(ctx, f.account+1, f.provider, fresh, epoch), store.ErrNotFound)
		_, err := f.s.Key(ctx, fresh.Hash)
		f.is(err, store.ErrNotFound)
		f.ok(f.s.RotateKey(ctx, f.account, f.provider, fresh, until))
		got, err := f.s.Key(ctx, tt.key.Hash)
		f.ok(err)
		f.equal("end of an old key", got.Expires, tt.want)
		got, err = f.s.Key(ctx, fresh.Hash)
		f.ok(err)
		f.equal("fresh key", got, *fresh)
		if fresh.ID == 0 || fresh.Account != f.account || fresh.Provider != f.provider || !got.Live(until.Add(time.Hour)) {
			t.Fatalf("the fresh key is %+v", got)
		}
	}
	old, err := f.s.Key(ctx, [32]byte{41})
	f.ok(err)
	if !old.Live(until.Add(-time.Millisecond)) || old.Live(until) {
		t.Fatalf("the old key ends at %v, want %v", old.Expires, until)
	}
	account, err := f.s.Key(ctx, [32]byte{1})
	f.ok(err)
	f.equal("the account's key", account.Expires, time.Time{})
	// A hash that is taken stores nothing.
	again := &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: [32]byte{45}}
	f.is(f.s.RotateKey(ctx, f.account, second, again, until), store.ErrExists)
	kept, err := f.s.Key(ctx, [32]byte{45})
	f.ok(err)
	f.equal("after a refusal", kept.Expires, time.Time{})
}

func testUpdatePool(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	p := waypost.Pool{
		ID: f.pool, Account: f.account, Name: "renamed", Strategy: waypost.StrategySendingDomain,
		Members: []waypost.PoolMember{{Provider: f.provider, Weight: 3}},
		Lists:   map[string][]int64{"example.com": {f.provider}, waypost.OtherList: {f.provider, 99}}, Metadata: `{"m":1}`,
		Failover: true, Overflow: 12, Patience: 90 * time.Second, NamesIP: true, Warmup: 24, Created: epoch.Add(time.Hour),
	}
	f.ok(f.s.UpdatePool(ctx, &p))
	want := p
	want.Created = epoch
	for name, look := range map[string]func() (waypost.Pool, error){
		"Pool":       func() (waypost.Pool, error) { return f.s.Pool(ctx, f.account, f.pool) },
		"PoolByName": func() (waypost.Pool, error) { return f.s.PoolByName(ctx, f.account, "renamed") },
		"AnyPool":    func() (waypost.Pool, error) { return f.s.AnyPool(ctx, f.pool) },
	} {
		got, err := look()
		f.ok(err)
		f.equal(name, got, want)
	}
	_, err := f.s.AnyPool(ctx, f.pool+1000)
	f.is(err, store.ErrNotFound)
	created := want
	created.ID, created.Name = 0, "created"
	f.ok(f.s.CreatePool(ctx, &created))
	got, err := f.s.AnyPool(ctx, created.ID)
	f.ok(err)
	f.equal("created with everything", got, created)

	taken := want
	taken.Name = "created"
	f.is(f.s.UpdatePool(ctx, &taken), store.ErrExists)
	stranger := want
	stranger.Account, stranger.Metadata = f.account+1, "{}"
	f.is(f.s.UpdatePool(ctx, &stranger), store.ErrNotFound)
	got, err = f.s.AnyPool(ctx, f.pool)
	f.ok(err)
	f.equal("after two refusals", got, want)
}

func testDeletePool(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	other := &waypost.Pool{Account: f.account, Name: "other", Overflow: f.pool, Patience: time.Minute, Created: epoch}
	third := &waypost.Pool{Account: f.account, Name: "third", Created: epoch}
	f.ok(f.s.CreatePool(ctx, other))
	f.ok(f.s.CreatePool(ctx, third))
	third.Overflow = other.ID
	f.ok(f.s.UpdatePool(ctx, third))
	sub := func() int64 {
		s, err := f.s.SubAccount(ctx, f.account, f.sub)
		f.ok(err)
		all, err := f.s.SubAccounts(ctx, f.account, store.Page{Limit: 10})
		f.ok(err)
		f.equal("listed alike", all[0], s)
		return s.Pool
	}
	f.equal("no default at first", sub(), int64(0))
	f.ok(f.s.SetDefaultPool(ctx, f.account, f.sub, f.pool))
	f.equal("default", sub(), f.pool)
	for name, err := range map[string]error{
		"a stranger":    f.s.SetDefaultPool(ctx, f.account+1, f.sub, 0),
		"no sub":        f.s.SetDefaultPool(ctx, f.account, f.sub+1000, f.pool),
		"no pool":       f.s.SetDefaultPool(ctx, f.account, f.sub, f.pool+1000),
		"not his to go": f.s.DeletePool(ctx, f.account+1, f.pool),
	} {
		t.Run(name, func(t *testing.T) { (&fixture{t: t}).is(err, store.ErrNotFound) })
	}
	f.equal("default after refusals", sub(), f.pool)

	f.ok(f.s.DeletePool(ctx, f.account, f.pool))
	f.is(f.s.DeletePool(ctx, f.account, f.pool), store.ErrNotFound)
	f.equal("default after it went", sub(), int64(0))
	for id, want := range map[int64]int64{other.ID: 0, third.ID: other.ID} {
		got, err := f.s.AnyPool(ctx, id)
		f.ok(err)
		f.equal("overflow", got.Overflow, want)
	}
	f.ok(f.s.SetDefaultPool(ctx, f.account, f.sub, other.ID))
	f.ok(f.s.SetDefaultPool(ctx, f.account, f.sub, 0))
	f.equal("default taken away", sub(), int64(0))
}

func testPauses(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	whole := waypost.Pause{Account: f.account, Provider: f.provider, Mailbox: waypost.AllMailboxes, Reason: "maintenance", At: epoch}
	lane := waypost.Pause{Account: f.account, Provider: f.provider, Mailbox: 26, Reason: "blocked", At: epoch.Add(time.Second)}
	pauses := func(account int64) []waypost.Pause {
		all, err := f.s.Pauses(ctx, account)
		f.ok(err)
		return all
	}
	f.equal("none", len(pauses(0)), 0)
	f.ok(f.s.SetPause(ctx, lane))
	f.ok(f.s.SetPause(ctx, whole))
	lane.Reason, lane.At = "blocked again", epoch.Add(time.Minute)
	f.ok(f.s.SetPause(ctx, lane))
	stranger := whole
	stranger.Account++
	f.is(f.s.SetPause(ctx, stranger), store.ErrNotFound)
	f.is(f.s.DeletePause(ctx, f.account+1, f.provider, 26), store.ErrNotFound)
	f.is(f.s.DeletePause(ctx, f.account, f.provider, 3), store.ErrNotFound)
	f.equal("of the account", pauses(f.account), []waypost.Pause{whole, lane})
	f.equal("of all", pauses(0), []waypost.Pause{whole, lane})
	f.equal("of a stranger", len(pauses(f.account+1)), 0)
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.equal("after a restart", pauses(0), []waypost.Pause{whole, lane})
	}
	f.ok(f.s.DeletePause(ctx, f.account, f.provider, waypost.AllMailboxes))
	f.equal("one is left", pauses(0), []waypost.Pause{lane})
	f.is(f.s.DeletePause(ctx, f.account, f.provider, waypost.AllMailboxes), store.ErrNotFound)
}

func testJournal(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	var events []waypost.ProviderEvent
	var audits []waypost.Audit
	for i, kind := range []waypost.ProviderEventKind{waypost.BreakerOpened, waypost.BreakerHalfOpen, waypost.BreakerClosed} {
		ev := waypost.ProviderEvent{Provider: f.provider, At: epoch.Add(-time.Duration(i) * time.Hour), Kind: kind, Text: "état " + string(kind)}
		f.ok(f.s.AddProviderEvent(ctx, &ev))
		au := waypost.Audit{
			Account: f.account, At: ev.At, Actor: "ab…yz", Action: "provider.update", Object: "provider 7", Text: "port 25 to 587",
		}
		f.ok(f.s.AddAudit(ctx, &au))
		if ev.ID == 0 || au.ID == 0 {
			t.Fatalf("ids are not filled in: %+v %+v", ev, au)
		}
		events, audits = append([]waypost.ProviderEvent{ev}, events...), append([]waypost.Audit{au}, audits...)
	}
	for _, tt := range []struct {
		page     store.Page
		from, to int
	}{{store.Page{Limit: 100}, 0, 3}, {store.Page{Limit: 1, Offset: 1}, 1, 2}, {store.Page{Limit: 2}, 0, 2}} {
		got, err := f.s.ProviderEvents(ctx, f.provider, tt.page)
		f.ok(err)
		f.equal("provider events, the newest stored first", got, events[tt.from:tt.to])
		log, err := f.s.Audits(ctx, store.AuditQuery{Account: f.account, Limit: tt.page.Limit, Offset: tt.page.Offset})
		f.ok(err)
		f.equal("audits, the newest stored first", log.Entries, audits[tt.from:tt.to])
	}
	none, err := f.s.ProviderEvents(ctx, f.provider+1000, store.Page{Limit: 10})
	f.ok(err)
	f.equal("of another provider", len(none), 0)
	log, err := f.s.Audits(ctx, store.AuditQuery{Account: f.account + 1, Limit: 10})
	f.ok(err)
	f.equal("of another account", len(log.Entries), 0)
}

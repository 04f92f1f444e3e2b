package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testInstall(t *testing.T, e Engine) {
	f := &fixture{t: t, s: e.Open(t), now: epoch}
	ctx := t.Context()
	installed, err := f.s.Installed(ctx)
	f.ok(err)
	if installed {
		t.Fatal("an empty store says that it is installed")
	}
	f.ok(f.s.Ping(ctx))
	_, err = f.s.FirstAccount(ctx)
	f.is(err, store.ErrNotFound)
	in := installation()
	f.ok(f.s.Install(ctx, in))
	if in.Account.ID == 0 || in.SubAccount.ID == 0 || in.SubAccount.Account != in.Account.ID {
		t.Fatalf("ids not filled in: %+v", in)
	}
	for _, k := range in.Keys {
		got, err := f.s.Key(ctx, k.Hash)
		f.ok(err)
		f.equal("key", got, *k)
		if k.ID == 0 || k.Account != in.Account.ID || (k.SubAccount == in.SubAccount.ID) != (k.Kind == waypost.KeySubAccount) {
			t.Fatalf("key not filled in: %+v", k)
		}
	}
	sub, err := f.s.SubAccount(ctx, in.Account.ID, in.SubAccount.ID)
	f.ok(err)
	f.equal("sub-account", sub, in.SubAccount)
	installed, err = f.s.Installed(ctx)
	f.ok(err)
	if !installed {
		t.Fatal("not installed after Install")
	}
	first, err := f.s.FirstAccount(ctx)
	f.ok(err)
	f.equal("the account", first, in.Account)
	again := installation()
	again.Keys[0].Hash, again.Keys[1].Hash = [32]byte{3}, [32]byte{4}
	f.is(f.s.Install(ctx, again), store.ErrExists)
	_, err = f.s.Key(ctx, [32]byte{3})
	f.is(err, store.ErrNotFound)
}

func testKeys(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	_, err := f.s.Key(ctx, [32]byte{77})
	f.is(err, store.ErrNotFound)
	k := &waypost.APIKey{
		Kind: waypost.KeyIngestion, Account: f.account, Provider: f.provider, Hash: [32]byte{77}, Hint: "x",
		Created: epoch, Expires: epoch.Add(-time.Hour),
	}
	f.ok(f.s.CreateKey(ctx, k))
	got, err := f.s.Key(ctx, k.Hash)
	f.ok(err) // an expired key is found: the caller judges
	f.equal("key", got, *k)
	twice := *k
	f.is(f.s.CreateKey(ctx, &twice), store.ErrExists)
}

func testProviders(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	p := &waypost.Provider{
		Account: f.account, Name: "Zürich", Host: "192.0.2.7", Port: 2525, Security: "none", Auth: "login",
		Username: "u", Password: waypost.Sealed{0, 1, 255}, HELO: "out.example.com", TLSSkipVerify: true, PlainAuth: true,
		MaxPerHour:     5000,
		Settings:       map[waypost.Mailbox]waypost.MailboxLimit{0: {MaxPerHour: 500, MaxConnections: 5}, 26: {MaxConnections: 1}},
		RetryPermanent: true, Retry: waypost.RetrySchedule{time.Second, 90 * time.Minute}, Created: epoch, Updated: epoch.Add(time.Second),
	}
	key := &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: [32]byte{5}, Created: epoch}
	f.ok(f.s.CreateProvider(ctx, p, key, nil))
	if p.ID == 0 || key.ID == 0 || key.Provider != p.ID || key.Account != f.account {
		t.Fatalf("ids not filled in: %+v %+v", p, key)
	}
	got, err := f.s.Provider(ctx, f.account, p.ID)
	f.ok(err)
	f.equal("provider", got, *p)
	got, err = f.s.AnyProvider(ctx, p.ID)
	f.ok(err)
	f.equal("provider", got, *p)
	stored, err := f.s.Key(ctx, key.Hash)
	f.ok(err)
	f.equal("ingestion key", stored, *key)
	_, err = f.s.AnyProvider(ctx, p.ID+1000)
	f.is(err, store.ErrNotFound)

	// A taken name stores neither provider nor key nor pool.
	clash := *p
	other := &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: [32]byte{6}, Created: epoch}
	f.is(f.s.CreateProvider(ctx, &clash, other, &waypost.Pool{Account: f.account, Name: "of the clash"}), store.ErrExists)
	_, err = f.s.Key(ctx, other.Hash)
	f.is(err, store.ErrNotFound)
	_, err = f.s.PoolByName(ctx, f.account, "of the clash")
	f.is(err, store.ErrNotFound)
}

func testPools(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	pool, err := f.s.Pool(ctx, f.account, f.pool)
	f.ok(err)
	f.equal("members of the automatic pool", pool.Members, []waypost.PoolMember{{Provider: f.provider, Weight: 100}})
	if want := fmt.Sprintf(`{"TPSP_%d":"100"}`, f.provider); !sameJSON(pool.Metadata, want) || pool.Name != "relay one" {
		t.Fatalf("automatic pool %q has metadata %s, want %s", pool.Name, pool.Metadata, want)
	}
	own := &waypost.Pool{
		Account: f.account, Name: "mix", Strategy: waypost.StrategyRoundRobin,
		Members: []waypost.PoolMember{{Provider: f.provider, Weight: 30}, {Provider: 99, Weight: 70}}, Metadata: `{"a":"b"}`, Created: epoch,
	}
	f.ok(f.s.CreatePool(ctx, own))
	got, err := f.s.PoolByName(ctx, f.account, "mix")
	f.ok(err)
	if !sameJSON(got.Metadata, own.Metadata) {
		t.Fatalf("metadata came back as %s", got.Metadata)
	}
	got.Metadata = own.Metadata
	f.equal("pool", got, *own)
	clash := &waypost.Pool{Account: f.account, Name: "mix"}
	f.is(f.s.CreatePool(ctx, clash), store.ErrExists)

	// A provider's pool gets the first free suffix.
	for i, want := range []string{"mix-2", "mix-3"} {
		p := &waypost.Provider{Account: f.account, Name: fmt.Sprint("relay", i), Created: epoch, Updated: epoch}
		q := &waypost.Pool{Account: f.account, Name: "mix", Strategy: waypost.StrategyVolumePercentage, Created: epoch}
		f.ok(f.s.CreateProvider(ctx, p, &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: [32]byte{20, byte(i)}}, q))
		if q.Name != want {
			t.Fatalf("pool is named %q, want %q", q.Name, want)
		}
		stored, err := f.s.PoolByName(ctx, f.account, want)
		f.ok(err)
		if stored.ID != q.ID || len(stored.Members) != 1 || stored.Members[0].Provider != p.ID {
			t.Fatalf("pool %q came back as %+v", want, stored)
		}
	}
}

func testAgent(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	_, err := f.s.Agent(ctx, f.provider)
	f.is(err, store.ErrNotFound)
	a := waypost.Agent{Provider: f.provider, ID: "a1", Version: "1.0", Hostname: "mx", MTA: "postfix", LastSeen: epoch}
	f.ok(f.s.AgentSeen(ctx, a))
	a.Version, a.LastSeen = "1.1", epoch.Add(time.Minute)
	a.State = waypost.AgentState{
		Status: "degraded", Reasons: []string{"the spool is nearly full"}, Log: "/var/log/mail.log", Position: 1 << 40, LagBytes: 12,
		LastLine: waypost.Timestamp{Time: epoch}, Buffered: 3, Unmatched: 2, Sample: []string{"4bXk2L0kzPz9rxy", "Ünï\""},
	}
	f.ok(f.s.AgentSeen(ctx, a))
	got, err := f.s.Agent(ctx, f.provider)
	f.ok(err)
	f.equal("agent", got, a)
}

func testLists(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	for _, name := range []string{"Beta 100%", "alpha", "beta two", "100_"} {
		f.newProvider(name)
		d := f.domain("x-" + name)
		f.ok(f.s.CreateDomain(ctx, &d))
	}
	for _, tt := range []struct {
		page store.Page
		want []string
	}{
		{store.Page{Limit: 100}, []string{"relay one", "Beta 100%", "alpha", "beta two", "100_"}},
		{store.Page{Limit: 2, Offset: 1}, []string{"Beta 100%", "alpha"}},
		{store.Page{Limit: 100, Search: "BETA"}, []string{"Beta 100%", "beta two"}},
		{store.Page{Limit: 1, Offset: 1, Search: "beta"}, []string{"beta two"}},
		{store.Page{Limit: 9, Search: "0%"}, []string{"Beta 100%"}},
		{store.Page{Limit: 9, Search: "0_"}, []string{"100_"}},
		{store.Page{Limit: 9, Search: `\`}, nil},
		{store.Page{Limit: 9, Offset: 50}, nil},
	} {
		var providers, pools []string
		all, err := f.s.Providers(ctx, f.account, tt.page)
		f.ok(err)
		for _, p := range all {
			providers = append(providers, p.Name)
		}
		qs, err := f.s.Pools(ctx, f.account, tt.page)
		f.ok(err)
		for _, p := range qs {
			pools = append(pools, p.Name)
		}
		f.equal(fmt.Sprintf("providers of %+v", tt.page), providers, tt.want)
		f.equal(fmt.Sprintf("pools of %+v", tt.page), pools, tt.want)
	}
	domains, err := f.s.Domains(ctx, f.sub, store.Page{Limit: 2, Offset: 1, Search: "X-"})
	f.ok(err)
	if len(domains) != 2 || domains[0].Name != "x-alpha" || domains[1].Name != "x-beta two" {
		t.Fatalf("domains: %+v", domains)
	}
	subs, err := f.s.SubAccounts(ctx, f.account, store.Page{Limit: 10})
	f.ok(err)
	if len(subs) != 1 || subs[0].ID != f.sub || !subs[0].Default {
		t.Fatalf("sub-accounts: %+v", subs)
	}
}

// testTenancy looks up everything on behalf of another tenant.
func testTenancy(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	m := f.accept(1, f.now)[0]
	d := f.domain("mine.example")
	f.ok(f.s.CreateDomain(ctx, &d))
	f.suppress([]waypost.Suppression{{Account: f.account, SubAccount: f.sub, Email: "a@example.org", Created: epoch}})
	stranger, page := f.account+1, store.Page{Limit: 10}
	otherSub := f.sub + 1
	for name, look := range map[string]func() error{
		"SubAccount":   func() error { _, err := f.s.SubAccount(ctx, stranger, f.sub); return err },
		"Provider":     func() error { _, err := f.s.Provider(ctx, stranger, f.provider); return err },
		"Pool":         func() error { _, err := f.s.Pool(ctx, stranger, f.pool); return err },
		"PoolByName":   func() error { _, err := f.s.PoolByName(ctx, stranger, "relay one"); return err },
		"Domain":       func() error { _, err := f.s.Domain(ctx, otherSub, d.ID); return err },
		"DomainByName": func() error { _, err := f.s.DomainByName(ctx, otherSub, d.Name); return err },
		"DeleteDomain": func() error { return f.s.DeleteDomain(ctx, otherSub, d.ID) },
		"Message":      func() error { _, err := f.s.Message(ctx, stranger, m.ID); return err },
		"Trail":        func() error { _, err := f.s.Trail(ctx, stranger, m.ID); return err },
	} {
		t.Run(name, func(t *testing.T) { (&fixture{t: t}).is(look(), store.ErrNotFound) })
	}
	for name, count := range map[string]func() (int, error){
		"SubAccounts": func() (int, error) { all, err := f.s.SubAccounts(ctx, stranger, page); return len(all), err },
		"Providers":   func() (int, error) { all, err := f.s.Providers(ctx, stranger, page); return len(all), err },
		"Pools":       func() (int, error) { all, err := f.s.Pools(ctx, stranger, page); return len(all), err },
		"Domains":     func() (int, error) { all, err := f.s.Domains(ctx, otherSub, page); return len(all), err },
		"Suppressed": func() (int, error) {
			all, err := f.s.Suppressed(ctx, otherSub, []string{"a@example.org"}, epoch)
			return len(all), err
		},
		"ListEvents": func() (int, error) {
			all, err := f.s.ListEvents(ctx, store.EventQuery{Account: stranger, Limit: 10})
			return len(all), err
		},
		"ListEvents of a sub-account": func() (int, error) {
			all, err := f.s.ListEvents(ctx, store.EventQuery{Account: stranger, SubAccount: f.sub, Limit: 10})
			return len(all), err
		},
		"DailyStats": func() (int, error) {
			all, err := f.s.DailyStats(ctx, stranger, 0, epoch, epoch)
			return len(all), err
		},
		"DailyStats of a sub-account": func() (int, error) {
			all, err := f.s.DailyStats(ctx, stranger, f.sub, epoch, epoch)
			return len(all), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := count()
			if err != nil || n != 0 {
				t.Fatalf("a stranger sees %d rows, %v", n, err)
			}
		})
	}
	if _, err := f.s.Domain(ctx, f.sub, d.ID); err != nil {
		t.Fatalf("the stranger's delete took the domain: %v", err)
	}
}

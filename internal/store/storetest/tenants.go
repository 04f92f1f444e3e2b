package storetest

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// newSubAccount makes a second sub-account with a key.
func (f *fixture) newSubAccount(name string) (*waypost.SubAccount, *waypost.APIKey) {
	f.t.Helper()
	s := &waypost.SubAccount{Account: f.account, Name: name, Created: epoch}
	k := &waypost.APIKey{Kind: waypost.KeySubAccount, Hash: hashOf(name), Hint: "sk…" + name, Created: epoch}
	f.ok(f.s.CreateSubAccount(f.t.Context(), s, k))
	return s, k
}

func testSubAccounts(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	s := &waypost.SubAccount{
		Account: f.account, Name: "Shop", Created: epoch, Blocked: true, BlockedAt: epoch.Add(time.Minute), BlockReason: "complaints",
		Checks: waypost.CheckRoles | waypost.CheckDuplicates,
	}
	k := &waypost.APIKey{Kind: waypost.KeySubAccount, Hash: hashOf("Shop"), Hint: "ab…", Created: epoch}
	f.ok(f.s.CreateSubAccount(ctx, s, k))
	if s.ID == 0 || k.ID == 0 || k.SubAccount != s.ID || k.Account != f.account {
		t.Fatalf("ids not filled in: %+v %+v", s, k)
	}
	got, err := f.s.SubAccount(ctx, f.account, s.ID)
	f.ok(err)
	f.equal("sub-account", got, *s)
	key, err := f.s.Key(ctx, k.Hash)
	f.ok(err)
	f.equal("its key", key, *k)

	// A name that is taken stores neither sub-account nor key.
	lost := &waypost.APIKey{Kind: waypost.KeySubAccount, Hash: hashOf("lost"), Created: epoch}
	f.is(f.s.CreateSubAccount(ctx, &waypost.SubAccount{Account: f.account, Name: "Shop", Created: epoch}, lost), store.ErrExists)
	_, err = f.s.Key(ctx, lost.Hash)
	f.is(err, store.ErrNotFound)

	s.Name, s.Blocked, s.BlockedAt, s.BlockReason, s.Checks = "Store", false, time.Time{}, "", waypost.CheckNullMX
	f.ok(f.s.UpdateSubAccount(ctx, s))
	got, err = f.s.SubAccount(ctx, f.account, s.ID)
	f.ok(err)
	f.equal("after an update", got, *s)
	taken := *s
	taken.Name = "default"
	f.is(f.s.UpdateSubAccount(ctx, &taken), store.ErrExists)
	stranger := *s
	stranger.Account++
	f.is(f.s.UpdateSubAccount(ctx, &stranger), store.ErrNotFound)
	gone := *s
	gone.ID, gone.Name = s.ID+1000, "gone"
	f.is(f.s.UpdateSubAccount(ctx, &gone), store.ErrNotFound)
}

func testDeleteSubAccount(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	s, k := f.newSubAccount("Shop")
	first := f.sub
	f.sub = s.ID
	d := f.domain("example.com")
	f.ok(f.s.CreateDomain(ctx, &d))
	f.suppress([]waypost.Suppression{{Account: f.account, SubAccount: s.ID, Email: "a@example.org", Created: epoch}})
	m := f.accept(1, f.now)[0]

	f.is(f.s.DeleteSubAccount(ctx, f.account+1, s.ID), store.ErrNotFound)
	f.is(f.s.DeleteSubAccount(ctx, f.account, first), store.ErrExists)
	_, err := f.s.SubAccount(ctx, f.account, first)
	f.ok(err)
	f.ok(f.s.DeleteSubAccount(ctx, f.account, s.ID))
	f.is(f.s.DeleteSubAccount(ctx, f.account, s.ID), store.ErrNotFound)

	_, err = f.s.SubAccount(ctx, f.account, s.ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.Key(ctx, k.Hash)
	f.is(err, store.ErrNotFound)
	_, err = f.s.AnyDomain(ctx, d.ID)
	f.is(err, store.ErrNotFound)
	left, err := f.s.Suppressed(ctx, s.ID, []string{"a@example.org"}, f.now)
	f.ok(err)
	f.equal("suppressions left", len(left), 0)
	// Its mail stays, and so do the others' keys.
	_, err = f.s.Message(ctx, f.account, m.ID)
	f.ok(err)
	f.equal("counters", f.recount(), map[waypost.Stat]int64{waypost.StatProcessed: 1})
	_, err = f.s.Key(ctx, [32]byte{2})
	f.ok(err)
	again, _ := f.newSubAccount("Shop") // the name is free again
	if again.ID == s.ID {
		t.Fatal("an id was given twice")
	}
}

func (f *fixture) newKey(k waypost.APIKey) *waypost.APIKey {
	f.t.Helper()
	k.Account, k.Hash, k.Created = f.account, hashOf(k.Name), epoch
	f.ok(f.s.CreateKey(f.t.Context(), &k))
	return &k
}

func (f *fixture) key(hash [32]byte) waypost.APIKey {
	f.t.Helper()
	k, err := f.s.Key(f.t.Context(), hash)
	f.ok(err)
	return k
}

func testKeyList(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	a := f.newKey(waypost.APIKey{Kind: waypost.KeyAccount, Name: "Billing", Hint: "x", Scopes: []string{"stats:read", "mail:send"}})
	b := f.newKey(waypost.APIKey{Kind: waypost.KeySubAccount, SubAccount: f.sub, Name: "shop", Networks: []string{"192.0.2.0/24"}, PerHour: 50})
	f.newKey(waypost.APIKey{Kind: waypost.KeyDashboard, Name: "first password"})
	f.equal("as stored", f.key(a.Hash), *a)
	f.equal("as stored", f.key(b.Hash), *b)
	names := func(account int64, kind waypost.KeyKind, p store.Page) (out []string) {
		t.Helper()
		all, err := f.s.Keys(ctx, account, kind, p)
		f.ok(err)
		for _, k := range all {
			out = append(out, k.Name)
		}
		return out
	}
	// The fixture made an account key, a sub-account key and an ingestion key, all without a name.
	f.equal("all but the dashboard's", names(f.account, 0, store.Page{Limit: 10}), []string{"", "", "", "Billing", "shop"})
	f.equal("of one kind", names(f.account, waypost.KeySubAccount, store.Page{Limit: 10}), []string{"", "shop"})
	f.equal("the dashboard's are never listed", names(f.account, waypost.KeyDashboard, store.Page{Limit: 10}), []string(nil))
	f.equal("a page", names(f.account, 0, store.Page{Limit: 1, Offset: 3}), []string{"Billing"})
	f.equal("by name", names(f.account, 0, store.Page{Limit: 10, Search: "bILL"}), []string{"Billing"})
	f.equal("another account's", names(f.account+1, 0, store.Page{Limit: 10}), []string(nil))
}

func testKeyChanges(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	k := f.newKey(waypost.APIKey{Kind: waypost.KeyAccount, Name: "one", Scopes: []string{"a"}})
	other := f.newKey(waypost.APIKey{Kind: waypost.KeyAccount, Name: "two"})
	k.Name, k.Scopes, k.Networks, k.PerHour, k.Expires = "uno", nil, []string{"10.0.0.0/8", "::1/128"}, 7, epoch.Add(time.Hour)
	changed := *k
	changed.Hint, changed.Kind, changed.LastUsed = "not stored", waypost.KeyIngestion, epoch
	f.ok(f.s.UpdateKey(ctx, &changed))
	f.equal("after an update", f.key(k.Hash), *k)
	stranger := *k
	stranger.Account++
	f.is(f.s.UpdateKey(ctx, &stranger), store.ErrNotFound)

	f.ok(f.s.TouchKeys(ctx, nil))
	f.ok(f.s.TouchKeys(ctx, map[int64]time.Time{k.ID: epoch.Add(time.Minute), k.ID + 1000: epoch}))
	f.equal("used", f.key(k.Hash).LastUsed, epoch.Add(time.Minute))
	f.equal("not used", f.key(other.Hash).LastUsed, time.Time{})
	f.ok(f.s.TouchKeys(ctx, map[int64]time.Time{k.ID: epoch.Add(2 * time.Minute), other.ID: epoch}))
	f.equal("used again", f.key(k.Hash).LastUsed, epoch.Add(2*time.Minute))
	f.equal("used now", f.key(other.Hash).LastUsed, epoch)

	f.is(f.s.DeleteKey(ctx, f.account+1, k.ID), store.ErrNotFound)
	f.ok(f.s.DeleteKey(ctx, f.account, k.ID))
	f.is(f.s.DeleteKey(ctx, f.account, k.ID), store.ErrNotFound)
	f.is(f.s.UpdateKey(ctx, k), store.ErrNotFound)
	_, err := f.s.Key(ctx, k.Hash)
	f.is(err, store.ErrNotFound)
	f.key(other.Hash)
}

func testSubmissionKey(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	s, _ := f.newSubAccount("Shop")
	k := f.newKey(waypost.APIKey{Kind: waypost.KeySubmission, SubAccount: f.sub, Name: "printer", Expires: epoch.Add(-time.Hour)})
	f.newKey(waypost.APIKey{Kind: waypost.KeySubmission, SubAccount: s.ID, Name: "printer"}) // unique in a sub-account, not beyond
	got, err := f.s.SubmissionKey(ctx, f.sub, "printer")
	f.ok(err) // expired: the caller judges
	f.equal("credential", got, *k)
	taken := waypost.APIKey{Kind: waypost.KeySubmission, Account: f.account, SubAccount: f.sub, Name: "printer", Hash: hashOf("taken"), Created: epoch}
	f.is(f.s.CreateKey(ctx, &taken), store.ErrExists)
	// A key of another kind shares no names with credentials.
	f.newKey(waypost.APIKey{Kind: waypost.KeySubAccount, SubAccount: f.sub, Name: "scanner"})
	f.newKey(waypost.APIKey{Kind: waypost.KeySubAccount, SubAccount: f.sub, Name: "scanner"})
	for _, c := range []struct {
		sub  int64
		name string
	}{{f.sub, "scanner"}, {f.sub, "Printer"}, {f.sub + 1000, "printer"}, {f.sub, ""}} {
		_, err = f.s.SubmissionKey(ctx, c.sub, c.name)
		f.is(err, store.ErrNotFound)
	}
}

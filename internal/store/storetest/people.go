package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testPeople(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	a := &waypost.Person{
		Account: f.account, Email: "ann@example.com", Name: "Ann", Role: waypost.RoleOwner, Password: "$argon2id$x", Created: epoch,
	}
	b := &waypost.Person{Account: f.account, Email: "bob@example.com", Role: waypost.RoleViewer, Created: epoch.Add(time.Hour), LastLogin: epoch}
	other := &waypost.Person{Account: f.account + 1, Email: "eve@example.com", Role: waypost.RoleOwner, Created: epoch}
	for _, p := range []*waypost.Person{a, b, other} {
		f.ok(f.s.CreatePerson(ctx, p))
	}
	got, err := f.s.Person(ctx, a.ID)
	f.ok(err)
	f.equal("by id", got, *a)
	got, err = f.s.PersonByEmail(ctx, "bob@example.com")
	f.ok(err)
	f.equal("by address", got, *b)
	// An address is one person's, whatever the account.
	f.is(f.s.CreatePerson(ctx, &waypost.Person{Account: f.account + 1, Email: "ann@example.com", Created: epoch}), store.ErrExists)
	all, err := f.s.People(ctx, f.account)
	f.ok(err)
	f.equal("listed", all, []waypost.Person{*a, *b})

	b.Email, b.Name, b.Role, b.Password, b.LastLogin = "bert@example.com", "Bert", waypost.RoleOperator, "$argon2id$y", epoch.Add(2*time.Hour)
	changed := *b
	changed.Created = epoch
	f.ok(f.s.UpdatePerson(ctx, &changed))
	got, err = f.s.Person(ctx, b.ID)
	f.ok(err)
	f.equal("after an update", got, *b)
	taken := *b
	taken.Email = a.Email
	f.is(f.s.UpdatePerson(ctx, &taken), store.ErrExists)

	refusal := errors.New("no")
	_, err = f.s.ChangePerson(ctx, f.account, b.ID, func(p *waypost.Person) error { p.Name = "nobody"; return refusal })
	f.is(err, refusal)
	_, err = f.s.ChangePerson(ctx, f.account, b.ID, func(p *waypost.Person) error { p.Email = a.Email; return nil })
	f.is(err, store.ErrExists)
	_, err = f.s.ChangePerson(ctx, f.account+1, b.ID, func(*waypost.Person) error { t.Error("another account's person"); return nil })
	f.is(err, store.ErrNotFound)
	// Changes of different fields at the same time: none is lost.
	var changing sync.WaitGroup
	var failed [8]error
	for i := range failed {
		changing.Go(func() {
			_, failed[i] = f.s.ChangePerson(ctx, f.account, b.ID, func(p *waypost.Person) error {
				p.ID, p.Account, p.Created = 999, 999, epoch // not its to change
				if i%2 == 0 {
					p.Name += "x"
				} else {
					p.Password += "y"
				}
				return nil
			})
		})
	}
	changing.Wait()
	f.ok(errors.Join(failed[:]...))
	b.Name, b.Password = b.Name+"xxxx", b.Password+"yyyy"
	got, err = f.s.Person(ctx, b.ID)
	f.ok(err)
	f.equal("after changes at the same time", got, *b)

	// Who is the only owner stays one; of two that make each other something
	// else at the same time, one does.
	demote := func(p *waypost.Person) error { p.Role = waypost.RoleViewer; return nil }
	_, err = f.s.ChangePerson(ctx, f.account, a.ID, demote)
	f.is(err, store.ErrLastOwner)
	f.is(f.s.DeletePerson(ctx, f.account, a.ID), store.ErrLastOwner)
	_, err = f.s.ChangePerson(ctx, f.account, a.ID, func(p *waypost.Person) error { p.Name = "Anna"; return nil })
	f.ok(err)
	for round := range 10 {
		_, err = f.s.ChangePerson(ctx, f.account, a.ID, func(p *waypost.Person) error { p.Role = waypost.RoleOwner; return nil })
		f.ok(err)
		_, err = f.s.ChangePerson(ctx, f.account, b.ID, func(p *waypost.Person) error { p.Role = waypost.RoleOwner; return nil })
		f.ok(err)
		var errs [2]error
		for i, id := range []int64{a.ID, b.ID} {
			changing.Go(func() { _, errs[i] = f.s.ChangePerson(ctx, f.account, id, demote) })
		}
		changing.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), store.ErrLastOwner) {
			t.Fatalf("round %d of owners who demote each other: %v", round, errs)
		}
	}
	_, err = f.s.ChangePerson(ctx, f.account, a.ID, func(p *waypost.Person) error { p.Role = waypost.RoleOwner; return nil })
	f.ok(err)
	_, err = f.s.ChangePerson(ctx, f.account, b.ID, demote)
	f.ok(err)

	stranger := *b
	stranger.Account++
	f.is(f.s.UpdatePerson(ctx, &stranger), store.ErrNotFound)
	f.is(f.s.DeletePerson(ctx, f.account+1, b.ID), store.ErrNotFound)
	f.ok(f.s.DeletePerson(ctx, f.account, b.ID))
	f.is(f.s.DeletePerson(ctx, f.account, b.ID), store.ErrNotFound)
	f.is(f.s.UpdatePerson(ctx, b), store.ErrNotFound)
	_, err = f.s.Person(ctx, b.ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.PersonByEmail(ctx, b.Email)
	f.is(err, store.ErrNotFound)
}

func testSessions(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	save := func(token byte, data string, expires time.Time) {
		t.Helper()
		f.ok(f.s.SaveSession(ctx, [32]byte{token}, []byte(data), expires))
	}
	is := func(token byte, now time.Time, want string) {
		t.Helper()
		got, err := f.s.Session(ctx, [32]byte{token}, now)
		if want == "" {
			f.is(err, store.ErrNotFound)
			return
		}
		f.ok(err)
		f.equal("session", string(got), want)
	}
	end := epoch.Add(time.Hour)
	save(1, "one\x00\xff", end)
	save(2, "two", end.Add(time.Hour))
	is(1, epoch, "one\x00\xff")
	is(1, end.Add(-time.Millisecond), "one\x00\xff")
	is(1, end, "")
	is(3, epoch, "")
	save(1, "one again", end.Add(time.Minute))
	is(1, end, "one again")
	f.ok(f.s.RenewSession(ctx, [32]byte{1}, []byte("renewed"), end.Add(time.Minute)))
	is(1, end, "renewed")
	f.ok(f.s.RenewSession(ctx, [32]byte{1}, []byte("one again"), end.Add(time.Minute)))
	f.is(f.s.RenewSession(ctx, [32]byte{9}, []byte("x"), end), store.ErrNotFound)
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		is(1, end, "one again")
	}
	f.ok(f.s.PruneSessions(ctx, end.Add(2*time.Minute)))
	is(1, epoch, "") // though it would be live then: the row is gone
	is(2, epoch, "two")
	f.ok(f.s.DeleteSession(ctx, [32]byte{2}))
	f.ok(f.s.DeleteSession(ctx, [32]byte{2}))
	is(2, epoch, "")
	f.is(f.s.RenewSession(ctx, [32]byte{2}, []byte("two"), end), store.ErrNotFound) // ended, and stays so
	is(2, epoch, "")
}

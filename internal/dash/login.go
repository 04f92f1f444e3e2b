package dash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var loginScreen = screen{Path: "/login", Routes: []route{
	{"GET /login", "", (*Dash).loginForm},
	{"POST /login", "", (*Dash).login},
	{"POST /logout", waypost.RoleViewer, (*Dash).logout},
}}

// loginPage is the page of the login form.
type loginPage struct {
	Form      *form
	Next      string
	Passwords bool   // they open sessions
	SSO       string // name of the issuer, "" : none
	Link      string // to it
}

// showLogin shows the page of the login with what went wrong.
func (d *Dash) showLogin(v *visit, status int, next, message string) error {
	f := newForm(url.Values{})
	f.Message = message
	return d.showLoginForm(v, status, f, next)
}

func (d *Dash) showLoginForm(v *visit, status int, f *form, next string) error {
	return d.showStatus(v, status, "login", loginPage{f, next, d.passwords(), d.ssoName(), ssoLink(next)})
}

func (d *Dash) loginForm(v *visit) error {
	next := local(v.r.URL.Query().Get("next"))
	if err := d.identify(v); err == nil {
		return v.redirect(next)
	}
	v.person = waypost.Person{}
	first, err := d.first(v)
	if err != nil {
		return err
	}
	if first {
		return v.redirect("/setup")
	}
	return d.showLogin(v, http.StatusOK, next, "")
}

// login opens a session. What is wrong is not told apart: address or password.
func (d *Dash) login(v *visit) error {
	f := newForm(v.r.PostForm)
	next := local(f.Raw("next"))
	if !d.passwords() {
		return d.showLogin(v, http.StatusForbidden, next, "Passwords are switched off here: log in with "+d.ssoName()+".")
	}
	email, password := waypost.FoldEmail(f.Get("email")), f.Raw("password")
	network := d.networkOf(v.r)
	if len(password) > maxPassword || len(email) > 320 {
		email, password = "", ""
	}
	p, err := d.cfg.Store.PersonByEmail(v.ctx(), email)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("look for a person: %w", err)
	}
	ok, wait, err := d.attempt(v.ctx(), network, email, password, p.Password)
	switch {
	case err != nil:
		return err
	case wait > 0:
		f.Message = tooMany(v, wait)
		return d.showLoginForm(v, http.StatusTooManyRequests, f, next)
	case ok:
		ok, err = d.noteLogin(v, &p)
		if err != nil {
			return err
		}
	}
	if !ok {
		d.cfg.Log.WarnContext(v.ctx(), "login refused", "from", network)
		if err := d.auditRefused(v, &p, network, email); err != nil {
			return err
		}
		f.Message = "E-mail address or password is wrong."
		return d.showLoginForm(v, http.StatusUnauthorized, f, next)
	}
	v.person = p
	d.audit(v, "person.login", fmt.Sprintf("person %d", p.ID), "logged in with the password, from %s", network)
	if err := d.open(v, &p, byPassword); err != nil {
		return err
	}
	return v.redirect(next)
}

// auditRefused notes a wrong password, and whether the next attempts must wait:
// there is no entry for those, so that guesses fill no log. What was typed is
// not noted unless it is a person's address: people type passwords there.
func (d *Dash) auditRefused(v *visit, p *waypost.Person, network, email string) error {
	whose, object, account := "an address that nobody has here", "login", p.Account
	if p.ID != 0 {
		whose, object = p.Email, fmt.Sprintf("person %d", p.ID)
	} else {
		first, err := d.cfg.Store.FirstAccount(v.ctx())
		if err != nil {
			return fmt.Errorf("look for the account: %w", err)
		}
		account = first.ID
	}
	wait, err := d.guard.wait(v.ctx(), network, email, v.now) // before the failure: a slow machine does not hide it
	if err != nil {
		return err
	}
	// Who tried is known by the network alone.
	v.person = waypost.Person{Account: account, Email: network}
	if wait > 0 {
		d.audit(v, "person.locked", object, "another wrong password for %s: nothing from there is looked at for %s", whose, spell(wait.Round(time.Second)))
	} else {
		d.audit(v, "person.refused", object, "wrong password for %s", whose)
	}
	v.person = waypost.Person{}
	return nil
}

// Logins wait for their turn, and hold a connection meanwhile: more than this
// many are sent away for a while.
const (
	mostQueued   = 100
	crowdedPause = 10 * time.Second
)

// attempt holds a password against its encoded form, unless a wait is due, and
// notes how it went. Few attempts are under way at a time and each looks at
// what the one before it noted: many guesses sent at once get no further than
// as many in turn.
func (d *Dash) attempt(ctx context.Context, network, login, password, encoded string) (ok bool, wait time.Duration, err error) {
	if d.queued.Add(1) > mostQueued {
		d.queued.Add(-1)
		return false, crowdedPause, nil
	}
	defer d.queued.Add(-1)
	select {
	case d.attempts <- struct{}{}:
		defer func() { <-d.attempts }()
	case <-ctx.Done():
		return false, 0, ctx.Err()
	}
	if wait, err = d.guard.wait(ctx, network, login, time.Now()); err != nil || wait > 0 {
		return false, wait, err
	}
	if ok, err = d.matches(ctx, password, encoded); err != nil {
		return false, 0, fmt.Errorf("check a password: %w", err)
	}
	if ok {
		return true, 0, d.guard.succeeded(ctx, network, login, time.Now())
	}
	return false, 0, d.guard.failed(ctx, network, login, time.Now())
}

// noteLogin notes when a person who gave the right password came, and takes
// over what is stored now: while it was checked an owner may have changed the
// role. It tells whether the password is still the one that was checked.
func (d *Dash) noteLogin(v *visit, p *waypost.Person) (bool, error) {
	checked := p.Password
	now, err := d.cfg.Store.ChangePerson(v.ctx(), p.Account, p.ID, func(now *waypost.Person) error {
		if now.Password != checked {
			return errOvertaken
		}
		now.LastLogin = v.now.Truncate(time.Millisecond)
		return nil
	})
	switch {
	case errors.Is(err, errOvertaken), errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("note the login: %w", err)
	}
	*p = now
	return true, nil
}

// errOvertaken: the password was changed by somebody else meanwhile.
var errOvertaken = errors.New("the password was changed meanwhile")

// tooMany tells how long the next attempt must wait.
func tooMany(v *visit, wait time.Duration) string {
	v.w.Header().Set("Retry-After", fmt.Sprint(int(wait/time.Second)+1))
	return "Too many attempts. Try again in " + spell(wait.Round(time.Second)) + "."
}

func (d *Dash) logout(v *visit) error {
	if err := d.end(v); err != nil {
		return err
	}
	return v.redirect("/login")
}

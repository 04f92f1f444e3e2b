package dash

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

var setupScreen = screen{Path: "/setup", Routes: []route{
	{"GET /setup", "", (*Dash).setupForm},
	{"POST /setup", "", (*Dash).setup},
}}

// first tells whether nobody may use the dashboard yet.
func (d *Dash) first(v *visit) (bool, error) {
	account, err := d.cfg.Store.FirstAccount(v.ctx())
	if err != nil {
		return false, fmt.Errorf("look for the account: %w", err)
	}
	all, err := d.cfg.Store.People(v.ctx(), account.ID)
	if err != nil {
		return false, fmt.Errorf("list the people: %w", err)
	}
	return len(all) == 0, nil
}

func (d *Dash) setupForm(v *visit) error {
	first, err := d.first(v)
	if err != nil {
		return err
	}
	if !first {
		return v.redirect("/login")
	}
	return d.show(v, "setup", newForm(url.Values{}))
}

// setup makes the first person, an owner. The password that init printed
// proves that it is the operator who asks; it opens nothing once somebody is
// there.
func (d *Dash) setup(v *visit) error {
	f := newForm(v.r.PostForm)
	network := d.networkOf(v.r)
	wait, err := d.guard.wait(v.ctx(), network, "setup", v.now)
	if err != nil {
		return err
	}
	if wait > 0 {
		f.Message = tooMany(v, wait)
		return d.showStatus(v, http.StatusTooManyRequests, "setup", f)
	}
	first, err := d.first(v)
	if err != nil {
		return err
	}
	if !first {
		return v.redirect("/login")
	}
	p := waypost.Person{Role: waypost.RoleOwner, Created: v.now.Truncate(time.Millisecond)}
	readPerson(f, &p)
	password := f.Raw("password")
	if why := checkPassword(password, p.Email); why != "" {
		f.wrong("password", "The password "+why+".")
	}
	if f.Raw("again") != password {
		f.wrong("again", "The two passwords differ.")
	}
	key, err := d.cfg.Store.Key(v.ctx(), secret.HashKey(f.Get("key")))
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("look for the first password: %w", err)
	case err != nil || key.Kind != waypost.KeyDashboard || !key.Live(v.now):
		// It takes as long as a wrong password, so that a flood of guesses is
		// no flood of writes.
		if _, err := d.matches(v.ctx(), password, ""); err != nil {
			return err
		}
		if err := d.guard.failed(v.ctx(), network, "setup", time.Now()); err != nil {
			return err
		}
		f.wrong("key", "This is not the dashboard password that the installation printed; it begins with wpd_.")
	default:
		p.Account = key.Account
	}
	if !f.OK() {
		return d.showStatus(v, http.StatusUnprocessableEntity, "setup", f)
	}
	if p.Password, err = d.hash(v.ctx(), password); err != nil {
		return err
	}
	p.LastLogin = p.Created
	if err := d.cfg.Store.CreatePerson(v.ctx(), &p); err != nil {
		return fmt.Errorf("store the first person: %w", err)
	}
	v.person = p
	d.audit(v, "person.create", fmt.Sprintf("person %d", p.ID), "made the first owner %s", p.Email)
	if err := d.open(v, &p, bySetup); err != nil {
		return err
	}
	return v.redirect("/start")
}

// readPerson reads name and address of a person.
func readPerson(f *form, p *waypost.Person) {
	p.Name, p.Email = f.Get("name"), waypost.FoldEmail(f.Get("email"))
	if len(p.Name) > 100 || hasControl(p.Name) {
		f.wrong("name", "A name has at most 100 bytes, without control characters.")
	}
	if err := waypost.CheckEmail(p.Email); err != nil {
		f.wrong("email", "This is no e-mail address: "+err.Error()+".")
	}
}

func hasControl(s string) bool {
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// audit notes what a person did here and not through the API.
func (d *Dash) audit(v *visit, action, object, format string, args ...any) {
	a := waypost.Audit{
		Account: v.account(), At: time.Now().Truncate(time.Millisecond), Actor: v.person.Email,
		Action: action, Object: object, Text: clip(fmt.Sprintf(format, args...), waypost.MaxText),
	}
	if err := d.cfg.Store.AddAudit(v.ctx(), &a); err != nil {
		d.cfg.Log.ErrorContext(v.ctx(), "cannot write the audit log", "action", action, "error", err)
	}
}

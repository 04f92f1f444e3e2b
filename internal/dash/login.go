package dash

import (
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
	Form *form
	Next string
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
	return d.show(v, "login", loginPage{newForm(url.Values{}), next})
}

// login opens a session. What is wrong is not told apart: address or password.
func (d *Dash) login(v *visit) error {
	f := newForm(v.r.PostForm)
	next := local(f.Raw("next"))
	email, password := waypost.FoldEmail(f.Get("email")), f.Raw("password")
	network := d.networkOf(v.r)
	wait, err := d.guard.wait(v.ctx(), network, email, v.now)
	if err != nil {
		return err
	}
	if wait > 0 {
		f.Message = tooMany(v, wait)
		return d.showStatus(v, http.StatusTooManyRequests, "login", loginPage{f, next})
	}
	if len(password) > maxPassword || len(email) > 320 {
		email, password = "", ""
	}
	p, err := d.cfg.Store.PersonByEmail(v.ctx(), email)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("look for a person: %w", err)
	}
	ok, err := d.matches(v.ctx(), password, p.Password)
	if err != nil {
		return fmt.Errorf("check a password: %w", err)
	}
	if !ok {
		if err := d.guard.failed(v.ctx(), network, email, time.Now()); err != nil {
			return err
		}
		d.cfg.Log.WarnContext(v.ctx(), "login refused", "from", network)
		f.Message = "E-mail address or password is wrong."
		return d.showStatus(v, http.StatusUnauthorized, "login", loginPage{f, next})
	}
	if err := d.guard.succeeded(v.ctx(), network, email, v.now); err != nil {
		return err
	}
	p.LastLogin = v.now.Truncate(time.Millisecond)
	if err := d.cfg.Store.UpdatePerson(v.ctx(), &p); err != nil {
		return fmt.Errorf("note the login: %w", err)
	}
	if err := d.open(v, &p); err != nil {
		return err
	}
	return v.redirect(next)
}

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

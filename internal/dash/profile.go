package dash

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/waypost-mail/waypost"
)

var profileScreen = screen{Path: "/profile", Routes: []route{
	{"GET /profile", waypost.RoleViewer, (*Dash).profile},
	{"POST /profile", waypost.RoleViewer, (*Dash).changePassword},
}}

func (d *Dash) profile(v *visit) error { return d.show(v, "profile", filled()) }

// changePassword ends every session of the person but this one.
func (d *Dash) changePassword(v *visit) error {
	f := newForm(v.r.PostForm)
	if !d.passwords() || v.person.Password == "" {
		return errNoPage
	}
	network := d.networkOf(v.r)
	p, password := v.person, f.Raw("password")
	ok, wait, err := d.attempt(v.ctx(), network, p.Email, clip(f.Raw("current"), maxPassword), p.Password)
	if err != nil {
		return err
	}
	if wait > 0 {
		f.Message = tooMany(v, wait)
		return d.showStatus(v, http.StatusTooManyRequests, "profile", f)
	}
	if !ok {
		f.wrong("current", "This is not your password.")
	}
	if why := checkPassword(password, p.Email); why != "" {
		f.wrong("password", "The new password "+why+".")
	}
	if f.Raw("again") != password {
		f.wrong("again", "The two passwords differ.")
	}
	if !f.OK() {
		return d.showStatus(v, http.StatusUnprocessableEntity, "profile", f)
	}
	fresh, err := d.hash(v.ctx(), password)
	if err != nil {
		return err
	}
	p, err = d.cfg.Store.ChangePerson(v.ctx(), p.Account, p.ID, func(now *waypost.Person) error {
		if now.Password != v.person.Password {
			return errOvertaken
		}
		now.Password = fresh
		return nil
	})
	switch {
	case errors.Is(err, errOvertaken):
		return errNobody // an owner gave the person a new one: the session is over
	case err != nil:
		return fmt.Errorf("store the password: %w", err)
	}
	d.audit(v, "person.password", fmt.Sprintf("person %d", p.ID), "changed the own password; all other sessions end")
	if err := d.end(v); err != nil {
		return err
	}
	if err := d.open(v, &p, v.session.By); err != nil {
		return err
	}
	d.say(v, "ok", "Your password is changed. Every other session of yours has ended.")
	return v.redirect("/profile")
}

package dash

import (
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
	network := d.networkOf(v.r)
	wait, err := d.guard.wait(v.ctx(), network, v.person.Email, v.now)
	if err != nil {
		return err
	}
	if wait > 0 {
		f.Message = tooMany(v, wait)
		return d.showStatus(v, http.StatusTooManyRequests, "profile", f)
	}
	p, password := v.person, f.Raw("password")
	ok, err := d.matches(v.ctx(), clip(f.Raw("current"), maxPassword), p.Password)
	if err != nil {
		return fmt.Errorf("check a password: %w", err)
	}
	if !ok {
		if err := d.guard.failed(v.ctx(), network, p.Email, v.now); err != nil {
			return err
		}
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
	if p.Password, err = d.hash(v.ctx(), password); err != nil {
		return err
	}
	if err := d.cfg.Store.UpdatePerson(v.ctx(), &p); err != nil {
		return fmt.Errorf("store the password: %w", err)
	}
	d.audit(v, "person.password", fmt.Sprintf("person %d", p.ID), "changed the own password; all other sessions end")
	if err := d.end(v); err != nil {
		return err
	}
	if err := d.open(v, &p); err != nil {
		return err
	}
	d.say(v, "ok", "Your password is changed. Every other session of yours has ended.")
	return v.redirect("/profile")
}

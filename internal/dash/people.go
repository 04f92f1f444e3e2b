package dash

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

var peopleScreen = screen{Path: "/people", Title: "People", Icon: "people", Group: "Manage", Role: waypost.RoleOwner, Routes: []route{
	{"GET /people", waypost.RoleOwner, (*Dash).people},
	{"POST /people", waypost.RoleOwner, (*Dash).invite},
	{"POST /people/{id}/role", waypost.RoleOwner, (*Dash).changeRole},
	{"POST /people/{id}/password", waypost.RoleOwner, (*Dash).resetPassword},
	{"POST /people/{id}/delete", waypost.RoleOwner, (*Dash).removePerson},
}}

// peoplePage is the list of people, and the form to invite one.
type peoplePage struct {
	People []waypost.Person
	Form   *form
	Roles  []option
	// Secret is the password of a person just invited, shown this once.
	Secret string
	For    string
}

var roleOptions = []option{
	{"viewer", "Viewer: sees all but the content of messages"},
	{"operator", "Operator: changes everything but people, keys and settings"},
	{"owner", "Owner: everything"},
}

func (d *Dash) people(v *visit) error {
	return d.showPeople(v, http.StatusOK, peoplePage{Form: filled("role", "operator")})
}

func (d *Dash) showPeople(v *visit, status int, p peoplePage) error {
	var err error
	if p.People, err = d.cfg.Store.People(v.ctx(), v.account()); err != nil {
		return fmt.Errorf("list the people: %w", err)
	}
	p.Roles = roleOptions
	return d.showStatus(v, status, "people", p)
}

// invite makes a person with a password that is shown once: the owner hands it
// over, and the person changes it.
func (d *Dash) invite(v *visit) error {
	f := newForm(v.r.PostForm)
	p := waypost.Person{Account: v.account(), Role: waypost.Role(f.Get("role")), Created: v.now.Truncate(time.Millisecond)}
	readPerson(f, &p)
	if rank(p.Role) == 0 {
		f.wrong("role", "Choose one of the roles.")
	}
	if !f.OK() {
		return d.showPeople(v, http.StatusUnprocessableEntity, peoplePage{Form: f})
	}
	plain := ""
	if d.passwords() {
		plain = secret.NewKey("wpp")
		var err error
		if p.Password, err = d.hash(v.ctx(), plain); err != nil {
			return err
		}
		p.Password = once + p.Password
	}
	switch err := d.cfg.Store.CreatePerson(v.ctx(), &p); {
	case errors.Is(err, store.ErrExists):
		f.wrong("email", "Somebody with this address is here already.")
		return d.showPeople(v, http.StatusUnprocessableEntity, peoplePage{Form: f})
	case err != nil:
		return fmt.Errorf("store a person: %w", err)
	}
	d.audit(v, "person.create", fmt.Sprintf("person %d", p.ID), "invited %s as %s", p.Email, p.Role)
	if plain == "" {
		v.flash = append(v.flash, flash{"ok", p.Email + " may log in with " + d.ssoName() + " now."})
	}
	return d.showPeople(v, http.StatusOK, peoplePage{Form: filled("role", "operator"), Secret: plain, For: p.Email})
}

// personOf finds the person that a request's path names.
func (d *Dash) personOf(v *visit) (waypost.Person, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.Person{}, errNoPage
	}
	p, err := d.cfg.Store.Person(v.ctx(), id)
	if err != nil {
		return p, fmt.Errorf("read person %d: %w", id, err)
	}
	if p.Account != v.account() {
		return waypost.Person{}, errNoPage
	}
	return p, nil
}

// onlyOwner says that a person must stay what they are.
func (d *Dash) onlyOwner(v *visit) error {
	d.say(v, "bad", "This is the only owner; make another person one first.")
	return v.redirect("/people")
}

func (d *Dash) changeRole(v *visit) error {
	p, err := d.personOf(v)
	if err != nil {
		return err
	}
	role := waypost.Role(v.r.PostForm.Get("role"))
	if rank(role) == 0 {
		return errNoPage
	}
	_, err = d.cfg.Store.ChangePerson(v.ctx(), p.Account, p.ID, func(now *waypost.Person) error { now.Role = role; return nil })
	if errors.Is(err, store.ErrLastOwner) {
		return d.onlyOwner(v)
	}
	if err != nil {
		return fmt.Errorf("store the role of person %d: %w", p.ID, err)
	}
	d.audit(v, "person.role", fmt.Sprintf("person %d", p.ID), "made %s %s", p.Email, role)
	d.say(v, "ok", p.Email+" is "+string(role)+" now.")
	return v.redirect("/people")
}

// resetPassword gives a person who forgot theirs a new one, shown once. All
// sessions of the person end.
func (d *Dash) resetPassword(v *visit) error {
	if !d.passwords() {
		return errNoPage
	}
	p, err := d.personOf(v)
	if err != nil {
		return err
	}
	plain := secret.NewKey("wpp")
	hashed, err := d.hash(v.ctx(), plain)
	if err != nil {
		return err
	}
	id := p.ID
	p, err = d.cfg.Store.ChangePerson(v.ctx(), p.Account, id, func(now *waypost.Person) error { now.Password = once + hashed; return nil })
	if err != nil {
		return fmt.Errorf("store the password of person %d: %w", id, err)
	}
	d.audit(v, "person.password", fmt.Sprintf("person %d", p.ID), "gave %s a new password", p.Email)
	if p.ID == v.person.ID {
		v.person = p
		if err := d.open(v, &p, v.session.By); err != nil {
			return err
		}
	}
	return d.showPeople(v, http.StatusOK, peoplePage{Form: filled("role", "operator"), Secret: plain, For: p.Email})
}

func (d *Dash) removePerson(v *visit) error {
	p, err := d.personOf(v)
	if err != nil {
		return err
	}
	err = d.cfg.Store.DeletePerson(v.ctx(), v.account(), p.ID)
	if errors.Is(err, store.ErrLastOwner) {
		return d.onlyOwner(v)
	}
	if err != nil {
		return fmt.Errorf("remove person %d: %w", p.ID, err)
	}
	d.audit(v, "person.delete", fmt.Sprintf("person %d", p.ID), "removed %s", p.Email)
	if p.ID == v.person.ID {
		return d.logout(v)
	}
	d.say(v, "ok", p.Email+" is removed and logged out.")
	return v.redirect("/people")
}

package dash

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// LinkLife is how long a link of LoginLink works.
const LinkLife = time.Hour

// LoginLink makes a link that logs a person in, once and within an hour,
// whatever is set about passwords and single sign-on: the operator's remedy for
// an owner who is locked out. It gives the path below the public URL.
func LoginLink(ctx context.Context, s store.Marks, p *waypost.Person, now time.Time) (string, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // documented never to fail
	token := hex.EncodeToString(raw[:])
	err := s.ChangeMark(ctx, linkMark(token), now, func([]byte) ([]byte, time.Time, error) {
		return strconv.AppendInt(nil, p.ID, 10), now.Add(LinkLife).Truncate(time.Millisecond), nil
	})
	if err != nil {
		return "", fmt.Errorf("store the link: %w", err)
	}
	return "/login/link/" + token, nil
}

// linkMark is the name that a link's person is stored under: only a hash of the
// token is kept.
func linkMark(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "link " + hex.EncodeToString(sum[:])
}

var linkScreen = screen{Path: "/login/link", Routes: []route{
	{"GET /login/link/{token}", "", (*Dash).linkForm},
	{"POST /login/link/{token}", "", (*Dash).linkLogin},
}}

// linkPage asks before the link is used up: programs that look at links in
// messages only read.
type linkPage struct {
	Action string
	Email  string // "" : the link opens nothing any more
}

func (d *Dash) linkForm(v *visit) error {
	b, err := d.cfg.Store.Mark(v.ctx(), linkMark(v.r.PathValue("token")), v.now)
	if errors.Is(err, store.ErrNotFound) {
		return d.showStatus(v, http.StatusNotFound, "link", linkPage{})
	}
	if err != nil {
		return fmt.Errorf("look for a login link: %w", err)
	}
	p, err := d.linkPerson(v, b)
	if err != nil {
		return err
	}
	return d.show(v, "link", linkPage{v.r.URL.Path, p.Email})
}

func (d *Dash) linkPerson(v *visit, mark []byte) (waypost.Person, error) {
	id, err := strconv.ParseInt(string(mark), 10, 64)
	if err != nil {
		return waypost.Person{}, fmt.Errorf("BUG: a login link of %q", mark)
	}
	return d.cfg.Store.Person(v.ctx(), id)
}

func (d *Dash) linkLogin(v *visit) error {
	var mark []byte
	err := d.cfg.Store.ChangeMark(v.ctx(), linkMark(v.r.PathValue("token")), v.now, func(old []byte) ([]byte, time.Time, error) {
		mark = old
		return nil, time.Time{}, nil
	})
	if err != nil {
		return fmt.Errorf("use up a login link: %w", err)
	}
	if mark == nil {
		return d.showStatus(v, http.StatusNotFound, "link", linkPage{})
	}
	p, err := d.linkPerson(v, mark)
	if err != nil {
		return err
	}
	if p, err = d.noteComing(v, &p); err != nil {
		return err
	}
	v.person = p
	d.audit(v, "person.login", fmt.Sprintf("person %d", p.ID), "logged in with a link of waypost person link")
	if err := d.open(v, &p, byLink); err != nil {
		return err
	}
	return v.redirect("/")
}

// noteComing notes when a person came who needed no password, and gives what is
// stored of the person now.
func (d *Dash) noteComing(v *visit, p *waypost.Person) (waypost.Person, error) {
	now, err := d.cfg.Store.ChangePerson(v.ctx(), p.Account, p.ID, func(now *waypost.Person) error {
		now.LastLogin = v.now.Truncate(time.Millisecond)
		return nil
	})
	if err != nil {
		return now, fmt.Errorf("note the login of person %d: %w", p.ID, err)
	}
	return now, nil
}

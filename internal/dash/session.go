package dash

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// session is what is stored behind the token of a cookie.
type session struct {
	Person  int64
	Created time.Time
	Seen    time.Time
	// Stamp is of the password that the session was opened with: it ends, and
	// so do all others of the person, when the password changes.
	Stamp string
	By    entrance
}

// entrance is how a session was opened. The words are stored.
type entrance string

const (
	byPassword entrance = ""
	bySetup    entrance = "setup" // by the installation's first password
	bySSO      entrance = "sso"
	byLink     entrance = "link" // of waypost person link
)

// How long a session lives: without a request, and at all.
const (
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
	// ssoLife is that of a session through an issuer, which is asked again
	// whether the person still may.
	ssoLife = 12 * time.Hour
	// seenEvery is how exactly the last request is noted: a page costs no write.
	seenEvery = 5 * time.Minute
)

// cookieName is the session cookie's; over https it carries the prefix that
// keeps other hosts and paths from setting it.
func (d *Dash) cookieName() string {
	if d.secure {
		return "__Host-waypost_session"
	}
	return "waypost_session"
}

func (d *Dash) setCookie(w http.ResponseWriter, token string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: d.cookieName(), Value: token, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure,
	})
}

// stamp marks a password, by its encoded form and its owner's account.
func stamp(p *waypost.Person) string {
	sum := sha256.Sum256([]byte("session\x00" + p.Password))
	return hex.EncodeToString(sum[:16])
}

// life is how long a session lives at all.
func (s *session) life() time.Duration {
	if s.By == bySSO {
		return ssoLife
	}
	return sessionLife
}

// open begins a session of a person who proved to be one.
func (d *Dash) open(v *visit, p *waypost.Person, by entrance) error {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // documented never to fail
	token := hex.EncodeToString(raw[:])
	s := session{Person: p.ID, Created: v.now, Seen: v.now, Stamp: stamp(p), By: by}
	data, ends, err := s.stored()
	if err != nil {
		return err
	}
	if err := d.cfg.Store.SaveSession(v.ctx(), sha256.Sum256([]byte(token)), data, ends); err != nil {
		return fmt.Errorf("store a session: %w", err)
	}
	d.setCookie(v.w, token, int(s.life()/time.Second))
	return nil
}

// stored is the session as it is stored, and its end.
func (s *session) stored() ([]byte, time.Time, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("encode a session: %w", err)
	}
	ends := s.Seen.Add(sessionIdle)
	if last := s.Created.Add(s.life()); last.Before(ends) {
		ends = last
	}
	return b, ends.Truncate(time.Millisecond), nil
}

// renew notes that the session is used. One that ended since it was read, by
// a logout beside this request, stays so.
func (d *Dash) renew(v *visit) error {
	data, ends, err := v.session.stored()
	if err != nil {
		return err
	}
	err = d.cfg.Store.RenewSession(v.ctx(), sha256.Sum256([]byte(v.token)), data, ends)
	if errors.Is(err, store.ErrNotFound) {
		return errNobody
	}
	if err != nil {
		return fmt.Errorf("renew a session: %w", err)
	}
	return nil
}

// identify finds the person behind the request's cookie; errNobody when there
// is no live session.
func (d *Dash) identify(v *visit) error {
	if v.known() {
		return nil
	}
	c, err := v.r.Cookie(d.cookieName())
	if err != nil || len(c.Value) != 64 {
		return errNobody
	}
	b, err := d.cfg.Store.Session(v.ctx(), sha256.Sum256([]byte(c.Value)), v.now)
	if errors.Is(err, store.ErrNotFound) {
		return errNobody
	}
	if err != nil {
		return fmt.Errorf("read the session: %w", err)
	}
	var s session
	if json.Unmarshal(b, &s) != nil || v.now.Sub(s.Seen) > sessionIdle || v.now.Sub(s.Created) > s.life() {
		return errNobody
	}
	if s.By == byPassword && !d.passwords() {
		return errNobody
	}
	p, err := d.cfg.Store.Person(v.ctx(), s.Person)
	if errors.Is(err, store.ErrNotFound) {
		return errNobody
	}
	if err != nil {
		return fmt.Errorf("read the person of the session: %w", err)
	}
	if s.Stamp != stamp(&p) {
		return errNobody
	}
	v.person, v.session, v.token = p, s, c.Value
	if v.now.Sub(s.Seen) > seenEvery {
		v.session.Seen = v.now
		if err := d.renew(v); err != nil {
			v.person = waypost.Person{}
			return err
		}
	}
	return nil
}

// end closes the request's session.
func (d *Dash) end(v *visit) error {
	d.setCookie(v.w, "", -1)
	if v.token == "" {
		return nil
	}
	err := d.cfg.Store.DeleteSession(v.ctx(), sha256.Sum256([]byte(v.token)))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("end the session: %w", err)
	}
	return nil
}

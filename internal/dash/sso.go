package dash

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/sso"
	"github.com/waypost-mail/waypost/internal/store"
)

// SSO is a login through an OpenID Connect issuer.
type SSO struct {
	Client *sso.Client
	Name   string // of the issuer, on the button of the login; "" : single sign-on
	// Groups, unless empty, decide who may log in, and as what, at each login:
	// who is in none of them may not.
	Groups sso.GroupRoles
	// CreateRole is that of people who were not invited, made at their first
	// login; "" : only who was invited may log in. Not looked at with Groups.
	CreateRole waypost.Role
	Only       bool // passwords open nothing
}

var ssoScreen = screen{Path: "/login/oidc", Routes: []route{
	{"GET /login/oidc", "", (*Dash).beginSSO},
	{"GET /login/oidc/callback", "", (*Dash).finishSSO},
}}

// ssoPlace is what an attempt in a cookie is sealed for.
const ssoPlace = "oidc attempt"

// ssoAttempt is what the cookie holds.
type ssoAttempt struct {
	sso.Attempt

	Next string `json:"next"`
}

// passwords tells whether passwords open sessions.
func (d *Dash) passwords() bool { return d.cfg.SSO == nil || !d.cfg.SSO.Only }

// ssoName is what the issuer is called on pages, "" without one.
func (d *Dash) ssoName() string {
	if d.cfg.SSO == nil {
		return ""
	}
	return orElse(d.cfg.SSO.Name, "single sign-on")
}

func (d *Dash) ssoCookie() string {
	if d.secure {
		return "__Host-waypost_oidc"
	}
	return "waypost_oidc"
}

func (d *Dash) setSSOCookie(v *visit, value string, age int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: d.ssoCookie(), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure,
	})
}

// ssoOpen tells whether a login through the issuer may go on, and answers when
// it may not.
func (d *Dash) ssoOpen(v *visit, next string) (bool, error) {
	if d.cfg.SSO == nil {
		return false, errNoPage
	}
	first, err := d.first(v)
	if err != nil {
		return false, err
	}
	if first { // the owner is made by who has the installation's password
		return false, v.redirect("/setup")
	}
	wait, err := d.guard.wait(v.ctx(), d.networkOf(v.r), ssoPlace, v.now)
	if err != nil {
		return false, err
	}
	if wait > 0 {
		return false, d.showLogin(v, http.StatusTooManyRequests, next, tooMany(v, wait))
	}
	return true, nil
}

// beginSSO sends the browser to the issuer, with the attempt in a sealed cookie.
func (d *Dash) beginSSO(v *visit) error {
	next := local(v.r.URL.Query().Get("next"))
	if goOn, err := d.ssoOpen(v, next); !goOn {
		return err
	}
	a, where, err := d.cfg.SSO.Client.Begin(v.ctx(), v.now)
	if err != nil {
		return d.ssoAway(v, next, err)
	}
	b, err := json.Marshal(ssoAttempt{a, next})
	if err != nil {
		return fmt.Errorf("encode an attempt: %w", err)
	}
	d.setSSOCookie(v, base64.RawURLEncoding.EncodeToString(d.cfg.Box.Seal(b, ssoPlace)), int(sso.AttemptLife/time.Second))
	return v.redirect(where)
}

// ssoAway tells that the issuer cannot be asked.
func (d *Dash) ssoAway(v *visit, next string, err error) error {
	if v.ctx().Err() != nil {
		return v.ctx().Err() // the browser is gone
	}
	d.cfg.Log.ErrorContext(v.ctx(), "single sign-on: the issuer cannot be asked", "error", err)
	return d.showLogin(v, http.StatusBadGateway, next, "The login service cannot be reached, or is not set up well; this server's log has the reason.")
}

// attemptOf opens the cookie of a login that this browser began.
func (d *Dash) attemptOf(v *visit) (a ssoAttempt, ok bool) {
	c, err := v.r.Cookie(d.ssoCookie())
	if err != nil || len(c.Value) > 4096 {
		return a, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return a, false
	}
	plain, err := d.cfg.Box.Open(sealed, ssoPlace)
	if err != nil || json.Unmarshal(plain, &a) != nil {
		return ssoAttempt{}, false
	}
	return a, true
}

// useUp marks an attempt as finished; false when it was before.
func (d *Dash) useUp(v *visit, a *ssoAttempt) (bool, error) {
	sum := sha256.Sum256([]byte(a.State))
	fresh := false
	err := d.cfg.Store.ChangeMark(v.ctx(), "oidc "+hex.EncodeToString(sum[:]), v.now, func(old []byte) ([]byte, time.Time, error) {
		fresh = old == nil
		return []byte("used"), a.Expires.Truncate(time.Millisecond), nil
	})
	if err != nil {
		return false, fmt.Errorf("mark a login as used: %w", err)
	}
	return fresh, nil
}

// finishSSO takes the browser's way back from the issuer. An attempt is good
// for one answer.
func (d *Dash) finishSSO(v *visit) error {
	a, known := d.attemptOf(v)
	if goOn, err := d.ssoOpen(v, local(a.Next)); !goOn {
		return err
	}
	answer := v.r.URL.Query()
	d.setSSOCookie(v, "", -1)
	if !known || !a.Belongs(answer, v.now) {
		return d.ssoRefused(v, &a, sso.ErrStale)
	}
	fresh, err := d.useUp(v, &a)
	if err != nil {
		return err
	}
	if !fresh {
		return d.ssoRefused(v, &a, sso.ErrStale)
	}
	id, err := d.cfg.SSO.Client.Finish(v.ctx(), &a.Attempt, answer, v.now)
	if err != nil {
		return d.ssoRefused(v, &a, err)
	}
	return d.admit(v, &a, &id)
}

// ssoRefused answers a login that failed before it was known who it is.
func (d *Dash) ssoRefused(v *visit, a *ssoAttempt, why error) error {
	if v.ctx().Err() != nil {
		return v.ctx().Err() // the browser is gone
	}
	network := d.networkOf(v.r)
	d.cfg.Log.WarnContext(v.ctx(), "single sign-on refused", "from", network, "error", why)
	if err := d.guard.failed(v.ctx(), network, ssoPlace, time.Now()); err != nil {
		return err
	}
	status, text := http.StatusForbidden, "The answer of the login service is not to be trusted; this server's log has the reason. Nothing was opened."
	switch {
	case errors.Is(why, sso.ErrStale):
		status, text = http.StatusBadRequest, "This login was not begun in this browser, was used before, or took longer than ten minutes. Begin again."
	case errors.Is(why, sso.ErrDenied):
		text = "The login service let nobody in."
	case errors.Is(why, sso.ErrUnverified):
		text = "The login service does not vouch for your e-mail address: it must say that the address is verified."
	}
	return d.showLogin(v, status, local(a.Next), text)
}

// errNotAdmitted is who the issuer knows and this dashboard does not let in.
var errNotAdmitted = errors.New("the person may not use this dashboard")

// admit opens a session for who the issuer named, when a person here has the
// address, or may be made.
func (d *Dash) admit(v *visit, a *ssoAttempt, id *sso.Identity) error {
	p, err := d.personFor(v, id)
	if errors.Is(err, errNotAdmitted) {
		if err := d.guard.failed(v.ctx(), d.networkOf(v.r), ssoPlace, time.Now()); err != nil {
			return err
		}
		d.cfg.Log.WarnContext(v.ctx(), "single sign-on refused", "from", d.networkOf(v.r), "email", id.Email, "error", err)
		return d.showLogin(v, http.StatusForbidden, local(a.Next), fmt.Sprintf("You are %s to the login service, and may not use this dashboard. An owner can invite you under People, or put you into a group that may.", id.Email))
	}
	if err != nil {
		return err
	}
	if err := d.guard.succeeded(v.ctx(), d.networkOf(v.r), ssoPlace, v.now); err != nil {
		return err
	}
	if p, err = d.noteComing(v, &p); err != nil {
		return err
	}
	v.person = p
	d.audit(v, "person.login", fmt.Sprintf("person %d", p.ID), "logged in through %s as %q there", d.ssoName(), id.Subject)
	if err := d.open(v, &p, bySSO); err != nil {
		return err
	}
	return v.redirect(local(a.Next))
}

// personFor finds or makes the person of an identity, with the role that its
// groups give.
func (d *Dash) personFor(v *visit, id *sso.Identity) (waypost.Person, error) {
	p, err := d.cfg.Store.PersonByEmail(v.ctx(), id.Email)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return p, fmt.Errorf("look for a person: %w", err)
	}
	known, role := err == nil, d.cfg.SSO.CreateRole
	if len(d.cfg.SSO.Groups) > 0 {
		var member bool
		if role, member = d.cfg.SSO.Groups.Role(id.Groups); !member {
			return p, d.turnAway(v, id, "is in no group that may use this dashboard")
		}
	}
	switch {
	case !known && role == "":
		return p, d.turnAway(v, id, "was not invited")
	case !known:
		return d.makePerson(v, id, role)
	case len(d.cfg.SSO.Groups) > 0 && role != p.Role:
		return d.followGroups(v, p, role)
	}
	return p, nil
}

// turnAway notes whom the issuer knows and the dashboard does not let in.
func (d *Dash) turnAway(v *visit, id *sso.Identity, why string) error {
	account, err := d.cfg.Store.FirstAccount(v.ctx())
	if err != nil {
		return fmt.Errorf("look for the account: %w", err)
	}
	v.person = waypost.Person{Account: account.ID, Email: id.Email}
	d.audit(v, "person.refused", "login", "%s %s; %s knows the person", id.Email, why, d.ssoName())
	v.person = waypost.Person{}
	return fmt.Errorf("%w: %s", errNotAdmitted, why)
}

func (d *Dash) makePerson(v *visit, id *sso.Identity, role waypost.Role) (waypost.Person, error) {
	account, err := d.cfg.Store.FirstAccount(v.ctx())
	if err != nil {
		return waypost.Person{}, fmt.Errorf("look for the account: %w", err)
	}
	p := waypost.Person{Account: account.ID, Email: id.Email, Name: id.Name, Role: role, Created: v.now.Truncate(time.Millisecond)}
	switch err := d.cfg.Store.CreatePerson(v.ctx(), &p); {
	case errors.Is(err, store.ErrExists): // two first logins at once
		return d.cfg.Store.PersonByEmail(v.ctx(), id.Email)
	case err != nil:
		return p, fmt.Errorf("store a person: %w", err)
	}
	v.person = p
	d.audit(v, "person.create", fmt.Sprintf("person %d", p.ID), "came through %s for the first time, as %s", d.ssoName(), p.Role)
	return p, nil
}

// followGroups gives a person the role that the issuer's groups say now; the
// only owner stays one.
func (d *Dash) followGroups(v *visit, p waypost.Person, role waypost.Role) (waypost.Person, error) {
	v.person = p
	now, err := d.cfg.Store.ChangePerson(v.ctx(), p.Account, p.ID, func(now *waypost.Person) error { now.Role = role; return nil })
	if errors.Is(err, store.ErrLastOwner) {
		d.cfg.Log.WarnContext(v.ctx(), "the only owner stays one, whatever the groups say", "email", p.Email, "role", role)
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("store the role of person %d: %w", p.ID, err)
	}
	d.audit(v, "person.role", fmt.Sprintf("person %d", p.ID), "%s is %s now, by the groups at %s", p.Email, role, d.ssoName())
	return now, nil
}

// ssoLink is where the button of the login leads.
func ssoLink(next string) string {
	if next == "/" {
		return "/login/oidc"
	}
	return "/login/oidc?next=" + url.QueryEscape(next)
}

package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// authenticate logs in when a user name is configured (RFC 4954).
func (c *Client) authenticate(ctx context.Context, t *Transaction) *Error {
	if c.cfg.Username == "" || c.cfg.Auth == AuthNone {
		return nil
	}
	r, e := c.login()
	var ge *garbageError
	if e != nil && errors.As(e.Err, &ge) {
		ge.head = "" // it may echo what we sent
	}
	e = withCause(ctx, e)
	t.step(StageAuth, r, e)
	return e
}

func (c *Client) login() (Reply, *Error) {
	if c.tls == nil && !c.cfg.AllowPlainAuth {
		return Reply{}, unsupported(fmt.Errorf("%w; use TLS or permit it for this provider", ErrPlainAuth))
	}
	mechanism, e := c.mechanism()
	if e != nil {
		return Reply{}, e
	}
	r, e := c.run(mechanism)
	// 504: the server lists a mechanism it then does not know.
	if e == nil && r.Code == 504 && mechanism == "PLAIN" && c.auto() && c.ext.offers("LOGIN") {
		r, e = c.run("LOGIN")
	}
	if e != nil {
		return r, e
	}
	r = c.mask(r)
	return r, c.judge(StageAuth, r, r.Code == 235)
}

func (c *Client) run(mechanism string) (Reply, *Error) {
	if mechanism == "LOGIN" {
		return c.authLogin()
	}
	return c.authPlain()
}

func (c *Client) auto() bool { return c.cfg.Auth == "" || c.cfg.Auth == AuthAuto }

// mechanism picks what both sides know.
func (c *Client) mechanism() (string, *Error) {
	want := []string{"PLAIN", "LOGIN"}
	if !c.auto() {
		want = []string{strings.ToUpper(string(c.cfg.Auth))}
	}
	for _, m := range want {
		if c.ext.offers(m) {
			return m, nil
		}
	}
	if len(c.ext.Auth) == 0 {
		return "", unsupported(errors.New("server does not offer AUTH on this connection"))
	}
	return "", unsupported(fmt.Errorf("server offers AUTH %s, not %s",
		bound(strings.Join(c.ext.Auth, " "), 200), strings.Join(want, " or ")))
}

func unsupported(err error) *Error {
	return &Error{Stage: StageAuth, Class: ClassAuthUnsupported, Err: err}
}

// authPlain sends the initial response with the command (RFC 4616); servers that
// overlook it ask again with 334.
func (c *Client) authPlain() (Reply, *Error) {
	resp := encode("\x00" + c.cfg.Username + "\x00" + c.cfg.Password)
	r, e := c.cmd(StageAuth, "AUTH PLAIN "+resp)
	if e == nil && r.Code == 334 {
		r, e = c.cmd(StageAuth, resp)
	}
	return r, e
}

// authLogin answers two challenges, whatever their text (draft-murchison-sasl-login).
func (c *Client) authLogin() (Reply, *Error) {
	r, e := c.cmd(StageAuth, "AUTH LOGIN")
	for _, answer := range []string{c.cfg.Username, c.cfg.Password} {
		if e != nil || r.Code != 334 {
			return r, e
		}
		r, e = c.cmd(StageAuth, encode(answer))
	}
	return r, e
}

const masked = "********"

// mask removes credentials that a server echoes.
func (c *Client) mask(r Reply) Reply {
	for _, secret := range c.secrets {
		r.Text = strings.ReplaceAll(r.Text, secret, masked)
	}
	return r
}

// unsaid takes credentials out of any reply: a server may repeat them long after
// AUTH, and replies are kept with attempts and events. Short ones are left
// alone: they are words that stand in any reply.
func (c *Client) unsaid(r Reply) Reply {
	for _, secret := range c.secrets {
		if len(secret) >= shortSecret {
			r.Text = strings.ReplaceAll(r.Text, secret, masked)
		}
	}
	return r
}

// shortSecret is the length from which on a password is no common word.
const shortSecret = 6

// secrets are the forms in which the password is sent.
func (c *Config) secrets() []string {
	if c.Password == "" {
		return nil
	}
	return []string{encode("\x00" + c.Username + "\x00" + c.Password), encode(c.Password), c.Password}
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

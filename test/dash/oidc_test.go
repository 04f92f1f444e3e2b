package dash_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/internal/server"
	"github.com/waypost-mail/waypost/test/issuer"
	"github.com/waypost-mail/waypost/test/seed"
)

// openSSO starts a server whose people may log in through an issuer.
func openSSO(t *testing.T, make scene, i *issuer.Issuer, change ...func(*server.OIDC)) *house {
	t.Helper()
	return openSet(t, make, func(c *server.Config) {
		c.OIDC = server.OIDC{Issuer: i.URL, ClientID: issuer.ClientID, ClientSecret: issuer.Secret, Name: "Example ID"}
		for _, f := range change {
			f(&c.OIDC)
		}
	})
}

// TestSingleSignOn: the button leads to the issuer and from there to where one
// wanted to go; who was not invited is told so; the audit log has both.
func TestSingleSignOn(t *testing.T) {
	b := newTab(t, openSSO(t, busy, issuer.Start(t)))
	through := func(email string) {
		t.Helper()
		b.press(`a[href^="/login/oidc"]`)
		b.fill("#who", email)
		b.press("#in")
	}
	b.open("/events?code=550")
	b.sees("Log in with Example ID")
	through("stranger@example.net")
	b.sees("You are stranger@example.net to the login service, and may not use this dashboard.")
	b.open("/events?code=550")
	through("Otto@Example.com") // an operator
	if got := js[string](b, "location.pathname+location.search"); got != "/events?code=550" {
		t.Errorf("the login leads to %s", got)
	}
	b.do("menu", chromedp.Click(chromedp.CSS("details.me summary")))
	b.sees("otto@example.com · operator")
	b.open("/audit")
	b.sees("logged in through Example ID")
	b.sees("stranger@example.net was not invited")
	b.do("menu", chromedp.Click(chromedp.CSS("details.me summary")))
	b.press(`form[action="/logout"] button`)
	b.open("/")
	b.sees("Log in with Example ID")
	b.login(seed.Email) // passwords go on
	b.sees("Overview")
}

// begin starts a login through the issuer and gives the way back, with what
// the issuer answers.
func (v *visitor) begin(email, next string) string {
	v.t.Helper()
	resp, body := v.ask("GET", "/login/oidc?next="+url.QueryEscape(next), nil)
	where := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther {
		v.t.Fatalf("begin: %d %s", resp.StatusCode, body)
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, where, strings.NewReader(url.Values{"email": {email}}.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := v.c.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	_ = answer.Body.Close()
	back, ok := strings.CutPrefix(answer.Header.Get("Location"), v.h.url)
	if !ok || !strings.HasPrefix(back, "/login/oidc/callback?") {
		v.t.Fatalf("the issuer answers %s to %q", answer.Status, answer.Header.Get("Location"))
	}
	return back
}

// through logs in through the issuer.
func (v *visitor) through(email string) (int, string) {
	v.t.Helper()
	resp, body := v.ask("GET", v.begin(email, "/messages"), nil)
	if resp.StatusCode == http.StatusSeeOther && resp.Header.Get("Location") != "/messages" {
		v.t.Errorf("the login leads to %s", resp.Header.Get("Location"))
	}
	return resp.StatusCode, body
}

func (v *visitor) in() bool { return v.status("GET", "/messages") == http.StatusOK }

// TestSSOAnswers: an answer opens one session, in the browser that began, and
// nothing that an issuer should not say opens any.
func TestSSOAnswers(t *testing.T) {
	i := issuer.Start(t)
	h := openSSO(t, seed.Empty, i)
	here, _ := url.Parse(h.url)

	v := newVisitor(t, h)
	back := v.begin(seed.Email, "//evil.example")
	kept := v.c.Jar.Cookies(here)
	if other := newVisitor(t, h); other.status("GET", back) != http.StatusBadRequest || other.in() {
		t.Error("another browser's answer opens a session")
	}
	resp, _ := v.ask("GET", back, nil)
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "/" || !v.in() {
		t.Fatalf("login: %d to %q", resp.StatusCode, to)
	}
	for _, c := range resp.Cookies() {
		if c.Name == "waypost_session" && (c.MaxAge > int((12*time.Hour)/time.Second) || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode) {
			t.Errorf("the session's cookie: %+v", c)
		}
	}
	exchanged := i.Exchanged
	replay := newVisitor(t, h)
	replay.c.Jar.SetCookies(here, kept)
	if got := replay.status("GET", back); got != http.StatusBadRequest || replay.in() || i.Exchanged != exchanged {
		t.Errorf("the answer, with its cookie, a second time: %d, %d codes exchanged", got, i.Exchanged-exchanged)
	}

	forged := newVisitor(t, h)
	back = forged.begin(seed.Email, "/")
	sealed, err := base64.RawURLEncoding.DecodeString(forged.c.Jar.Cookies(here)[0].Value)
	if err != nil || strings.Contains(string(sealed), "verifier") {
		t.Fatalf("the attempt can be read: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	forged.c.Jar.SetCookies(here, []*http.Cookie{{Name: "waypost_oidc", Value: base64.RawURLEncoding.EncodeToString(sealed), Path: "/"}})
	if got := forged.status("GET", back); got != http.StatusBadRequest || forged.in() {
		t.Errorf("a changed cookie: %d", got)
	}
}

// TestSSOHostile: what an issuer must not say opens nothing, and is answered
// without its reason.
func TestSSOHostile(t *testing.T) {
	for what, make := range map[string]func(*issuer.Issuer){
		"none":     func(i *issuer.Issuer) { i.Alg = "none" },
		"HS256":    func(i *issuer.Issuer) { i.Alg = "HS256" },
		"audience": func(i *issuer.Issuer) { i.Claims = func(c map[string]any) { c["aud"] = "another" } },
		"issuer":   func(i *issuer.Issuer) { i.Claims = func(c map[string]any) { c["iss"] = "https://evil.example" } },
		"expired": func(i *issuer.Issuer) {
			i.Claims = func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }
		},
		"nonce":        func(i *issuer.Issuer) { i.Claims = func(c map[string]any) { c["nonce"] = "another" } },
		"not verified": func(i *issuer.Issuer) { i.Claims = func(c map[string]any) { c["email_verified"] = false } },
	} {
		t.Run(what, func(t *testing.T) {
			i := issuer.Start(t)
			make(i)
			v := newVisitor(t, openSSO(t, seed.Empty, i))
			status, body := v.through(seed.Email)
			if status != http.StatusForbidden || v.in() || strings.Contains(body, "oidc:") {
				t.Errorf("%d, in: %v\n%s", status, v.in(), body)
			}
		})
	}
}

// TestSSOGuessing: failed logins through the issuer wait as those by password do.
func TestSSOGuessing(t *testing.T) {
	v := newVisitor(t, openSSO(t, seed.Empty, issuer.Start(t)))
	for range 12 { // the wait doubles: however slow this machine is, it outlasts a request
		v.status("GET", "/login/oidc/callback?state=x&code=y")
		if v.status("GET", "/login/oidc") == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("after twelve answers without a login, another may begin")
}

// TestSSORoles: people are made at their first login where that is set, or have
// the role of their groups at each; the only owner stays one.
func TestSSORoles(t *testing.T) {
	i := issuer.Start(t)
	fresh := newVisitor(t, openSSO(t, seed.Empty, i, func(o *server.OIDC) { o.CreateRole = "operator" }))
	if status, _ := fresh.through("new@example.com"); status != http.StatusSeeOther {
		t.Fatalf("a first login: %d", status)
	}
	if start, people := fresh.status("GET", "/start"), fresh.status("GET", "/people"); start != http.StatusOK || people != http.StatusForbidden {
		t.Errorf("as an operator: %d, %d", start, people)
	}
	_, profile := fresh.ask("GET", "/profile", nil)
	if strings.Contains(profile, `name="current"`) || fresh.login("new@example.com", "") != http.StatusUnauthorized {
		t.Error("who was made by the issuer has a password")
	}

	v := newVisitor(t, openSSO(t, seed.Empty, i, func(o *server.OIDC) { o.Groups = []string{"admins=owner", "staff=viewer"} }))
	as := func(email string, groups ...string) int {
		t.Helper()
		i.Lock()
		i.Groups = groups
		i.Unlock()
		status, _ := v.through(email)
		return status
	}
	if got := as("ned@example.com", "others"); got != http.StatusForbidden {
		t.Errorf("in no group that may: %d", got)
	}
	if got := as(seed.Email); got != http.StatusForbidden {
		t.Errorf("the owner, in no group that may: %d", got)
	}
	if got := as(seed.Email, "staff"); got != http.StatusSeeOther || v.status("GET", "/people") != http.StatusOK {
		t.Errorf("the only owner, by groups a viewer: %d", got)
	}
	if got := as("ned@example.com", "staff"); got != http.StatusSeeOther || v.status("GET", "/start") != http.StatusForbidden {
		t.Errorf("by groups a viewer: %d", got)
	}
	if got := as("ned@example.com", "staff", "admins"); got != http.StatusSeeOther || v.status("GET", "/people") != http.StatusOK {
		t.Errorf("by groups an owner: %d", got)
	}
	if got := as(seed.Email, "staff"); got != http.StatusSeeOther || v.status("GET", "/people") != http.StatusForbidden {
		t.Errorf("one owner of two, by groups a viewer now: %d", got)
	}
}

// TestSSOOnly: with passwords switched off none opens anything, people are
// invited without one, and the command's link still lets an owner in, once.
func TestSSOOnly(t *testing.T) {
	i := issuer.Start(t)
	link := ""
	h := openSet(t, seed.Empty, func(c *server.Config) {
		c.OIDC = server.OIDC{Issuer: i.URL, ClientID: issuer.ClientID, ClientSecret: issuer.Secret, Only: true}
		if _, err := server.LoginLink(t.Context(), *c, "nobody@example.com", false); err == nil || !strings.Contains(err.Error(), "--owner") {
			t.Errorf("a link for nobody: %v", err)
		}
		whole, err := server.LoginLink(t.Context(), *c, "Rescue@example.com", true)
		if err != nil {
			t.Fatal(err)
		}
		link = whole[strings.Index(whole, "/login/link/"):]
	})
	v := newVisitor(t, h)
	if _, page := v.ask("GET", "/login", nil); strings.Contains(page, `name="password"`) || !strings.Contains(page, "Log in with single sign-on") {
		t.Error("the login offers passwords")
	}
	if got := v.login(seed.Email, seed.Password); got != http.StatusForbidden || v.in() {
		t.Errorf("a password: %d", got)
	}
	if status, _ := v.through(seed.Email); status != http.StatusSeeOther || !v.in() {
		t.Fatalf("through the issuer: %d", status)
	}
	if _, page := v.ask("POST", "/people", url.Values{"email": {"ned@example.com"}, "role": {"viewer"}}); strings.Contains(page, "wpp_") || !strings.Contains(page, "may log in with single sign-on now") {
		t.Error("an invitation has a password")
	}
	if status, _ := newVisitor(t, h).through("ned@example.com"); status != http.StatusSeeOther {
		t.Errorf("the invited: %d", status)
	}

	rescue := newVisitor(t, h)
	for range 2 { // to look at it does not use it up
		if resp, page := rescue.ask("GET", link, nil); resp.StatusCode != http.StatusOK || !strings.Contains(page, "rescue@example.com") {
			t.Fatalf("the link: %d", resp.StatusCode)
		}
	}
	if got := rescue.status("POST", link); got != http.StatusSeeOther || rescue.status("GET", "/people") != http.StatusOK {
		t.Errorf("the link lets nobody in: %d", got)
	}
	if got := newVisitor(t, h).status("POST", link); got != http.StatusNotFound {
		t.Errorf("the link a second time: %d", got)
	}
	if got := newVisitor(t, h).status("POST", "/login/link/"+strings.Repeat("0", 64)); got != http.StatusNotFound {
		t.Errorf("a guessed link: %d", got)
	}
	if _, audit := v.ask("GET", "/audit", nil); !strings.Contains(audit, "waypost person link") {
		t.Error("the audit log does not have the link")
	}
}

// TestSSOOff: without the settings there is no such login.
func TestSSOOff(t *testing.T) {
	v := newVisitor(t, open(t, seed.Empty))
	if begin, back := v.status("GET", "/login/oidc"), v.status("GET", "/login/oidc/callback?state=x&code=y"); begin != http.StatusNotFound || back != http.StatusNotFound {
		t.Errorf("%d, %d", begin, back)
	}
	first := newVisitor(t, openSSO(t, seed.New, issuer.Start(t), func(o *server.OIDC) { o.CreateRole = "viewer" }))
	if resp, _ := first.ask("GET", "/login/oidc", nil); resp.Header.Get("Location") != "/setup" {
		t.Errorf("before the first owner: %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
}

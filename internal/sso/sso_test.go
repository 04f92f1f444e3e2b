package sso

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/test/issuer"
)

func client(i *issuer.Issuer, change ...func(*Config)) *Client {
	c := Config{Issuer: i.URL, ClientID: issuer.ClientID, ClientSecret: issuer.Secret, RedirectURL: "https://mail.example.com/login/oidc/callback", AllowPrivate: true}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

// answerOf logs in at the issuer and gives what the browser would bring back.
func answerOf(t *testing.T, where, email string) url.Values {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, where, strings.NewReader(url.Values{"email": {email}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the issuer answers %s", resp.Status)
	}
	if !strings.HasPrefix(back.String(), "https://mail.example.com/login/oidc/callback?") {
		t.Fatalf("the issuer leads to %s", back)
	}
	return back.Query()
}

// login goes the whole way of one person.
func login(t *testing.T, c *Client, email string) (Identity, error) {
	t.Helper()
	now := time.Now()
	a, where, err := c.Begin(t.Context(), now)
	if err != nil {
		return Identity{}, err
	}
	return c.Finish(t.Context(), &a, answerOf(t, where, email), now)
}

// TestLogin: under each algorithm that is taken, a person comes back with a
// folded address, name and groups; codes are exchanged with PKCE.
func TestLogin(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		i := issuer.Start(t)
		i.Alg, i.Groups = alg, []string{"mail", "staff"}
		c := client(i)
		for range 2 {
			got, err := login(t, c, "Grace@Example.COM")
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			want := Identity{Subject: "person Grace@Example.COM", Email: waypost.FoldEmail("Grace@Example.COM"), Name: "Name of Grace@Example.COM", Groups: []string{"mail", "staff"}}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(alg, d)
			}
		}
		if i.Exchanged != 2 || i.Described != 1 {
			t.Errorf("%s: %d codes exchanged, discovery asked %d times", alg, i.Exchanged, i.Described)
		}
	}
}

// TestHostile: nothing but the issuer's own, present word for this very login
// lets anybody in.
func TestHostile(t *testing.T) {
	claim := func(name string, v any) func(*issuer.Issuer) {
		return func(i *issuer.Issuer) {
			i.Claims = func(c map[string]any) {
				if c[name] = v; v == nil {
					delete(c, name)
				}
			}
		}
	}
	alg := func(name string) func(*issuer.Issuer) { return func(i *issuer.Issuer) { i.Alg = name } }
	describe := func(name string, v any) func(*issuer.Issuer) {
		return func(i *issuer.Issuer) { i.Description = func(d map[string]any) { d[name] = v } }
	}
	for what, c := range map[string]struct {
		make func(*issuer.Issuer)
		want string
	}{
		"no signature":             {alg("none"), "verify the ID token"},
		"the public key as secret": {alg("HS256"), "verify the ID token"},
		"an algorithm not listed":  {alg("PS256"), "verify the ID token"},
		"another audience":         {claim("aud", "another-client"), "audience"},
		"no audience":              {claim("aud", nil), "audience"},
		"several audiences":        {claim("aud", []string{issuer.ClientID, "another"}), "another client"},
		"another authorised party": {claim("azp", "another-client"), "another client"},
		"expired":                  {claim("exp", time.Now().Add(-time.Minute).Unix()), "expired"},
		"no end":                   {claim("exp", nil), "expired"},
		"not yet":                  {claim("nbf", time.Now().Add(time.Hour).Unix()), "not before"},
		"another issuer":           {claim("iss", "https://evil.example"), "different provider"},
		"another nonce":            {claim("nonce", "of another login"), "nonce"},
		"no nonce":                 {claim("nonce", nil), "nonce"},
		"nobody":                   {claim("sub", nil), "names nobody"},
		"an unverified address":    {claim("email_verified", false), ErrUnverified.Error()},
		"no word on the address":   {claim("email_verified", nil), ErrUnverified.Error()},
		"an odd word on it":        {claim("email_verified", "yes"), ErrUnverified.Error()},
		"no address":               {claim("email", nil), ErrUnverified.Error()},
		"an address that is none":  {claim("email", "grace@\r\nexample.com"), "is none"},
		"an address of two":        {claim("email", []string{"a@example.com"}), ErrUnverified.Error()},
		"a foreign description":    {describe("issuer", "https://evil.example"), "did not match"},
		"keys of a file":           {describe("jwks_uri", "file:///etc/passwd"), "jwks_uri"},
		"no token endpoint":        {describe("token_endpoint", ""), "token_endpoint"},
		"a long description":       {describe("x", strings.Repeat("x", 2<<20)), errLong.Error()},
		"no ID token": {func(i *issuer.Issuer) {
			i.Token = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				return json.NewEncoder(w).Encode(map[string]string{"access_token": "x", "token_type": "Bearer"}) == nil
			}
		}, "no ID token"},
		"a redirect to elsewhere": {func(i *issuer.Issuer) {
			i.Token = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, i.URL+"/elsewhere", http.StatusTemporaryRedirect)
				return true
			}
		}, "307"},
		"a forged signature": {func(i *issuer.Issuer) {
			i.Token = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				return json.NewEncoder(w).Encode(map[string]string{"access_token": "x", "token_type": "Bearer", "id_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IlJTMjU2In0.e30.AAAA"}) == nil
			}
		}, "verify the ID token"},
	} {
		t.Run(what, func(t *testing.T) {
			i := issuer.Start(t)
			c.make(i)
			got, err := login(t, client(i), "grace@example.com")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", got, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), issuer.Secret) {
				t.Errorf("the secret stands in the error: %v", err)
			}
		})
	}
}

// TestAnswers: an answer that belongs to no living attempt of this browser, or
// names another issuer, is refused before anything is sent anywhere.
func TestAnswers(t *testing.T) {
	i := issuer.Start(t)
	c, now := client(i), time.Now()
	a, where, err := c.Begin(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := c.Begin(t.Context(), now)
	if err != nil || other.State == a.State || other.Nonce == a.Nonce || other.Verifier == a.Verifier {
		t.Fatal("two attempts share a secret", err)
	}
	answer := answerOf(t, where, "grace@example.com")
	with := func(name, value string) url.Values {
		out := maps.Clone(answer)
		out.Set(name, value)
		return out
	}
	for what, f := range map[string]func() (Identity, error){
		"another browser's attempt": func() (Identity, error) { return c.Finish(t.Context(), &other, answer, now) },
		"no attempt": func() (Identity, error) {
			return c.Finish(t.Context(), &Attempt{Expires: a.Expires}, with("state", ""), now)
		},
		"too late": func() (Identity, error) { return c.Finish(t.Context(), &a, answer, now.Add(AttemptLife)) },
	} {
		if got, err := f(); !errors.Is(err, ErrStale) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if _, err := c.Finish(t.Context(), &a, with("iss", "https://evil.example"), now); err == nil || !strings.Contains(err.Error(), "names the issuer") {
		t.Errorf("an answer of another issuer: %v", err)
	}
	if _, err := c.Finish(t.Context(), &a, with("error", "access_denied"), now); !errors.Is(err, ErrDenied) {
		t.Errorf("a refusal: %v", err)
	}
	if i.Exchanged != 0 {
		t.Fatalf("%d codes were exchanged", i.Exchanged)
	}
	stolen := a
	stolen.Verifier = other.Verifier
	if _, err := c.Finish(t.Context(), &stolen, answer, now); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a code without its verifier: %v", err)
	}
	if _, err := c.Finish(t.Context(), &a, with("iss", i.URL), now); err != nil {
		t.Errorf("the right answer: %v", err)
	}
	if _, err := c.Finish(t.Context(), &a, answer, now); err == nil {
		t.Error("a code was taken twice")
	}
}

// TestUserinfo: what is not in the ID token is asked for, and believed of the
// same person alone.
func TestUserinfo(t *testing.T) {
	i := issuer.Start(t)
	i.Claims = func(c map[string]any) { delete(c, "email"); delete(c, "email_verified"); delete(c, "groups") }
	i.Userinfo = map[string]any{"sub": "person grace@example.com", "email": "grace@example.com", "email_verified": "true", "groups": "staff"}
	got, err := login(t, client(i), "grace@example.com")
	if err != nil || got.Email != "grace@example.com" || !cmp.Equal(got.Groups, []string{"staff"}) {
		t.Errorf("%+v, %v", got, err)
	}
	i.Userinfo["sub"] = "person eve@example.com"
	if got, err := login(t, client(i), "grace@example.com"); err == nil || !strings.Contains(err.Error(), "another person") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPrivateIssuer: without the setting nothing private is connected to,
// whatever the description says (D-14).
func TestPrivateIssuer(t *testing.T) {
	i := issuer.Start(t)
	c := client(i, func(c *Config) { c.AllowPrivate = false })
	if _, err := login(t, c, "grace@example.com"); !errors.Is(err, smtp.ErrPrivateAddr) {
		t.Errorf("an issuer on loopback: %v", err)
	}
	for _, u := range []string{"http://id.example.com", "https://127.0.0.1/", "https://user:pw@id.example.com", "ftp://id.example.com", "id.example.com", "https://[::1]/x", "https://id.example.com/#x"} {
		if err := (&Config{Issuer: u, ClientID: "x"}).Check(); err == nil {
			t.Errorf("the issuer %s is taken", u)
		}
	}
	if err := (&Config{Issuer: "https://id.example.com/realms/mail", ClientID: "x"}).Check(); err != nil {
		t.Error(err)
	}
}

// TestIssuerAway: an issuer that fails is not asked again for each visitor, and
// is asked again later.
func TestIssuerAway(t *testing.T) {
	i := issuer.Start(t)
	i.Description = func(d map[string]any) { d["issuer"] = "https://evil.example" }
	c, now := client(i), time.Now()
	for range 5 {
		if _, _, err := c.Begin(t.Context(), now); err == nil {
			t.Fatal("a foreign description is taken")
		}
	}
	if i.Described != 1 {
		t.Errorf("asked %d times within a moment", i.Described)
	}
	i.Description = nil
	if _, _, err := c.Begin(t.Context(), now.Add(failedFor)); err != nil {
		t.Errorf("when it is well again: %v", err)
	}
}

func TestGroupRoles(t *testing.T) {
	g, err := ParseGroupRoles([]string{"mail-admins=owner", "ops = operator", "a=b=viewer"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		groups []string
		want   waypost.Role
	}{
		{[]string{"ops", "mail-admins"}, waypost.RoleOwner},
		{[]string{"a=b", "ops"}, waypost.RoleOperator},
		{[]string{"a=b"}, waypost.RoleViewer},
		{[]string{"others", ""}, ""},
		{nil, ""},
	} {
		if got, ok := g.Role(c.groups); got != c.want || ok != (c.want != "") {
			t.Errorf("%q: %q, %v; want %q", c.groups, got, ok, c.want)
		}
	}
	for _, bad := range []string{"", "x", "=owner", "x=king", "mail="} {
		if _, err := ParseGroupRoles([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := ParseGroupRoles([]string{"x=owner", "x=viewer"}); err == nil {
		t.Error("a group with two roles is taken")
	}
}

// FuzzIdentity: whatever claims a token has, an identity has a verified, folded
// address and nothing that breaks a line.
func FuzzIdentity(f *testing.F) {
	f.Add("s", `{"email":"a@example.com","email_verified":true,"name":"A","groups":["x"]}`)
	f.Add("s", `{"email":"a@example.com","email_verified":"true","name":"A\r\nB","groups":"x"}`)
	f.Add("", `{"email":["a"],"email_verified":{},"groups":[1,null,{}]}`)
	f.Fuzz(func(t *testing.T, subject, text string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			return
		}
		id, err := readIdentity(subject, claims, "groups")
		if err != nil {
			return
		}
		if v := claims["email_verified"]; v != true && v != "true" {
			t.Errorf("an address that nobody vouches for: %s", text)
		}
		if waypost.CheckEmail(id.Email) != nil || id.Email != waypost.FoldEmail(id.Email) {
			t.Errorf("address %q", id.Email)
		}
		if strings.ContainsAny(id.Name, "\r\n\x00") || len(id.Name) > maxName || len(id.Groups) > maxGroups {
			t.Errorf("name %q, %d groups", id.Name, len(id.Groups))
		}
	})
}

// FuzzGroupRoles: what is read has roles alone.
func FuzzGroupRoles(f *testing.F) {
	f.Add("mail-admins=owner")
	f.Add("a=b=viewer")
	f.Fuzz(func(t *testing.T, item string) {
		g, err := ParseGroupRoles([]string{item})
		if err != nil {
			return
		}
		for name, role := range g {
			if _, err := ParseRole(string(role)); err != nil || name == "" {
				t.Errorf("%q gives %q=%q", item, name, role)
			}
		}
	})
}

// Package issuer is an OpenID Connect issuer for tests: a real HTTP server with
// discovery, keys, a login page, a token endpoint that insists on PKCE and on
// each code being used once, and a userinfo endpoint. What it answers can be
// made hostile, one thing at a time.
package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html/template"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// What the client is registered with.
const (
	ClientID = "waypost-dashboard"
	Secret   = "s3cret of the client+/" // with characters that form encoding changes
)

// Issuer is a running issuer. Its fields may be changed under Lock.
type Issuer struct {
	sync.Mutex

	URL string

	Alg         string                                            // RS256 (the default), ES256, EdDSA; none and HS256 are hostile
	Claims      func(claims map[string]any)                       // changes an ID token before it is signed
	Userinfo    map[string]any                                    // what the userinfo endpoint says; nil: there is none
	Description func(d map[string]any)                            // changes what discovery answers
	Token       func(w http.ResponseWriter, r *http.Request) bool // answers in the token endpoint's place when it gives true
	Groups      []string                                          // of whoever logs in
	Page        func(w http.ResponseWriter, r *http.Request) bool // answers in the login page's place when it gives true
	Redirect    string                                            // that is registered; "" : any
	Away        time.Duration                                     // by which the issuer's clock is ahead
	Exchanged   int                                               // codes that were taken
	Described   int                                               // times that discovery was asked

	rsa   *rsa.PrivateKey
	ec    *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
	codes map[string]grant
}

// grant is what a code stands for.
type grant struct {
	email, nonce, challenge, redirect string
}

// Start starts an issuer, which the end of the test stops.
func Start(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{codes: map[string]grant{}}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, i.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.describe)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.page)
	mux.HandleFunc("POST /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("GET /userinfo", i.userinfo)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.URL = srv.URL
	return i
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) describe(w http.ResponseWriter, _ *http.Request) {
	i.Lock()
	defer i.Unlock()
	i.Described++
	d := map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA", "HS256", "none"},
	}
	if i.Userinfo != nil {
		d["userinfo_endpoint"] = i.URL + "/userinfo"
	}
	if i.Description != nil {
		i.Description(d)
	}
	if i.Away != 0 {
		w.Header().Set("Date", time.Now().Add(i.Away).UTC().Format(http.TimeFormat))
	}
	answer(w, http.StatusOK, d)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	e := big.NewInt(int64(i.rsa.E)).Bytes()
	point, err := i.ec.PublicKey.Bytes() // 4, then both coordinates
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "use": "sig", "kid": "RS256", "n": b64(i.rsa.N.Bytes()), "e": b64(e)},
		{"kty": "EC", "use": "sig", "kid": "ES256", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "OKP", "use": "sig", "kid": "EdDSA", "crv": "Ed25519", "x": b64(i.ed.Public().(ed25519.PublicKey))},
	}})
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html><title>Issuer</title><h1>Who are you?</h1>
<form method="post" action="/authorize?{{.}}"><input id="who" name="email" type="email"><button id="in">Log in</button></form>`))

func (i *Issuer) page(w http.ResponseWriter, r *http.Request) {
	i.Lock()
	registered, page := i.Redirect, i.Page
	i.Unlock()
	if page != nil && page(w, r) {
		return
	}
	q := r.URL.Query()
	if registered != "" && q.Get("redirect_uri") != registered {
		http.Error(w, "this redirect URL is not registered", http.StatusBadRequest)
		return
	}
	if q.Get("prompt") == "none" { // nobody is logged in here
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"error": {"login_required"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = loginPage.Execute(w, template.URL(r.URL.RawQuery)) //nolint:gosec // a test's page, of its own query
}

// authorize lets in whoever says a name, and sends the browser back.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" {
		http.Error(w, "not a request that this issuer takes: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.Lock()
	i.codes[code] = grant{r.FormValue("email"), q.Get("nonce"), q.Get("code_challenge"), back.String()}
	i.Unlock()
	out := url.Values{"code": {code}, "state": {q.Get("state")}}
	if r.FormValue("email") == "" {
		out = url.Values{"error": {"access_denied"}, "error_description": {"nobody said a name"}, "state": {q.Get("state")}}
	}
	back.RawQuery = out.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	i.Lock()
	defer i.Unlock()
	if i.Token != nil && i.Token(w, r) {
		return
	}
	user, password, _ := r.BasicAuth()
	id, _ := url.QueryUnescape(user) // RFC 6749, section 2.3.1
	secret, _ := url.QueryUnescape(password)
	if id != ClientID || secret != Secret {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	g, known := i.codes[r.FormValue("code")]
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !known || b64(sum[:]) != g.challenge || r.FormValue("redirect_uri") != g.redirect {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	delete(i.codes, r.FormValue("code"))
	i.Exchanged++
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": ClientID, "sub": "person " + g.email, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"nonce": g.nonce, "email": g.email, "email_verified": true, "name": "Name of " + g.email, "groups": i.Groups,
	}
	if i.Claims != nil {
		i.Claims(claims)
	}
	raw, err := i.sign(claims)
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 600, "id_token": raw})
}

func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	i.Lock()
	defer i.Unlock()
	if r.Header.Get("Authorization") != "Bearer access" || i.Userinfo == nil {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	answer(w, http.StatusOK, i.Userinfo)
}

// sign makes a token under the algorithm that is set: the hostile ones too.
func (i *Issuer) sign(claims map[string]any) (string, error) {
	alg := i.Alg
	if alg == "" {
		alg = "RS256"
	}
	header := map[string]string{"alg": alg, "typ": "JWT", "kid": alg}
	if alg == "HS256" || alg == "PS256" {
		header["kid"] = "RS256"
	}
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	p, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := b64(h) + "." + b64(p)
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	switch alg {
	case "RS256":
		sig, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:])
	case "ES256":
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, i.ec, sum[:]); err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case "EdDSA":
		sig = ed25519.Sign(i.ed, []byte(text))
	case "PS256":
		sig, err = rsa.SignPSS(rand.Reader, i.rsa, crypto.SHA256, sum[:], nil)
	case "HS256": // the public key as the secret
		var der []byte
		if der, err = x509.MarshalPKIXPublicKey(&i.rsa.PublicKey); err == nil {
			mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			mac.Write([]byte(text))
			sig = mac.Sum(nil)
		}
	case "none":
	default:
		err = fmt.Errorf("no algorithm %q", alg)
	}
	return text + "." + b64(sig), err
}

package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// schemes ties each kind of key to its header (sendpost.md, a.0).
var schemes = map[waypost.KeyKind]struct{ name, header, words string }{
	waypost.KeyAccount:    {"accountKey", "X-Account-ApiKey", "account API key"},
	waypost.KeySubAccount: {"subAccountKey", "X-SubAccount-ApiKey", "sub-account API key"},
	waypost.KeyIngestion:  {"eventKey", "X-SP-Event-ApiKey", "event ingestion key of a provider"},
}

func securitySchemes() map[string]*huma.SecurityScheme {
	out := map[string]*huma.SecurityScheme{}
	for _, s := range schemes {
		out[s.name] = &huma.SecurityScheme{Type: "apiKey", In: "header", Name: s.header}
	}
	return out
}

type callerKey struct{}

// caller is the key that a request was authorised with.
func caller(ctx context.Context) waypost.APIKey {
	return ctx.Value(callerKey{}).(waypost.APIKey)
}

// As gives a context whose requests act for a caller who was authorised
// elsewhere: a person at the dashboard, whose name stands in Hint. Such a
// caller opens the operations of its key's kind as the key would, within its
// scopes; networks and rates are not looked at.
func As(ctx context.Context, key waypost.APIKey) context.Context {
	return context.WithValue(ctx, trustedKey{}, key)
}

type trustedKey struct{}

// authorize admits a request whose header holds a live key of the kind that
// the operation asks for; every other request ends here with 401.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	for kind, s := range schemes {
		if !asks(ctx.Operation(), s.name) {
			continue
		}
		scope := scopeAsked(ctx.Operation(), s.name)
		if key, ok := ctx.Context().Value(trustedKey{}).(waypost.APIKey); ok && key.Kind == kind {
			if !opens(&key, scope) {
				a.refuse(ctx, denied("you may not do this: it needs the scope "+scope))
				return
			}
			a.admit(ctx, key, scope, next)
			return
		}
		given := strings.TrimSpace(ctx.Header(s.header))
		now := time.Now()
		key, err := a.keys.find(ctx.Context(), given, kind, now)
		switch {
		case err == nil:
			if refused := a.bounded(ctx, &key, scope, now); refused != nil {
				a.refuse(ctx, refused)
				return
			}
			a.admit(ctx, key, scope, next)
		case given == "":
			a.refuse(ctx, fail(http.StatusUnauthorized, "the header "+s.header+" is missing; it carries the "+s.words))
		default:
			a.refuse(ctx, a.keyError(ctx, err, s.header, s.words))
		}
		return
	}
	// No operation is open to everyone: one without a scheme is our mistake.
	a.refuse(ctx, fail(http.StatusUnauthorized, "this operation cannot be authorised"))
}

// admit lets a caller in, and sees to it that a change is in the audit.
func (a *API) admit(ctx huma.Context, key waypost.APIKey, scope string, next func(huma.Context)) {
	note := &audited{}
	ctx = huma.WithValue(huma.WithValue(ctx, callerKey{}, key), auditedKey{}, note)
	next(ctx)
	changes := ctx.Method() != http.MethodGet && (scope == scopeManage || scope == scopeKeys) && key.Kind != waypost.KeyIngestion
	if changes && !note.done && ctx.Status() < 300 {
		u := ctx.URL()
		a.audit(ctx.Context(), ctx.Operation().OperationID, strings.TrimPrefix(u.Path, base), "%s", ctx.Operation().Summary)
	}
}

// bounded refuses what a good key may not do: from elsewhere, more often, or
// beyond its scopes.
func (a *API) bounded(ctx huma.Context, key *waypost.APIKey, scope string, now time.Time) *Error {
	a.used.note(key.ID, now)
	r, _ := humago.Unwrap(ctx)
	if from := track.Client(r, a.cfg.TrustedProxies); !usableFrom(key, from) {
		return denied("this key may not be used from " + from.String() + "; its networks are set in the account")
	}
	if !opens(key, scope) {
		return denied("this key may not do this: it needs the scope " + scope + ", and has " + strings.Join(key.Scopes, ", "))
	}
	perHour := key.PerHour
	if perHour == 0 && key.Kind != waypost.KeyIngestion { // an agent's reports are no program's requests
		perHour = a.cfg.KeyPerHour
	}
	if wait, ok := a.throttle.take(key.ID, perHour, now); !ok {
		e := fail(http.StatusTooManyRequests, fmt.Sprintf("this key may make %d requests an hour, evenly; come again when Retry-After says", perHour))
		e.retry = int(math.Ceil(wait.Seconds()))
		return e
	}
	return nil
}

// usableFrom tells whether a key may be used from an address.
func usableFrom(k *waypost.APIKey, from netip.Addr) bool {
	for _, text := range k.Networks {
		if p, err := netip.ParsePrefix(text); err == nil && p.Contains(from) {
			return true
		}
	}
	return len(k.Networks) == 0
}

func asks(op *huma.Operation, scheme string) bool {
	for _, s := range op.Security {
		if _, ok := s[scheme]; ok {
			return true
		}
	}
	return false
}

func (a *API) keyError(ctx huma.Context, err error, header, words string) *Error {
	if err == errBadKey { //nolint:errorlint // the sentinel itself, never wrapped
		return fail(http.StatusUnauthorized, "the key in "+header+" is not a valid "+words+"; keys are shown once when they are made")
	}
	var e *Error
	if e, _ = a.explain(ctx.Context(), ctx.Operation(), err).(*Error); e == nil { //nolint:errorlint // ours
		e = fail(http.StatusServiceUnavailable, "storage cannot answer now; try again")
		e.retry = 5
	}
	return e
}

func (a *API) refuse(ctx huma.Context, e *Error) {
	_, w := humago.Unwrap(ctx)
	writeError(w, e)
}

type keyError string

func (k keyError) Error() string { return string(k) }

const errBadKey = keyError("not a valid key")

// keyCache keeps keys that were found lately, so that a revoked key is refused
// within five seconds on every node (D-9). Unknown keys are not kept: a
// guesser fills no memory.
type keyCache struct {
	store store.Directory
	mu    sync.Mutex
	known map[[32]byte]cachedKey
}

type cachedKey struct {
	key  waypost.APIKey
	read time.Time
}

const keyFresh = 5 * time.Second

func newKeyCache(s store.Directory) *keyCache {
	return &keyCache{store: s, known: map[[32]byte]cachedKey{}}
}

// find gives the live key behind the text given; errBadKey when there is none
// of that kind. The look-up is by hash, so its time tells nothing of the key.
func (c *keyCache) find(ctx context.Context, given string, kind waypost.KeyKind, now time.Time) (waypost.APIKey, error) {
	if given == "" || len(given) > 200 {
		return waypost.APIKey{}, errBadKey
	}
	hash := secret.HashKey(given)
	c.mu.Lock()
	k, ok := c.known[hash]
	c.mu.Unlock()
	if !ok || now.Sub(k.read) > keyFresh {
		found, err := c.store.Key(ctx, hash)
		if isNotFound(err) {
			c.forget(hash)
			return waypost.APIKey{}, errBadKey
		}
		if err != nil {
			return waypost.APIKey{}, err
		}
		k = cachedKey{found, now}
		c.keep(hash, k)
	}
	if k.key.Kind != kind || !k.key.Live(now) {
		return waypost.APIKey{}, errBadKey
	}
	return k.key, nil
}

func (c *keyCache) keep(hash [32]byte, k cachedKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) > 10_000 {
		clear(c.known)
	}
	c.known[hash] = k
}

func (c *keyCache) forget(hash [32]byte) {
	c.mu.Lock()
	delete(c.known, hash)
	c.mu.Unlock()
}

// forgetIf drops keys from memory, so that one that was revoked here is
// refused at once.
func (c *keyCache) forgetIf(gone func(*waypost.APIKey) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, k := range c.known {
		if gone(&k.key) {
			delete(c.known, hash)
		}
	}
}

package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
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
// caller opens the operations of its key's kind as the key would.
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
		if key, ok := ctx.Context().Value(trustedKey{}).(waypost.APIKey); ok && key.Kind == kind {
			next(huma.WithValue(ctx, callerKey{}, key))
			return
		}
		given := strings.TrimSpace(ctx.Header(s.header))
		key, err := a.keys.find(ctx.Context(), given, kind, time.Now())
		switch {
		case err == nil:
			next(huma.WithValue(ctx, callerKey{}, key))
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

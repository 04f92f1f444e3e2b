package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// How long the answer to an Idempotency-Key is kept, and how long a key may be
// (D-6).
const (
	replayKept = 24 * time.Hour
	maxKey     = 255
)

// replayOf is what a call with an Idempotency-Key would be remembered by; nil
// without one.
func (a *API) replayOf(ctx context.Context, in *sendInput) (*store.Replay, error) {
	if in.Key == "" {
		return nil, nil
	}
	if len(in.Key) > maxKey || strings.ContainsFunc(in.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, badField("Idempotency-Key", "must have 1 to %d printable ASCII characters; a random UUID serves well", maxKey)
	}
	return &store.Replay{
		SubAccount: caller(ctx).SubAccount, Key: in.Key, Request: sha256.Sum256(in.body), Expires: time.Now().Add(replayKept),
	}, nil
}

// replayed answers for a call that was made before under its key; nil when it
// was not. A key that was used for another body is refused: it says that two
// things are one.
func (a *API) replayed(ctx context.Context, r *store.Replay) (*sendReply, error) {
	if r == nil {
		return nil, nil
	}
	found, err := a.cfg.Store.Replay(ctx, r.SubAccount, r.Key, time.Now())
	switch {
	case isNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up an idempotency key: %w", err)
	case found.Request != r.Request:
		e := fail(http.StatusConflict, "this Idempotency-Key was used within the last 24 hours for another body; nothing was sent; use a fresh key for each call")
		e.Body.Param = "Idempotency-Key"
		return nil, e
	}
	return &sendReply{Replayed: "true", Body: found.Answer}, nil
}

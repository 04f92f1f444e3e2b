package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
)

// secretPrefix marks a secret of the Standard Webhooks specification: base64
// of the key follows.
const secretPrefix = "whsec_"

// place is what secrets are sealed for.
const place = "webhook secret"

// overlap is how long the secret before a change goes on to sign, beside the
// new one, in the Standard Webhooks header.
const overlap = 24 * time.Hour

// Secrets are those of one webhook.
type Secrets struct {
	Current  string    `json:"current"`
	Previous string    `json:"previous,omitempty"`
	Until    time.Time `json:"until,omitzero"` // of Previous
}

// String hides them.
func (Secrets) String() string { return "[webhook secrets]" }

// GoString hides them from %#v.
func (Secrets) GoString() string { return "[webhook secrets]" }

// NewSecret makes a secret of 256 random bits in the form of Standard Webhooks.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// CheckSecret refuses what cannot be a secret: 16 to 200 printable ASCII
// characters, and base64 behind the prefix whsec_.
func CheckSecret(s string) error {
	if len(s) < 16 || len(s) > 200 {
		return errors.New("must have 16 to 200 characters")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return errors.New("must be printable ASCII without spaces")
		}
	}
	if rest, ok := strings.CutPrefix(s, secretPrefix); ok {
		if _, err := base64.StdEncoding.DecodeString(rest); err != nil {
			return errors.New("must go on with base64 behind whsec_")
		}
	}
	return nil
}

// Change makes s the current secret; the one before signs on for a day.
func (s *Secrets) Change(to string, now time.Time) {
	*s = Secrets{Current: to, Previous: s.Current, Until: now.Add(overlap)}
}

// Seal encrypts the secrets for storage.
func Seal(box *secret.Box, s Secrets) (waypost.Sealed, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the secrets of a webhook: %w", err)
	}
	return box.Seal(b, place), nil
}

// Open decrypts what Seal made.
func Open(box *secret.Box, sealed waypost.Sealed) (Secrets, error) {
	b, err := box.Open(sealed, place)
	if err != nil {
		return Secrets{}, err
	}
	var s Secrets
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read the secrets of a webhook: %w", err)
	}
	return s, nil
}

// EndpointSecret is what signs for the endpoints that single calls of a
// sub-account name (webhookEndpoint). It follows from the key file: it changes
// with the file's first key.
func EndpointSecret(box *secret.Box, subAccount int64) (string, error) {
	first, keys, err := box.Derive("webhook endpoint")
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, keys[first])
	mac.Write([]byte(strconv.FormatInt(subAccount, 10)))
	return secretPrefix + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// sign sets the headers of a request. The four of SendPost sign the raw body
// with the secret's text as it is; those of Standard Webhooks sign id, time and
// body with the bytes that the secret stands for.
func sign(h http.Header, s Secrets, hook waypost.UUID, id string, attempt int, now time.Time, body []byte) {
	h.Set("X-SendPost-Signature", hex.EncodeToString(digest([]byte(s.Current), body)))
	h.Set("X-SendPost-Signature-Alg", "hmac-sha256")
	h.Set("X-SendPost-Webhook-Id", hook.String())
	h.Set("X-SendPost-Webhook-Attempt", strconv.Itoa(attempt))

	stamp := strconv.FormatInt(now.Unix(), 10)
	signatures := standard(s.Current, id, stamp, body)
	if s.Previous != "" && now.Before(s.Until) {
		signatures += " " + standard(s.Previous, id, stamp, body)
	}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", signatures)
}

func standard(secret, id, stamp string, body []byte) string {
	return "v1," + base64.StdEncoding.EncodeToString(digest(keyOf(secret), []byte(id+"."+stamp+"."), body))
}

// keyOf is the key behind a secret: decoded after whsec_, else its own bytes.
func keyOf(secret string) []byte {
	if rest, ok := strings.CutPrefix(secret, secretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return key
		}
	}
	return []byte(secret)
}

func digest(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

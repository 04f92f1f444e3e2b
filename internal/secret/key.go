package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// NewKey makes an API key: a prefix that tells its kind, an underscore, and 52
// characters for 256 random bits (D-9 asks for 20 or more characters).
func NewKey(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return prefix + "_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// HashKey is the form in which a key is stored and looked up.
func HashKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// Hint is what may be shown of a key: its prefix with four characters, and
// the last four.
func Hint(key string) string {
	head, tail, ok := strings.Cut(key, "_")
	if !ok || len(tail) < 16 {
		return "…"
	}
	return head + "_" + tail[:4] + "…" + tail[len(tail)-4:]
}

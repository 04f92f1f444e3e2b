package dash

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Passwords are hashed with argon2id (RFC 9106) under these parameters, which
// stand in each stored form, so that they can rise later: 32 MiB, three
// passes, one lane. A login costs about 0.1 s of one core.
const (
	argonMemory = 32 << 10 // KiB
	argonPasses = 3
	argonLanes  = 1
	argonSalt   = 16 // bytes
	argonKey    = 32 // bytes

	// maxHashing bounds concurrent hashing, and with it what guesses in bulk
	// take of memory and processors; the rest wait.
	maxHashing = 1

	minPassword = 10  // characters
	maxPassword = 500 // bytes

	// once stands before the encoded form of a password that somebody else
	// made: it opens the page to choose another, and nothing more.
	once = "$once"
)

var errHash = errors.New("a stored password is in no known form")

// checkPassword tells what is wrong with a new password, "" when nothing.
func checkPassword(password, email string) string {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Sprintf("needs at least %d characters; a few words are easy to remember", minPassword)
	case len(password) > maxPassword:
		return fmt.Sprintf("is longer than %d bytes", maxPassword)
	case strings.EqualFold(password, email):
		return "must not be the e-mail address"
	case strings.Count(password, password[:1]) == len(password):
		return "must not be one character again and again"
	}
	return ""
}

// hash gives the encoded form of a new password, waiting for its turn.
func (d *Dash) hash(ctx context.Context, password string) (string, error) {
	if err := d.turn(ctx); err != nil {
		return "", err
	}
	defer d.hashed()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // documented never to fail
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonLanes, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonLanes,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// matches tells whether a password is the one behind the encoded form. For an
// empty form it takes as long and answers no, so that the time of a refusal
// does not tell whether an address is known.
func (d *Dash) matches(ctx context.Context, password, encoded string) (bool, error) {
	if err := d.turn(ctx); err != nil {
		return false, err
	}
	defer d.hashed()
	if encoded == "" {
		argon2.IDKey([]byte(password), make([]byte, argonSalt), argonPasses, argonMemory, argonLanes, argonKey)
		return false, nil
	}
	encoded = strings.TrimPrefix(encoded, once)
	var version, memory, passes uint32
	var lanes uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errHash
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil || version != argon2.Version {
		return false, errHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || passes < 1 || lanes < 1 || memory > 1<<20 || passes > 100 || len(want) < 16 || len(want) > 128 {
		return false, errHash
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// hashed gives the turn on. The memory of a hash is given back first: guesses
// in bulk would make the heap grow by much more than is in use at a time.
func (d *Dash) hashed() {
	runtime.GC()
	<-d.hashing
}

func (d *Dash) turn(ctx context.Context) error {
	select {
	case d.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

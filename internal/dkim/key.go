package dkim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
)

const (
	// rsaBits is the size of generated RSA keys (D-26, RFC 8301 section 3.2).
	rsaBits = 2048
	// minRSABits and maxRSABits are what verifiers must accept (RFC 8301
	// section 3.2); keys outside are refused.
	minRSABits, maxRSABits = 1024, 4096
	// maxKeyInput bounds ParseKey, in bytes. An RSA-4096 key takes 3,300.
	maxKeyInput = 16 << 10
)

// Algorithm names a key type as the k= tag does.
type Algorithm string

// The two key types of RFC 6376 and RFC 8463.
const (
	RSA     Algorithm = "rsa"
	Ed25519 Algorithm = "ed25519"
)

// Key is a private signing key. The zero Key signs nothing and has no record.
// It is a reference: copies share the same key.
type Key struct{ p *private }

// private keeps the key behind functions: fmt calls no methods on the
// unexported fields of what it prints, and a function shows as an address
// whatever the verb.
type private struct {
	alg     Algorithm
	rsa     func() *rsa.PrivateKey
	signRSA func(digest [sha256.Size]byte) ([]byte, error)
	ed      func() ed25519.PrivateKey
}

func newRSA(k *rsa.PrivateKey) (Key, error) {
	sign, err := rsaSigner(k)
	if err != nil {
		return Key{}, err
	}
	return Key{&private{alg: RSA, rsa: func() *rsa.PrivateKey { return k }, signRSA: sign}}, nil
}

func newEd25519(k ed25519.PrivateKey) Key {
	return Key{&private{alg: Ed25519, ed: func() ed25519.PrivateKey { return k }}}
}

// GenerateRSA makes a new RSA-2048 key.
func GenerateRSA() (Key, error) {
	k, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return Key{}, fmt.Errorf("generate RSA key: %w", err)
	}
	return newRSA(k)
}

// GenerateEd25519 makes a new Ed25519 key (RFC 8463).
func GenerateEd25519() (Key, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("generate Ed25519 key: %w", err)
	}
	return newEd25519(k), nil
}

// ParseKey reads a private key: PEM ("PRIVATE KEY" or "RSA PRIVATE KEY") or
// the same as DER, that is PKCS#8 or PKCS#1. RSA keys must have 1024 to 4096
// bits. Errors never contain any of the input.
func ParseKey(pemOrDER []byte) (Key, error) {
	if len(pemOrDER) > maxKeyInput {
		return Key{}, fmt.Errorf("parse DKIM key: %d bytes, more than any key of at most %d bits needs", len(pemOrDER), maxRSABits)
	}
	der := pemOrDER
	if text := bytes.TrimSpace(pemOrDER); bytes.HasPrefix(text, []byte("-----BEGIN")) {
		block, _ := pem.Decode(text)
		if block == nil {
			return Key{}, errors.New("parse DKIM key: the PEM block is damaged")
		}
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY":
		case "ENCRYPTED PRIVATE KEY":
			return Key{}, errors.New("parse DKIM key: the key is protected by a passphrase; remove it first")
		default:
			return Key{}, fmt.Errorf("parse DKIM key: PEM block is %.40q, not a private key", block.Type)
		}
		if block.Headers["DEK-Info"] != "" {
			return Key{}, errors.New("parse DKIM key: the key is protected by a passphrase; remove it first")
		}
		der = block.Bytes
	}
	return parseDER(der)
}

func parseDER(der []byte) (Key, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return fromRSA(k)
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, errors.New("parse DKIM key: not a PKCS#8 or PKCS#1 private key")
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return fromRSA(k)
	case ed25519.PrivateKey:
		return newEd25519(k), nil
	default:
		return Key{}, fmt.Errorf("parse DKIM key: %T; DKIM knows RSA and Ed25519 keys only", k)
	}
}

func fromRSA(k *rsa.PrivateKey) (Key, error) {
	if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
		return Key{}, fmt.Errorf("parse DKIM key: RSA key of %d bits; receivers accept %d to %d", n, minRSABits, maxRSABits)
	}
	return newRSA(k)
}

// Marshal returns the private key as PKCS#8 DER, which ParseKey reads. The
// result is a secret: seal it before storing. The zero Key gives nil.
func (k Key) Marshal() []byte {
	if k.p == nil {
		return nil
	}
	var key any
	if k.p.alg == Ed25519 {
		key = k.p.ed()
	} else {
		key = k.p.rsa()
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("BUG: marshal %s key: %v", k.p.alg, err))
	}
	return der
}

// Algorithm returns the key type, "" for the zero Key.
func (k Key) Algorithm() Algorithm {
	if k.p == nil {
		return ""
	}
	return k.p.alg
}

// IsZero says whether there is no key.
func (k Key) IsZero() bool { return k.p == nil }

// publicBase64 returns the p= value: SubjectPublicKeyInfo for RSA (the form in
// use, RFC 6376 erratum 3017), the bare 32 bytes for Ed25519 (RFC 8463
// section 4).
func (k Key) publicBase64() string {
	if k.p.alg == Ed25519 {
		return base64.StdEncoding.EncodeToString(k.p.ed().Public().(ed25519.PublicKey))
	}
	der, err := x509.MarshalPKIXPublicKey(&k.p.rsa().PublicKey)
	if err != nil {
		panic(fmt.Sprintf("BUG: marshal RSA public key: %v", err))
	}
	return base64.StdEncoding.EncodeToString(der)
}

// sign returns the signature over a SHA-256 digest. It is the only use of the
// private key; RSA PKCS #1 v1.5 and Ed25519 are both deterministic.
func (p *private) sign(digest [sha256.Size]byte) ([]byte, error) {
	if p.alg == Ed25519 {
		return ed25519.Sign(p.ed(), digest[:]), nil
	}
	return p.signRSA(digest)
}

// String names the key type and nothing else.
func (k Key) String() string {
	if k.p == nil {
		return "dkim.Key(none)"
	}
	return "dkim.Key(" + string(k.p.alg) + ", private)"
}

// GoString is String: %#v shows no secret either.
func (k Key) GoString() string { return k.String() }

// Format writes String for every verb, %d and %x included.
func (k Key) Format(w fmt.State, _ rune) { fmt.Fprint(w, k.String()) }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

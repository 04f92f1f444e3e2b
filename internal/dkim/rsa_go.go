//go:build !openssl || !cgo

package dkim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
)

// RSAEngine names who does RSA.
const RSAEngine = "crypto/rsa"

// rsaSigner gives the private-key operation of a key: PKCS #1 v1.5 over a
// SHA-256 digest (RFC 8017, section 8.2.1).
func rsaSigner(k *rsa.PrivateKey) (func(digest [sha256.Size]byte) ([]byte, error), error) {
	return func(digest [sha256.Size]byte) ([]byte, error) {
		return rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
	}, nil
}

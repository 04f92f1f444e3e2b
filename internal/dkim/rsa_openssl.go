//go:build openssl && cgo

package dkim

/*
#cgo pkg-config: libcrypto
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

// read_key reads PKCS #8 DER; NULL when it cannot.
static EVP_PKEY *read_key(const unsigned char *der, long n) {
	return d2i_AutoPrivateKey(NULL, &der, n);
}

// sign_digest writes the PKCS #1 v1.5 signature over a SHA-256 digest into
// sig, which has *n bytes of room, and sets *n; 1 when it went well.
static int sign_digest(EVP_PKEY *key, const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t *n) {
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	int ok = ctx != NULL && EVP_PKEY_sign_init(ctx) > 0 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
		EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 &&
		EVP_PKEY_sign(ctx, sig, n, digest, digest_len) > 0;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
*/
import "C"

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// RSAEngine names who does RSA.
const RSAEngine = "OpenSSL"

// opensslKey owns a key in OpenSSL's memory, which is freed with it.
type opensslKey struct{ key *C.EVP_PKEY }

// rsaSigner gives the private-key operation of a key as OpenSSL does it: about
// three times as fast as crypto/rsa, and the same bytes, as PKCS #1 v1.5 has
// no random part (RFC 8017, section 8.2.1).
func rsaSigner(k *rsa.PrivateKey) (func(digest [sha256.Size]byte) ([]byte, error), error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("marshal RSA key: %w", err)
	}
	key := C.read_key((*C.uchar)(unsafe.Pointer(unsafe.SliceData(der))), C.long(len(der)))
	clear(der)
	if key == nil {
		return nil, errors.New("OpenSSL cannot read the RSA key")
	}
	owner := &opensslKey{key}
	runtime.AddCleanup(owner, func(key *C.EVP_PKEY) { C.EVP_PKEY_free(key) }, key)
	size := k.Size()
	return func(digest [sha256.Size]byte) ([]byte, error) {
		sig := make([]byte, size)
		n := C.size_t(size)
		ok := C.sign_digest(owner.key, (*C.uchar)(unsafe.Pointer(&digest[0])), C.size_t(len(digest)), (*C.uchar)(unsafe.Pointer(&sig[0])), &n)
		runtime.KeepAlive(owner)
		if ok != 1 || int(n) != size {
			return nil, errors.New("OpenSSL cannot sign with the RSA key")
		}
		return sig, nil
	}, nil
}

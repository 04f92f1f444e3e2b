package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"sync"
	"testing"
)

// TestRSAEngine: whoever does RSA in this build gives the bytes that
// crypto/rsa gives, from many goroutines at once, for keys of every size that
// is let in.
func TestRSAEngine(t *testing.T) {
	t.Logf("RSA by %s", RSAEngine)
	for _, bits := range []int{minRSABits, rsaBits, 3072, maxRSABits} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		key, err := newRSA(k)
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		for i := range 8 {
			work.Go(func() {
				digest := sha256.Sum256([]byte{byte(i), byte(bits)})
				want, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
				if err != nil {
					t.Error(err)
					return
				}
				got, err := key.p.sign(digest)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bits: %v; the signature differs from crypto/rsa's", bits, err)
				}
			})
		}
		work.Wait()
	}
}

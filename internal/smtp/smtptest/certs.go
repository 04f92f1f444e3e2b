package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// CA is a certificate authority that lives as long as a test.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	Pool *x509.CertPool // for a client's RootCAs
}

// NewCA makes an authority with a new key.
func NewCA(t testing.TB) *CA {
	t.Helper()
	now := time.Now()
	ca := &CA{t: t, key: newKey(t), Pool: x509.NewCertPool()}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert = sign(t, tmpl, tmpl, ca.key, ca.key)
	ca.Pool.AddCert(ca.cert)
	return ca
}

// Server is a configuration with a certificate for the names (host names or IP
// addresses) that ends at notAfter.
func (ca *CA) Server(notAfter time.Time, names ...string) *tls.Config {
	ca.t.Helper()
	key := newKey(ca.t)
	cert := sign(ca.t, leaf(notAfter, names), ca.cert, key, ca.key)
	return config(cert, key)
}

// SelfSigned is a configuration with a certificate nobody vouches for.
func SelfSigned(t testing.TB, names ...string) *tls.Config {
	t.Helper()
	key := newKey(t)
	tmpl := leaf(time.Now().Add(time.Hour), names)
	return config(sign(t, tmpl, tmpl, key, key), key)
}

func leaf(notAfter time.Time, names []string) *x509.Certificate {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"},
		NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	return tmpl
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func config(cert *x509.Certificate, key *ecdsa.PrivateKey) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}
}

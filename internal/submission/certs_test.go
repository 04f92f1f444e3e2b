package submission

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/gate"
)

// TestCertificate reads a certificate again when its files change, and keeps
// the one before while they cannot be read.
func TestCertificate(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write := func(at time.Time) {
		c, err := gate.SelfSigned("localhost")
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificates[0].Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
			if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := LoadCertificate(cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("missing files are no error")
	}
	now := time.Now()
	write(now.Add(-time.Hour))
	c, err := LoadCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := c.get(now)
	write(now)
	if c.get(now.Add(time.Second)) != first {
		t.Error("the files are looked at with every connection")
	}
	second := c.get(now.Add(time.Minute))
	if second == first {
		t.Error("a changed certificate is not read")
	}
	if err := os.WriteFile(cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c.get(now.Add(2*time.Minute)) != second {
		t.Error("the certificate before is not kept")
	}
}

package submission

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certEvery is how often the files of a certificate are looked at.
const certEvery = 10 * time.Second

// Certificate is read from two files, and again when they change: a renewed
// one needs no restart.
type Certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	stamp  [2]time.Time
	looked time.Time
}

// LoadCertificate reads a certificate chain and its key, both PEM.
func LoadCertificate(cert, key string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, log: log}
	if err := c.load(time.Now()); err != nil {
		return nil, err
	}
	return c, nil
}

// TLS gives the configuration of a server that shows the certificate.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return c.get(time.Now()), nil
	}}
}

func (c *Certificate) stamps() (out [2]time.Time) {
	for i, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			out[i] = info.ModTime()
		}
	}
	return out
}

func (c *Certificate) load(now time.Time) error {
	stamp := c.stamps()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read the certificate of SMTP submission from %s and %s: %w", c.cert, c.key, err)
	}
	c.loaded, c.stamp, c.looked = &pair, stamp, now
	return nil
}

// get gives the certificate, read anew if its files changed. While they cannot
// be read the one before stays.
func (c *Certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < certEvery {
		return c.loaded
	}
	c.looked = now
	if c.stamps() != c.stamp {
		if err := c.load(now); err != nil {
			c.log.Error("the certificate changed and cannot be read; the one before is shown", "error", err)
		}
	}
	return c.loaded
}

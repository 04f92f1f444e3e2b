package sso

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost/internal/smtp"
)

// Limits of one request to the issuer.
const (
	fetchWithin = 10 * time.Second
	maxAnswer   = 1 << 20
)

var errLong = errors.New("the issuer's answer is longer than 1 MiB")

// newClient makes what talks to the issuer: to addresses that were checked
// (D-14), and without following a redirect, which would hand code and secret
// to a place that nobody entered here.
func newClient(c *Config) *http.Client {
	return &http.Client{
		Timeout: fetchWithin,
		Transport: bounded{&http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return smtp.DialPublic(ctx, c.Resolver, network, address, c.AllowPrivate)
			},
			Proxy:                  nil, // a proxy would undo the check of addresses
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded reads no more of an answer than maxAnswer.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &shortBody{resp.Body, maxAnswer}
	return resp, nil
}

type shortBody struct {
	io.ReadCloser

	left int64
}

func (b *shortBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

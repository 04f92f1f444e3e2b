package api

import (
	"context"
	"net/http"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
)

func (a *API) probeRoutes() {
	op := operation(http.MethodPost, "/tpsp/test/custom-smtp", "Test the connection to an SMTP server without storing anything", waypost.KeyAccount)
	register(a, stepwise(op), ProviderRequest{}, a.testConnection)
	op = operation(http.MethodPost, "/account/tpsp/{id}/test", "Test the connection of a provider as it is stored", waypost.KeyAccount)
	register(a, stepwise(op), nil, a.testProvider)
}

// testProvider runs the connection test with what is stored, the password
// included.
func (a *API) testProvider(ctx context.Context, in *idPath) (smtp.ProbeResult, error) {
	p, err := a.provider(ctx, in.ID)
	if err != nil {
		return smtp.ProbeResult{}, err
	}
	var req ProviderRequest
	if err := a.keepRest(&req, &p, nil); err != nil {
		return smtp.ProbeResult{}, err
	}
	return a.probe(ctx, &p, &req), nil
}

// testConnection runs the whole SMTP transaction of D-13. A failed test is an
// answer, not an error.
func (a *API) testConnection(ctx context.Context, in *raw) (smtp.ProbeResult, error) {
	req, err := decode[ProviderRequest](in.RawBody)
	if err != nil {
		return smtp.ProbeResult{}, err
	}
	if req.Name == "" {
		req.Name = "connection test" // needed to create a provider, not to test one
	}
	p, err := req.provider()
	if err != nil {
		return smtp.ProbeResult{}, err
	}
	return a.probe(ctx, &p, &req), nil
}

func (a *API) probe(ctx context.Context, p *waypost.Provider, req *ProviderRequest) smtp.ProbeResult {
	c := smtp.Config{
		Host: p.Host, Port: p.Port, Security: smtp.Security(p.Security),
		Username: p.Username, Password: req.SMTPPassword, Auth: smtp.AuthMethod(p.Auth), HELO: p.HELO,
		TLSSkipVerify: p.TLSSkipVerify, AllowPlainAuth: p.PlainAuth, AllowPrivate: a.cfg.AllowPrivate,
	}
	observe(ctx, &c)
	return a.cfg.Probe(ctx, c, req.TestFrom, req.TestTo)
}

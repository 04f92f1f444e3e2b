package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/senderdomain"
)

// ReturnPathRequest chooses how a domain's return path is published (D-29).
type ReturnPathRequest struct {
	Direct *bool `json:"direct" doc:"true: MX and SPF records of the domain's own; false: a CNAME to the installation's bounce host"`
}

// domainRecordRoutes are our own operations on a domain's records and keys.
// Each answers with what the records then are.
func (a *API) domainRecordRoutes() {
	const one = "/subaccount/domain/{id}"
	op := func(method, path, summary string) huma.Operation {
		return operation(method, one+path, summary, waypost.KeySubAccount)
	}
	register(a, op(http.MethodGet, "/records", "Everything known of a domain's records, and what is left to do"), nil, a.domainRecords)
	register(a, op(http.MethodPut, "/return-path", "Choose between the CNAME and MX with SPF of the domain's own"), ReturnPathRequest{}, a.setReturnPath)
	register(a, op(http.MethodPost, "/rotate-dkim", "Make the successor of the DKIM key; it signs once its record is found"), nil, a.rotateDKIM)
	register(a, op(http.MethodDelete, "/rotate-dkim", "Give up a DKIM rotation under way"), nil, a.cancelRotation)
	register(a, op(http.MethodPost, "/ed25519", "Add an Ed25519 key, whose signature stands beside the RSA one"), nil, a.addEd25519)
	register(a, op(http.MethodDelete, "/ed25519", "End signing with the Ed25519 key"), nil, a.removeEd25519)
}

func (a *API) setReturnPath(ctx context.Context, in *idBody) (DomainRecords, error) {
	req, err := decode[ReturnPathRequest](in.RawBody)
	if err != nil {
		return DomainRecords{}, err
	}
	if req.Direct == nil {
		return DomainRecords{}, badField("direct", "is missing: true for MX and SPF records of the domain's own, false for the CNAME")
	}
	spf := a.cfg.Domains.SPF
	if spf == "" {
		senders, err := a.senders(ctx, caller(ctx).Account)
		if err != nil {
			return DomainRecords{}, err
		}
		spf = strings.Join(senders, " ")
	}
	words := "the CNAME"
	if *req.Direct {
		words = "MX and SPF records of its own"
	}
	return a.alter(ctx, in.ID, "domain.returnpath", "return path by "+words, func(d *waypost.SenderDomain, now time.Time) error {
		senderdomain.SetDirectBounce(d, *req.Direct, spf, a.cfg.Domains, now)
		return nil
	})
}

func (a *API) rotateDKIM(ctx context.Context, in *idPath) (DomainRecords, error) {
	return a.withKey(ctx, in.ID, dkim.GenerateRSA, "domain.rotate", "started a DKIM rotation", senderdomain.StartRotation)
}

func (a *API) cancelRotation(ctx context.Context, in *idPath) (DomainRecords, error) {
	return a.alter(ctx, in.ID, "domain.rotate", "gave up a DKIM rotation", func(d *waypost.SenderDomain, _ time.Time) error {
		return senderdomain.CancelRotation(d)
	})
}

func (a *API) addEd25519(ctx context.Context, in *idPath) (DomainRecords, error) {
	return a.withKey(ctx, in.ID, dkim.GenerateEd25519, "domain.ed25519", "added an Ed25519 key", senderdomain.AddEd25519)
}

func (a *API) removeEd25519(ctx context.Context, in *idPath) (DomainRecords, error) {
	return a.alter(ctx, in.ID, "domain.ed25519", "removed the Ed25519 key", func(d *waypost.SenderDomain, _ time.Time) error {
		return senderdomain.RemoveEd25519(d)
	})
}

// withKey makes a key for a domain that exists and gives it to add.
func (a *API) withKey(ctx context.Context, id int64, generate func() (dkim.Key, error), action, words string, add func(*waypost.SenderDomain, senderdomain.Fresh, time.Time) error) (DomainRecords, error) {
	if _, err := a.domain(ctx, id); err != nil {
		return DomainRecords{}, err
	}
	key, err := a.freshKey(generate)
	if err != nil {
		return DomainRecords{}, err
	}
	return a.alter(ctx, id, action, words, func(d *waypost.SenderDomain, now time.Time) error { return add(d, key, now) })
}

// alter changes a domain, notes it in the audit and answers with its records.
func (a *API) alter(ctx context.Context, id int64, action, words string, change func(*waypost.SenderDomain, time.Time) error) (DomainRecords, error) {
	now := time.Now().Truncate(time.Millisecond)
	d, err := a.changeDomain(ctx, id, func(d *waypost.SenderDomain) error { return change(d, now) })
	if err != nil {
		return DomainRecords{}, domainConflict(err)
	}
	a.audit(ctx, action, domainObject(&d), "sender domain %s: %s", d.Name, words)
	return a.recordsView(ctx, &d)
}

// domainConflict answers for a change that the domain's keys do not allow now.
func domainConflict(err error) error {
	for _, c := range []struct {
		cause error
		words string
	}{
		{senderdomain.ErrRotating, "; publish the record of the kind dkimNext, or give the rotation up with DELETE"},
		{senderdomain.ErrNotRotating, "; start one with POST"},
		{senderdomain.ErrHasEd25519, " already; remove it with DELETE to make another"},
		{senderdomain.ErrNoEd25519, "; add one with POST"},
		{senderdomain.ErrManyKeys, "; wait until the retired ones are forgotten"},
	} {
		if errors.Is(err, c.cause) {
			return fail(http.StatusConflict, c.cause.Error()+c.words)
		}
	}
	return err
}

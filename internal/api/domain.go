package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// DomainRequest is the body of a domain's creation and of its renaming.
type DomainRequest struct {
	Name string `json:"name"`
}

// Deleted answers for a deletion.
type Deleted struct {
	ID      int64  `json:"id"`
	Message string `json:"message"`
}

func (a *API) domainRoutes() {
	const all, one = "/subaccount/domain", "/subaccount/domain/{id}"
	op := func(method, path, summary string) huma.Operation {
		return operation(method, path, summary, waypost.KeySubAccount)
	}
	created := domainViews
	created.v1Code = http.StatusCreated
	registerBoth(a, op(http.MethodPost, all, "Add a sender domain and make its DKIM key"), DomainRequest{}, a.createDomain, created)
	registerBoth(a, op(http.MethodGet, all, "List the sender domains"), nil, a.listDomains, domainsViews)
	register(a, op(http.MethodGet, all+"/count", "Count the sender domains"), nil, a.countDomains)
	registerBoth(a, op(http.MethodGet, one, "Read one sender domain"), nil, a.getDomain, domainViews)
	registerBoth(a, op(http.MethodPut, one, "Rename a sender domain: new records, to be verified anew"), DomainRequest{}, a.renameDomain, domainViews)
	register(a, op(http.MethodDelete, one, "Delete a sender domain"), nil, a.deleteDomain)
	registerBoth(a, op(http.MethodPost, one+"/verify", "Check the DNS records of a sender domain now"), nil, a.verifyDomain, domainViews)
	a.domainRecordRoutes()
}

func (a *API) createDomain(ctx context.Context, in *raw) (waypost.SenderDomain, error) {
	caller := caller(ctx)
	name, err := domainName(in.RawBody)
	if err != nil {
		return waypost.SenderDomain{}, err
	}
	if err := a.domainFree(ctx, name); err != nil {
		return waypost.SenderDomain{}, err
	}
	key, err := a.freshKey(dkim.GenerateRSA)
	if err != nil {
		return waypost.SenderDomain{}, err
	}
	now := time.Now().Truncate(time.Millisecond)
	d := waypost.SenderDomain{
		Account: caller.Account, SubAccount: caller.SubAccount, Name: name, Selector: waypost.DKIMSelector,
		Key: key.Sealed, Created: now, NextCheck: now,
		Records: senderdomain.Records(name, waypost.DKIMSelector, key.Key, a.cfg.Domains),
	}
	if err := a.cfg.Store.CreateDomain(ctx, &d); err != nil {
		if errors.Is(err, store.ErrExists) {
			return d, domainTaken(name)
		}
		return d, fmt.Errorf("store domain %s: %w", name, err)
	}
	a.audit(ctx, "domain.create", domainObject(&d), "created sender domain %s", name)
	return d, nil
}

// domainName reads and checks the name in a body.
func domainName(body []byte) (string, error) {
	req, err := decode[DomainRequest](body)
	if err != nil {
		return "", err
	}
	name, err := senderdomain.CheckName(req.Name)
	if err != nil {
		return "", badField("name", "%v", err)
	}
	return name, nil
}

// domainFree spares the making of a key for a name that is taken.
func (a *API) domainFree(ctx context.Context, name string) error {
	_, err := a.cfg.Store.DomainByName(ctx, caller(ctx).SubAccount, name)
	switch {
	case err == nil:
		return domainTaken(name)
	case !isNotFound(err):
		return fmt.Errorf("look for domain %s: %w", name, err)
	}
	return nil
}

func domainTaken(name string) *Error {
	e := fail(http.StatusForbidden, fmt.Sprintf("the domain %s exists already in this sub-account", name))
	e.Body.Param = "name"
	return e
}

func domainObject(d *waypost.SenderDomain) string { return fmt.Sprintf("domain %d", d.ID) }

func (a *API) freshKey(generate func() (dkim.Key, error)) (senderdomain.Fresh, error) {
	key, err := generate()
	if err != nil {
		return senderdomain.Fresh{}, fmt.Errorf("make a DKIM key: %w", err)
	}
	return senderdomain.Fresh{Key: key, Sealed: senderdomain.SealKey(a.cfg.Box, key)}, nil
}

func (a *API) listDomains(ctx context.Context, in *page) ([]waypost.SenderDomain, error) {
	all, err := a.cfg.Store.Domains(ctx, caller(ctx).SubAccount, in.of())
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return all, nil
}

func (a *API) countDomains(ctx context.Context, _ *struct{}) (Count, error) {
	n, err := a.cfg.Store.CountDomains(ctx, caller(ctx).SubAccount)
	if err != nil {
		return Count{}, fmt.Errorf("count domains: %w", err)
	}
	return Count{n}, nil
}

func noDomain(id int64) *Error {
	return missing(http.StatusNotAcceptable, "domain", id) // 406: sendpost.md, a.1
}

func (a *API) domain(ctx context.Context, id int64) (waypost.SenderDomain, error) {
	d, err := a.cfg.Store.Domain(ctx, caller(ctx).SubAccount, id)
	if isNotFound(err) {
		return d, noDomain(id)
	}
	if err != nil {
		return d, fmt.Errorf("read domain %d: %w", id, err)
	}
	return d, nil
}

// changeDomain changes a domain of the caller's in one transaction.
func (a *API) changeDomain(ctx context.Context, id int64, change func(*waypost.SenderDomain) error) (waypost.SenderDomain, error) {
	d, err := a.cfg.Store.ChangeDomain(ctx, caller(ctx).SubAccount, id, change)
	if isNotFound(err) {
		return d, noDomain(id)
	}
	if err != nil {
		return d, fmt.Errorf("change domain %d: %w", id, err)
	}
	return d, nil
}

func (a *API) getDomain(ctx context.Context, in *idPath) (waypost.SenderDomain, error) {
	return a.domain(ctx, in.ID)
}

// renameDomain keeps the id; key and records are new (sendpost.md, a.1).
func (a *API) renameDomain(ctx context.Context, in *idBody) (waypost.SenderDomain, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return d, err
	}
	name, err := domainName(in.RawBody)
	if err != nil || name == d.Name {
		return d, err
	}
	if err := a.domainFree(ctx, name); err != nil {
		return d, err
	}
	key, err := a.freshKey(dkim.GenerateRSA)
	if err != nil {
		return d, err
	}
	now := time.Now().Truncate(time.Millisecond)
	renamed, err := a.changeDomain(ctx, in.ID, func(d *waypost.SenderDomain) error {
		senderdomain.Rename(d, name, key, a.cfg.Domains, now)
		return nil
	})
	if errors.Is(err, store.ErrExists) {
		return d, domainTaken(name)
	}
	if err != nil {
		return d, err
	}
	a.audit(ctx, "domain.rename", domainObject(&d), "renamed sender domain %s to %s", d.Name, name)
	return renamed, nil
}

func (a *API) deleteDomain(ctx context.Context, in *idPath) (Deleted, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	if err := a.cfg.Store.DeleteDomain(ctx, d.SubAccount, d.ID); err != nil {
		if isNotFound(err) {
			return Deleted{}, noDomain(in.ID)
		}
		return Deleted{}, fmt.Errorf("delete domain %s: %w", d.Name, err)
	}
	a.audit(ctx, "domain.delete", domainObject(&d), "deleted sender domain %s", d.Name)
	return Deleted{d.ID, fmt.Sprintf("Domain (%s) has been deleted successfully", d.Name)}, nil
}

// verifyDomain checks at once, outside the schedule (D-30).
func (a *API) verifyDomain(ctx context.Context, in *idPath) (waypost.SenderDomain, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return d, err
	}
	d, err = a.cfg.Checker.CheckAndSave(ctx, &d, time.Now().Truncate(time.Millisecond))
	switch {
	case isNotFound(err):
		return d, noDomain(in.ID)
	case err != nil:
		return d, fmt.Errorf("check domain %d: %w", in.ID, err)
	}
	return d, nil
}

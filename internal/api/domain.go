package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// Domain answers with the legacy fields of a sender domain.
type Domain struct {
	ID                   int64     `json:"id"`
	Name                 string    `json:"name"`
	DKIM                 DNSRecord `json:"dkim"`
	SPF                  DNSRecord `json:"spf"`
	ReturnPath           DNSRecord `json:"returnPath"`
	Track                DNSRecord `json:"track"`
	DMARC                DNSRecord `json:"dmarc"`
	GPT                  DNSRecord `json:"gpt"`
	DKIMConfig           string    `json:"dkimConfig"`
	DKIMVerified         bool      `json:"dkimVerified"`
	SPFVerified          bool      `json:"spfVerified"`
	MailboxVerified      bool      `json:"mailboxVerified"`
	DMARCVerified        bool      `json:"dmarcVerified"`
	ReturnPathVerified   bool      `json:"returnPathVerified"`
	TrackVerified        bool      `json:"trackVerified"`
	GPTVerified          bool      `json:"gptVerified"`
	Verified             bool      `json:"verified"`
	DomainRegisteredDate string    `json:"domainRegisteredDate"`
	Created              int64     `json:"created" doc:"UNIX nanoseconds"`
	DMARCFailure         string    `json:"dmarcFailureReason"`
	DKIMFailure          string    `json:"dkimFailureReason"`
	TrackFailure         string    `json:"trackFailureReason"`
	ReturnPathFailure    string    `json:"returnPathFailureReason"`
}

// DNSRecord is a record to publish.
type DNSRecord struct {
	Host      string `json:"host"`
	Type      string `json:"type"`
	TextValue string `json:"textValue"`
}

// DomainRequest is the body of a domain's creation.
type DomainRequest struct {
	Name string `json:"name"`
}

// Deleted answers for a deletion.
type Deleted struct {
	ID      int64  `json:"id"`
	Message string `json:"message"`
}

func (a *API) domainRoutes() {
	const one = "/subaccount/domain/{id}"
	register(a, operation(http.MethodPost, "/subaccount/domain", "Add a sender domain and make its DKIM key", waypost.KeySubAccount), DomainRequest{}, a.createDomain)
	register(a, operation(http.MethodGet, "/subaccount/domain", "List the sender domains", waypost.KeySubAccount), nil, a.listDomains)
	register(a, operation(http.MethodGet, one, "Read one sender domain", waypost.KeySubAccount), nil, a.getDomain)
	register(a, operation(http.MethodDelete, one, "Delete a sender domain", waypost.KeySubAccount), nil, a.deleteDomain)
	register(a, operation(http.MethodPost, one+"/verify", "Check the DNS records of a sender domain now", waypost.KeySubAccount), nil, a.verifyDomain)
}

func (a *API) createDomain(ctx context.Context, in *raw) (Domain, error) {
	caller := caller(ctx)
	req, err := decode[DomainRequest](in.RawBody)
	if err != nil {
		return Domain{}, err
	}
	name, err := senderdomain.CheckName(req.Name)
	if err != nil {
		return Domain{}, badField("name", "%v", err)
	}
	key, err := dkim.GenerateRSA()
	if err != nil {
		return Domain{}, fmt.Errorf("make a DKIM key for %s: %w", name, err)
	}
	now := time.Now().Truncate(time.Millisecond)
	d := waypost.SenderDomain{
		Account: caller.Account, SubAccount: caller.SubAccount, Name: name, Selector: waypost.DKIMSelector,
		Key: a.cfg.Box.Seal(key.Marshal(), queue.KeyPlace), Created: now, NextCheck: now,
		Records: senderdomain.Records(name, waypost.DKIMSelector, key, a.cfg.Domains),
	}
	if err := a.cfg.Store.CreateDomain(ctx, &d); err != nil {
		if errors.Is(err, store.ErrExists) {
			e := fail(http.StatusForbidden, fmt.Sprintf("the domain %s exists already in this sub-account", name))
			e.Body.Param = "name"
			return Domain{}, e
		}
		return Domain{}, fmt.Errorf("store domain %s: %w", name, err)
	}
	return domainView(&d), nil
}

func (a *API) listDomains(ctx context.Context, in *page) ([]Domain, error) {
	all, err := a.cfg.Store.Domains(ctx, caller(ctx).SubAccount, in.of())
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	out := make([]Domain, len(all))
	for i := range all {
		out[i] = domainView(&all[i])
	}
	return out, nil
}

func (a *API) domain(ctx context.Context, id int64) (waypost.SenderDomain, error) {
	d, err := a.cfg.Store.Domain(ctx, caller(ctx).SubAccount, id)
	if isNotFound(err) {
		return d, missing(http.StatusNotAcceptable, "domain", id) // 406: sendpost.md, a.1
	}
	if err != nil {
		return d, fmt.Errorf("read domain %d: %w", id, err)
	}
	return d, nil
}

func (a *API) getDomain(ctx context.Context, in *idPath) (Domain, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return Domain{}, err
	}
	return domainView(&d), nil
}

func (a *API) deleteDomain(ctx context.Context, in *idPath) (Deleted, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	if err := a.cfg.Store.DeleteDomain(ctx, d.SubAccount, d.ID); err != nil {
		if isNotFound(err) {
			return Deleted{}, missing(http.StatusNotAcceptable, "domain", in.ID)
		}
		return Deleted{}, fmt.Errorf("delete domain %s: %w", d.Name, err)
	}
	return Deleted{d.ID, fmt.Sprintf("Domain (%s) has been deleted successfully", d.Name)}, nil
}

// verifyDomain checks at once, outside the schedule (D-30).
func (a *API) verifyDomain(ctx context.Context, in *idPath) (Domain, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return Domain{}, err
	}
	if err := a.cfg.Checker.Check(ctx, &d, time.Now()); err != nil {
		return Domain{}, fmt.Errorf("check domain %s: %w", d.Name, err)
	}
	if err := a.cfg.Store.SaveChecks(ctx, &d); err != nil {
		return Domain{}, fmt.Errorf("store the checks of domain %s: %w", d.Name, err)
	}
	return domainView(&d), nil
}

func domainView(d *waypost.SenderDomain) Domain {
	record := func(kind waypost.RecordKind) (DNSRecord, bool, string) {
		r := d.Record(kind)
		if r == nil {
			return DNSRecord{}, false, ""
		}
		return DNSRecord{Host: r.Host, Type: r.Type, TextValue: r.Value}, r.Verified, r.Failure
	}
	out := Domain{ID: d.ID, Name: d.Name, Created: d.Created.UnixNano(), DKIMConfig: d.Selector}
	out.DKIM, out.DKIMVerified, out.DKIMFailure = record(waypost.RecordDKIM)
	out.ReturnPath, out.ReturnPathVerified, out.ReturnPathFailure = record(waypost.RecordReturnPath)
	out.Track, out.TrackVerified, out.TrackFailure = record(waypost.RecordTrack)
	out.DMARC, out.DMARCVerified, out.DMARCFailure = record(waypost.RecordDMARC)
	out.SPF, out.SPFVerified = out.ReturnPath, out.ReturnPathVerified // SPF aligns through the return path's host (d.2)
	out.Verified = out.DKIMVerified
	return out
}

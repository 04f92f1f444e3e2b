package api

import "github.com/waypost-mail/waypost"

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

// DomainV1 answers with the fields of a sender domain in contract v1.
type DomainV1 struct {
	ID                   int64     `json:"id"`
	Name                 string    `json:"name"`
	DKIM                 DNSRecord `json:"dkim"`
	ReturnPath           DNSRecord `json:"returnPath"`
	Track                DNSRecord `json:"track"`
	DMARC                DNSRecord `json:"dmarc"`
	DKIMVerified         bool      `json:"dkimVerified"`
	DMARCVerified        bool      `json:"dmarcVerified"`
	ReturnPathVerified   bool      `json:"returnPathVerified"`
	TrackVerified        bool      `json:"trackVerified"`
	Verified             bool      `json:"verified"`
	DomainRegisteredDate string    `json:"domainRegisteredDate"`
	Created              int64     `json:"created" doc:"UNIX nanoseconds"`
	DMARCFailure         string    `json:"dmarcFailureReason"`
	DKIMFailure          string    `json:"dkimFailureReason"`
	TrackFailure         string    `json:"trackFailureReason"`
	ReturnPathFailure    string    `json:"returnPathFailureReason"`
	DNSProvider          string    `json:"dnsProvider" doc:"who runs the name servers, empty when unknown"`
}

// DNSRecord is a record to publish.
type DNSRecord struct {
	Host      string `json:"host"`
	Type      string `json:"type"`
	TextValue string `json:"textValue"`
}

var (
	domainViews  = views[waypost.SenderDomain, Domain, DomainV1]{legacy: domainView, v1: domainViewV1}
	domainsViews = views[[]waypost.SenderDomain, []Domain, []DomainV1]{legacy: each(domainView), v1: each(domainViewV1)}
)

// domainView writes the legacy fields. With DirectBounce the MX stands for the
// return path, and its SPF record for SPF; else SPF aligns through the return
// path's host (sendpost.md, d.2).
func domainView(d waypost.SenderDomain) Domain {
	record := func(kind waypost.RecordKind) (DNSRecord, bool, string) {
		r := d.Record(kind)
		if r == nil {
			return DNSRecord{}, false, ""
		}
		return DNSRecord{Host: r.Host, Type: r.Type, TextValue: r.Value}, r.Verified, r.Failure
	}
	out := Domain{ID: d.ID, Name: d.Name, Created: d.Created.UnixNano(), DKIMConfig: d.Selector}
	out.DKIM, out.DKIMVerified, out.DKIMFailure = record(waypost.RecordDKIM)
	out.Track, out.TrackVerified, out.TrackFailure = record(waypost.RecordTrack)
	out.DMARC, out.DMARCVerified, out.DMARCFailure = record(waypost.RecordDMARC)
	out.ReturnPath, out.ReturnPathVerified, out.ReturnPathFailure = record(waypost.RecordReturnPath)
	out.SPF, out.SPFVerified = out.ReturnPath, out.ReturnPathVerified
	if d.DirectBounce {
		var spfFailure string
		out.ReturnPath, _, out.ReturnPathFailure = record(waypost.RecordBounceMX)
		out.SPF, out.SPFVerified, spfFailure = record(waypost.RecordBounceSPF)
		if out.ReturnPathFailure == "" {
			out.ReturnPathFailure = spfFailure
		}
	}
	out.ReturnPathVerified = d.Verified(waypost.RecordReturnPath)
	out.Verified = out.DKIMVerified
	return out
}

func domainViewV1(d waypost.SenderDomain) DomainV1 {
	l := domainView(d)
	return DomainV1{
		ID: l.ID, Name: l.Name, DKIM: l.DKIM, ReturnPath: l.ReturnPath, Track: l.Track, DMARC: l.DMARC,
		DKIMVerified: l.DKIMVerified, DMARCVerified: l.DMARCVerified,
		ReturnPathVerified: l.ReturnPathVerified, TrackVerified: l.TrackVerified, Verified: l.Verified, Created: l.Created,
		DMARCFailure: l.DMARCFailure, DKIMFailure: l.DKIMFailure, TrackFailure: l.TrackFailure, ReturnPathFailure: l.ReturnPathFailure,
		DNSProvider: d.DNSProvider,
	}
}

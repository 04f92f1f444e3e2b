package e2e

import (
	"net/http"
	"testing"
)

// bed is the whole system, running.
type bed struct {
	*server
	ns      nameserver
	sink    *sink
	postfix *postfix
	agent   *agent

	provider tpsp
	keyHost  string // where the DKIM key is published
}

// tpsp is what the creation of a provider answers.
type tpsp struct {
	ID       int64  `json:"id"`
	Secret   string `json:"secret"`
	Pool     string `json:"ippool"`
	EventKey string `json:"eventIngestionApiKey"`
}

// dnsRecord is a record that the API asks for.
type dnsRecord struct{ Host, Type, TextValue string }

// domain is the part of a sender domain that tests read.
type domain struct {
	ID                               int64
	DKIM, ReturnPath, Track, DMARC   dnsRecord
	DKIMVerified, ReturnPathVerified bool
	TrackVerified, DMARCVerified     bool
	Verified                         bool
	DKIMFailureReason                string
	ReturnPathFailureReason          string
	TrackFailureReason               string
	DMARCFailureReason               string
}

// newBed starts everything: afterwards the provider exists, its agent follows
// the log, and the sender domain is verified.
func newBed(t testing.TB, database string, ns nameserver, o postfixOptions) *bed {
	t.Helper()
	b := &bed{ns: ns, sink: newSink(t)}
	o.sinkPort = b.sink.port
	b.postfix = startPostfix(t, o)
	b.server = install(t, database)
	b.serve(t, ns.addr())
	request := m{
		"name": "our-postfix", "type": 3, "smtpHost": "127.0.0.1", "smtpPort": b.postfix.port,
		"smtpSecurity": "none", "maxRatePerHour": 10_000_000,
	}
	if o.tls {
		request["smtpSecurity"], request["tlsSkipVerify"] = "starttls", true
	}
	b.get(t, b.asAccount("POST", "/api/v1/account/tpsp/", request), &b.provider)
	if b.provider.EventKey == "" || b.provider.Pool != "our-postfix" || b.provider.Secret != "" {
		t.Fatalf("provider created: %+v", b.provider)
	}
	b.agent = startAgent(t, b.server, b.provider.EventKey, b.postfix.mailLog)
	b.keyHost = b.addDomain(t, ns)
	return b
}

// addDomain adds the sender domain, publishes the records that it is asked for
// and has them checked. It returns the host of the DKIM key.
func (s *server) addDomain(t testing.TB, ns nameserver) string {
	t.Helper()
	var d domain
	s.get(t, s.asSub("POST", "/api/v1/subaccount/domain", m{"name": senderName}), &d)
	if d.Verified || d.ReturnPathVerified {
		t.Fatalf("a new domain is verified already: %+v", d)
	}
	var records []record
	for _, r := range []dnsRecord{d.DKIM, d.ReturnPath, d.Track, d.DMARC} {
		records = append(records, record{r.Host, r.Type, r.TextValue})
	}
	verify := s.asSub("POST", "/api/v1/subaccount/domain/"+itoa(d.ID)+"/verify", nil)
	var before domain
	s.get(t, verify, &before)
	if before.ReturnPathVerified || before.ReturnPathFailureReason == "" {
		t.Fatalf("the return path verifies without a record, or says no reason: %+v", before)
	}
	ns.publish(t, records)
	eventually(t, "the sender domain's records to verify", waitStart, func() bool {
		a := s.ask(t, verify)
		if a.status != http.StatusOK {
			t.Fatalf("verify: status %d: %s", a.status, a.body)
		}
		s.get(t, s.asSub("GET", "/api/v1/subaccount/domain/"+itoa(d.ID), nil), &d)
		return d.Verified && d.DKIMVerified && d.ReturnPathVerified && d.TrackVerified && d.DMARCVerified
	})
	return d.DKIM.Host
}

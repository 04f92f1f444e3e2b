package api

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// DomainRecords answers with everything that is known of a sender domain's
// records. It is our own: the documented answers have room for six of them.
type DomainRecords struct {
	ID           int64          `json:"id"`
	Name         string         `json:"name"`
	Zone         string         `json:"zone" doc:"where relative hosts begin"`
	DNSProvider  string         `json:"dnsProvider"`
	Verified     bool           `json:"verified" doc:"the DKIM record was found"`
	CanSend      bool           `json:"canSend" doc:"the return path was found, which relaying needs"`
	DirectBounce bool           `json:"directBounce" doc:"MX and SPF of the domain's own in the place of the CNAME"`
	Signing      []string       `json:"signingSelectors" doc:"of the keys that sign now"`
	CheckedAt    *time.Time     `json:"checkedAt"`
	NextCheckAt  time.Time      `json:"nextCheckAt"`
	Records      []DomainRecord `json:"records"`
	Installation []DomainRecord `json:"installation" doc:"records of this installation's bounce host, its operator's to publish"`
	ZoneFile     string         `json:"zoneFile" doc:"the domain's records in the format of RFC 1035"`
}

// DomainRecord is one record with its state.
type DomainRecord struct {
	Kind         string     `json:"kind"`
	Host         string     `json:"host"`
	RelativeHost string     `json:"relativeHost"`
	Type         string     `json:"type"`
	Priority     int        `json:"priority,omitempty" doc:"of an MX record"`
	Expected     string     `json:"expected"`
	Found        string     `json:"found"`
	Verified     bool       `json:"verified"`
	Required     bool       `json:"required" doc:"sending needs it"`
	Failure      string     `json:"failureReason"`
	Failures     int        `json:"failuresInARow" doc:"a verified record is withdrawn after three"`
	AskedSince   *time.Time `json:"askedSince,omitempty"`
	KeepUntil    *time.Time `json:"keepUntil,omitempty" doc:"the record of a replaced key: mail in flight needs it"`
	Todo         string     `json:"todo" doc:"what is left to do, empty when nothing is"`
}

func (a *API) domainRecords(ctx context.Context, in *idPath) (DomainRecords, error) {
	d, err := a.domain(ctx, in.ID)
	if err != nil {
		return DomainRecords{}, err
	}
	return a.recordsView(ctx, &d)
}

func (a *API) recordsView(ctx context.Context, d *waypost.SenderDomain) (DomainRecords, error) {
	out := DomainRecords{
		ID: d.ID, Name: d.Name, Zone: senderdomain.Zone(d.Name), DNSProvider: d.DNSProvider,
		Verified: d.Verified(waypost.RecordDKIM), CanSend: d.Verified(waypost.RecordReturnPath), DirectBounce: d.DirectBounce,
		CheckedAt: known(d.CheckedAt), NextCheckAt: d.NextCheck, Records: []DomainRecord{}, Installation: []DomainRecord{},
	}
	for _, k := range d.SigningKeys() {
		out.Signing = append(out.Signing, k.Selector)
	}
	senders, err := a.senders(ctx, d.Account)
	if err != nil {
		return out, err
	}
	var zone []waypost.DNSRecord
	for _, r := range d.Records {
		v := recordView(&r, out.Zone)
		v.Required, v.Todo = sendingNeeds(r.Kind), todo(d, &r, senders)
		out.Records = append(out.Records, v)
		if !d.DirectBounce || r.Kind != waypost.RecordReturnPath { // a CNAME stands beside nothing
			zone = append(zone, r)
		}
	}
	for _, k := range d.Keys {
		if k.Role != waypost.DKIMRetired {
			continue
		}
		key, err := senderdomain.OpenKey(a.cfg.Box, k.Key)
		if err != nil {
			return out, fmt.Errorf("DKIM key %s of %s: %w", k.Selector, d.Name, err)
		}
		r := senderdomain.KeepRecord(d.Name, k.Selector, key)
		v := recordView(&r, out.Zone)
		v.Kind, v.Verified, v.KeepUntil = "dkimRetired", true, known(k.Until)
		v.Todo = fmt.Sprintf("Keep this record until %s: mail signed with the replaced key is still on its way. Then delete it.", k.Until.UTC().Format(time.DateOnly))
		out.Records, zone = append(out.Records, v), append(zone, r)
	}
	limited, cancel := context.WithTimeout(ctx, installationLimit)
	defer cancel()
	for _, r := range a.cfg.Checker.Installation(limited) {
		v := recordView(&r, senderdomain.Zone(r.Host))
		v.Todo = r.Failure
		out.Installation = append(out.Installation, v)
	}
	out.ZoneFile = senderdomain.ZoneFile(out.Zone, zone)
	return out, nil
}

func recordView(r *waypost.DNSRecord, zone string) DomainRecord {
	v := DomainRecord{
		Kind: string(r.Kind), Host: r.Host, RelativeHost: senderdomain.Relative(r.Host, zone), Type: r.Type, Expected: r.Value,
		Found: r.Found, Verified: r.Verified, Failure: r.Failure, Failures: r.Failures, AskedSince: known(r.Since),
	}
	if r.Type == "MX" {
		v.Priority = senderdomain.MXPriority
	}
	return v
}

// known is a time to show, nil for none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func sendingNeeds(kind waypost.RecordKind) bool {
	switch kind {
	case waypost.RecordDKIM, waypost.RecordReturnPath, waypost.RecordBounceMX, waypost.RecordBounceSPF:
		return true
	case waypost.RecordTrack, waypost.RecordDMARC, waypost.RecordDKIMNext, waypost.RecordEd25519:
	}
	return false
}

// todo says what is left to do for a record, "" when nothing is.
func todo(d *waypost.SenderDomain, r *waypost.DNSRecord, senders []string) string {
	if d.DirectBounce && r.Kind == waypost.RecordReturnPath {
		return "Replace this CNAME by the MX and TXT records of the same name. It counts until both are found."
	}
	if r.Verified && r.Failures == 0 {
		return ""
	}
	if r.Failure != "" && r.Found != "" {
		return "Correct the record: " + r.Failure
	}
	where := "your DNS provider"
	if d.DNSProvider != "" {
		where = d.DNSProvider
	}
	text := fmt.Sprintf("Add this %s record at %s. It may take from minutes to two days until everyone sees it.", r.Type, where)
	switch r.Kind {
	case waypost.RecordDKIMNext:
		text += " Leave the present DKIM record in place: its key signs until this one is found, and then the keys change by themselves."
	case waypost.RecordEd25519:
		text += " The second signature begins once it is found."
	case waypost.RecordBounceSPF:
		text += " It must cover every server that hands your mail to the world, as v=spf1 ip4:192.0.2.1 ~all covers one"
		if len(senders) > 0 {
			text += "; your providers are " + strings.Join(senders, ", ") + ", and their outgoing addresses may be others"
		}
		text += "."
	case waypost.RecordDKIM, waypost.RecordReturnPath, waypost.RecordTrack, waypost.RecordDMARC, waypost.RecordBounceMX:
	}
	return text
}

// installationLimit bounds how long an answer waits for the look-up of the
// installation's own records.
const installationLimit = 5 * time.Second

// maxSenders bounds the providers that are told of: an SPF record may hold ten
// terms that ask DNS (RFC 7208, section 4.6.4).
const maxSenders = 10

// senders lists SPF mechanisms that cover the account's providers, as far as
// their addresses tell: a relay may send from others.
func (a *API) senders(ctx context.Context, account int64) ([]string, error) {
	all, err := a.cfg.Store.Providers(ctx, account, store.Page{Limit: maxSenders})
	if err != nil {
		return nil, fmt.Errorf("list the providers: %w", err)
	}
	var out []string
	for _, p := range all {
		if m := spfMechanism(p.Host); m != "" {
			out = append(out, m)
		}
	}
	return out, nil
}

// spfMechanism is the mechanism of a host, "" for one that no public record
// can cover.
func spfMechanism(host string) string {
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && (addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast()):
		return ""
	case err == nil && addr.Unmap().Is4():
		return "ip4:" + addr.Unmap().String()
	case err == nil:
		return "ip6:" + addr.String()
	case waypost.CheckDomain(host) != nil || !strings.Contains(host, "."):
		return ""
	}
	return "a:" + strings.ToLower(host)
}

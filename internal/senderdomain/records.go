package senderdomain

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
)

// Config says where records must point and how they are looked up.
type Config struct {
	BounceHost string        // host whose MX is the bounce processor (D-29)
	TrackHost  string        // host of the tracking URLs
	SPF        string        // mechanisms that cover the customers' mail servers, such as "ip4:192.0.2.1 include:_spf.example.com"; "" when not configured
	Resolver   string        // "host:port"; "" for the servers of /etc/resolv.conf
	Timeout    time.Duration // for one question to one server; 0 for 3 s
}

// dmarcPolicy is what a domain without a policy is asked to publish.
const dmarcPolicy = "v=DMARC1; p=none;"

// Records lists the records asked of a new domain, none of them verified. name
// is in the form of CheckName.
func Records(name, selector string, key dkim.Key, c Config) []waypost.DNSRecord {
	return []waypost.DNSRecord{
		{Kind: waypost.RecordDKIM, Host: dkimHost(selector, name), Type: "TXT", Value: key.Record()},
		{Kind: waypost.RecordReturnPath, Host: waypost.BounceLabel + "." + name, Type: "CNAME", Value: hostName(c.BounceHost)},
		{Kind: waypost.RecordTrack, Host: "track." + name, Type: "CNAME", Value: hostName(c.TrackHost)},
		{Kind: waypost.RecordDMARC, Host: "_dmarc." + name, Type: "TXT", Value: dmarcPolicy},
	}
}

func dkimHost(selector, name string) string { return selector + "._domainkey." + name }

// KeepRecord is the record of a retired key: to be left in place until the key
// is forgotten.
func KeepRecord(name, selector string, key dkim.Key) waypost.DNSRecord {
	return waypost.DNSRecord{Host: dkimHost(selector, name), Type: "TXT", Value: key.Record()}
}

// hostName is the form in which host names are compared: lower case, without
// the final dot.
func hostName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// maxName is the longest sender domain: the return path below it,
// bounces+{uuid}+{sub-account}@sp-bounce.{domain}, must stay an address.
const maxName = waypost.MaxEmail - len("bounces+") - 36 - len("+2147483647@") - len(waypost.BounceLabel+".")

// ErrName is the cause of every refusal by CheckName.
var ErrName = errors.New("not a sender domain")

// CheckName gives the form in which a sender domain is stored: lower case,
// A-labels (RFC 5890), without the final dot. It refuses URLs, addresses, IP
// addresses, ports and names of a single label, with an error for the person
// who typed it.
func CheckName(name string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%.80q is %w: %s", name, ErrName, why)
	}
	s := strings.TrimSuffix(strings.TrimSpace(name), ".")
	switch _, err := netip.ParseAddr(strings.Trim(s, "[]")); {
	case s == "":
		return bad("it is empty")
	case err == nil:
		return bad("it is an IP address; give a domain such as example.com")
	case strings.Contains(s, "://"), strings.Contains(s, "/"):
		return bad("it is a URL; give the domain alone, such as example.com")
	case strings.Contains(s, "@"):
		return bad("it is an address; give the part behind the @ alone")
	case strings.Contains(s, ":"):
		return bad("it has a port; give the domain alone, such as example.com")
	case strings.Contains(s, "*"):
		return bad("wildcards are not possible; add each domain that you send from")
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err == nil { // what the profile makes of broken text, it may itself refuse
		ascii, err = idna.Lookup.ToASCII(ascii)
	}
	if err != nil || !utf8.ValidString(s) {
		return bad("it has characters that no domain may have")
	}
	ascii = strings.ToLower(ascii)
	if len(ascii) > maxName {
		return bad(fmt.Sprintf("it is longer than %d characters", maxName))
	}
	if err := waypost.CheckDomain(ascii); err != nil {
		return bad("it " + err.Error())
	}
	if last := ascii[strings.LastIndexByte(ascii, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return bad("its last label is a number")
	}
	return ascii, nil
}

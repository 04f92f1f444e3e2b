package senderdomain

import (
	"fmt"
	"strings"

	"github.com/waypost-mail/waypost"
)

// recordTTL is the TTL of zone files, in seconds: short, because records that
// are being set up are corrected.
const recordTTL = 3600

// maxString is the length of one string of a TXT record, in bytes.
const maxString = 255

// Relative is a host as DNS providers ask for it: without the zone it is in,
// "@" for the zone itself.
func Relative(host, zone string) string {
	if host == zone {
		return "@"
	}
	return strings.TrimSuffix(host, "."+zone)
}

// ZoneFile writes records in the master file format (RFC 1035, section 5) for
// a zone, TXT values in strings of at most 255 bytes. Records without a value
// are comments: their owner has to choose one.
func ZoneFile(zone string, records []waypost.DNSRecord) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s.\n$TTL %d\n", zone, recordTTL)
	for _, r := range records {
		host := Relative(r.Host, zone)
		switch {
		case r.Value == "":
			fmt.Fprintf(&b, "; %s IN %s: the value is yours to choose\n", host, r.Type)
		case r.Type == "TXT":
			fmt.Fprintf(&b, "%s IN TXT %s\n", host, quoted(r.Value))
		case r.Type == "MX":
			fmt.Fprintf(&b, "%s IN MX %d %s.\n", host, MXPriority, r.Value)
		default:
			fmt.Fprintf(&b, "%s IN %s %s.\n", host, r.Type, r.Value)
		}
	}
	return b.String()
}

// MXPriority is the preference of the MX records asked for.
const MXPriority = 10

func quoted(value string) string {
	var parts []string
	for len(value) > maxString {
		parts = append(parts, `"`+escape(value[:maxString])+`"`)
		value = value[maxString:]
	}
	return strings.Join(append(parts, `"`+escape(value)+`"`), " ")
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

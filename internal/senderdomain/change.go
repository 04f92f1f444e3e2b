package senderdomain

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
)

// keepRetired is how long a replaced key's record is to stay: longer than any
// server keeps a message in its queue, and than readers' programs verify late.
const keepRetired = 14 * 24 * time.Hour

// maxKeys bounds the further keys of a domain; retired ones go by themselves.
const maxKeys = 8

// What a change of a domain may be refused for.
var (
	ErrRotating    = errors.New("a DKIM rotation is under way")
	ErrNotRotating = errors.New("no DKIM rotation is under way")
	ErrHasEd25519  = errors.New("the domain has an Ed25519 key")
	ErrNoEd25519   = errors.New("the domain has no Ed25519 key")
	ErrManyKeys    = fmt.Errorf("the domain has %d keys beside its first", maxKeys)
)

// Fresh is a new key and its sealed form.
type Fresh struct {
	Key    dkim.Key
	Sealed waypost.Sealed
}

// Rename gives a domain, read from storage, another name, in the form of
// CheckName, and a new key: every record is asked for anew, and keys of a
// rotation are forgotten.
func Rename(d *waypost.SenderDomain, name string, key Fresh, c Config, now time.Time) {
	direct := d.DirectBounce
	d.Name, d.Selector, d.Key, d.Keys = name, waypost.DKIMSelector, key.Sealed, nil
	d.Records = Records(name, d.Selector, key.Key, c)
	d.DirectBounce, d.CheckedAt, d.NextCheck, d.DNSProvider = false, time.Time{}, now, ""
	for i := range d.Records {
		d.Records[i].Since = now
	}
	if direct {
		SetDirectBounce(d, true, c.SPF, c, now)
	}
}

// SetDirectBounce changes between the two variants of the return path (D-29):
// a CNAME to the installation's bounce host, or MX and SPF at the domain's
// own. spf lists the mechanisms of the SPF record, "" for none known.
//
// Nothing that was found is lost by changing over: the CNAME of a working
// return path stays in the list until MX and SPF are both found, and an MX that
// was found counts for the way back.
func SetDirectBounce(d *waypost.SenderDomain, direct bool, spf string, c Config, now time.Time) {
	if d.DirectBounce == direct {
		return
	}
	host := waypost.BounceLabel + "." + d.Name
	mx := waypost.DNSRecord{Kind: waypost.RecordBounceMX, Host: host, Type: "MX", Value: hostName(c.BounceHost), Since: now}
	alias := waypost.DNSRecord{Kind: waypost.RecordReturnPath, Host: host, Type: "CNAME", Value: mx.Value, Since: now}
	if direct {
		if old := d.Record(waypost.RecordReturnPath); old == nil || !old.Verified {
			drop(d, waypost.RecordReturnPath)
		}
		d.Records = append(d.Records, mx,
			waypost.DNSRecord{Kind: waypost.RecordBounceSPF, Host: host, Type: "TXT", Value: spfValue(spf), Since: now})
	} else {
		if old := d.Record(waypost.RecordBounceMX); d.Record(waypost.RecordReturnPath) == nil {
			if old != nil && d.Verified(waypost.RecordReturnPath) {
				alias.Verified, alias.Found = old.Verified, "MX "+old.Found
			}
			d.Records = append(d.Records, alias)
		}
		drop(d, waypost.RecordBounceMX)
		drop(d, waypost.RecordBounceSPF)
	}
	d.DirectBounce, d.NextCheck = direct, now
}

// StartRotation adds the successor of the signing key. The present key signs
// until a check finds the successor's record.
func StartRotation(d *waypost.SenderDomain, key Fresh, now time.Time) error {
	if d.KeyOf(waypost.DKIMNext) != nil {
		return ErrRotating
	}
	return addKey(d, waypost.DKIMNext, waypost.RecordDKIMNext, waypost.DKIMSelector+"-", key, now)
}

// CancelRotation takes the successor back; the present key has signed all
// along.
func CancelRotation(d *waypost.SenderDomain) error {
	if !dropKey(d, waypost.DKIMNext, waypost.RecordDKIMNext) {
		return ErrNotRotating
	}
	return nil
}

// AddEd25519 adds a second key, whose signature stands beside the RSA one once
// its record is found (RFC 8463).
func AddEd25519(d *waypost.SenderDomain, key Fresh, now time.Time) error {
	if d.KeyOf(waypost.DKIMEd25519) != nil {
		return ErrHasEd25519
	}
	return addKey(d, waypost.DKIMEd25519, waypost.RecordEd25519, "sp-ed25519-", key, now)
}

// RemoveEd25519 ends signing with the second key. Its record should stay while
// mail is on its way.
func RemoveEd25519(d *waypost.SenderDomain) error {
	if !dropKey(d, waypost.DKIMEd25519, waypost.RecordEd25519) {
		return ErrNoEd25519
	}
	return nil
}

// addKey makes a selector of the time, which no earlier key of the name had:
// resolvers may remember what stood there.
func addKey(d *waypost.SenderDomain, role waypost.DKIMRole, kind waypost.RecordKind, prefix string, key Fresh, now time.Time) error {
	if len(d.Keys) >= maxKeys {
		return ErrManyKeys
	}
	selector := prefix + now.UTC().Format("20060102150405")
	taken := func(k waypost.DKIMKey) bool { return k.Selector == selector }
	for d.Selector == selector || slices.ContainsFunc(d.Keys, taken) {
		selector += "a"
	}
	d.Keys = append(d.Keys, waypost.DKIMKey{Selector: selector, Role: role, Key: key.Sealed, Created: now})
	d.Records = append(d.Records, waypost.DNSRecord{
		Kind: kind, Host: dkimHost(selector, d.Name), Type: "TXT", Value: key.Key.Record(), Since: now,
	})
	d.NextCheck = now
	return nil
}

func dropKey(d *waypost.SenderDomain, role waypost.DKIMRole, kind waypost.RecordKind) bool {
	n := len(d.Keys)
	d.Keys = slices.DeleteFunc(d.Keys, func(k waypost.DKIMKey) bool { return k.Role == role })
	drop(d, kind)
	return len(d.Keys) < n
}

func drop(d *waypost.SenderDomain, kind waypost.RecordKind) {
	d.Records = slices.DeleteFunc(d.Records, func(r waypost.DNSRecord) bool { return r.Kind == kind })
}

// advance does what a check has made possible: a successor whose record was
// found takes over, a CNAME whose MX and SPF were found is no longer asked for,
// a retired key whose time has come is forgotten.
func advance(d *waypost.SenderDomain, now time.Time) {
	if d.DirectBounce && d.Verified(waypost.RecordBounceMX) && d.Verified(waypost.RecordBounceSPF) {
		drop(d, waypost.RecordReturnPath)
	}
	d.Keys = slices.DeleteFunc(d.Keys, func(k waypost.DKIMKey) bool {
		return k.Role == waypost.DKIMRetired && !k.Until.After(now)
	})
	next, found := d.KeyOf(waypost.DKIMNext), d.Record(waypost.RecordDKIMNext)
	if next == nil || found == nil || !found.Verified {
		return
	}
	old := waypost.DKIMKey{Selector: d.Selector, Role: waypost.DKIMRetired, Key: d.Key, Created: d.Created, Until: now.Add(keepRetired)}
	d.Selector, d.Key = next.Selector, next.Key
	*next = old
	promoted := *found
	promoted.Kind = waypost.RecordDKIM
	drop(d, waypost.RecordDKIMNext)
	if r := d.Record(waypost.RecordDKIM); r != nil {
		*r = promoted
	} else {
		d.Records = append(d.Records, promoted)
	}
}

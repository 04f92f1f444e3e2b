package compose

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"

	"github.com/waypost-mail/waypost"
)

// addresses writes a field of mailboxes (RFC 5322, section 3.4). On error the
// field is incomplete.
func (f *fields) addresses(name string, list ...waypost.Address) error {
	f.name(name)
	for i, a := range list {
		email, raw, err := mailbox(a.Email)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.eightBit = f.eightBit || raw
		comma := ""
		if i+1 < len(list) {
			comma = ","
		}
		if display := strings.TrimSpace(clean(a.Name)); display != "" {
			f.phrase(display)
			f.word("<" + email + ">" + comma)
		} else {
			f.word(email + comma)
		}
	}
	f.end()
	return nil
}

// Mailbox gives the one form of an address that is stored and compared: its
// domain in A-labels (RFC 5890) whatever its local part. The error says why it
// is no address.
func Mailbox(email string) (string, error) {
	if err := waypost.CheckEmail(email); err != nil || ascii(email) {
		return email, err
	}
	at := strings.LastIndexByte(email, '@')
	domain, err := asciiDomain(email, email[at+1:])
	if err != nil {
		return "", err
	}
	email = email[:at+1] + domain
	return email, waypost.CheckEmail(email)
}

func asciiDomain(email, domain string) (string, error) {
	if ascii(domain) {
		return domain, nil
	}
	domain, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", fmt.Errorf("%q is %w: its domain has no ASCII form: %w", email, waypost.ErrEmail, err)
	}
	return domain, nil
}

// mailbox checks an address and gives the form for header and envelope: the
// domain in A-labels when the local part is ASCII, else all of it as it is
// (raw; RFC 6532).
func mailbox(email string) (_ string, raw bool, err error) {
	if err := waypost.CheckEmail(email); err != nil {
		return "", false, err
	}
	at := strings.LastIndexByte(email, '@')
	local, domain := email[:at], email[at+1:]
	switch {
	case ascii(email):
		return email, false, nil
	case !ascii(local):
		return email, true, nil
	}
	domain, err = asciiDomain(email, domain)
	if err != nil {
		return "", false, err
	}
	email = local + "@" + domain
	return email, false, waypost.CheckEmail(email)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// phrase writes a clean display name: as atoms, as a quoted string, or as
// encoded words when it is not plain ASCII, long, or would lose blanks.
func (f *fields) phrase(s string) {
	if len(s) > 64 || !ascii(s) || strings.Contains(s, "=?") || strings.Contains(s, "  ") {
		f.encoded(s)
		return
	}
	if atoms(s) {
		for w := range strings.SplitSeq(s, " ") {
			f.word(w)
		}
		return
	}
	quoted := make([]byte, 0, len(s)+8)
	quoted = append(quoted, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, s[i])
	}
	f.word(string(append(quoted, '"')))
}

// atoms tells whether s is words of atom text (RFC 5322, section 3.2.3).
func atoms(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(" !#$%&'*+-/=?^_`{|}~", c) < 0 {
			return false
		}
	}
	return true
}

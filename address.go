package waypost

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Address is a mailbox with an optional display name, as in a header.
type Address struct {
	Name  string
	Email string
}

// MaxEmail is the longest address that SMTP carries: a path of 256 octets
// less its angle brackets (RFC 5321, section 4.5.3.1.3).
const MaxEmail = 254

// ErrEmail is the cause of every refusal by [CheckEmail].
var ErrEmail = errors.New("not an email address")

// CheckEmail tells whether s is an address that may stand in an envelope
// (RFC 5321, section 4.1.2; UTF-8 per RFC 6531): a local part of 1 to 64
// octets in dot-atom or quoted form, and a domain of labels of 1 to 63 octets.
// CR, LF, NUL, other control characters, spaces and angle brackets never pass, so an accepted address is safe inside an SMTP command.
// Address literals ([192.0.2.1]) are refused: no mailbox of a customer has one.
func CheckEmail(s string) error {
	bad := func(why string) error { return fmt.Errorf("%q is %w: %s", clip(s, 80), ErrEmail, why) }
	if s == "" {
		return fmt.Errorf("an empty string is %w", ErrEmail)
	}
	if len(s) > MaxEmail {
		return bad(fmt.Sprintf("longer than %d octets", MaxEmail))
	}
	if !utf8.ValidString(s) {
		return bad("not valid UTF-8")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return bad("it has no @")
	}
	local, domain := s[:at], s[at+1:]
	if len(local) == 0 || len(local) > 64 {
		return bad("the part before @ must have 1 to 64 octets")
	}
	if !localPart(local) {
		return bad("the part before @ has characters that are not allowed there")
	}
	if err := CheckDomain(domain); err != nil {
		return bad("its domain " + err.Error())
	}
	return nil
}

func localPart(s string) bool {
	if s[0] == '"' {
		return quotedLocal(s)
	}
	if s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || strings.ContainsRune(`()<>[]:;@\,"`, r) {
			return false
		}
	}
	return true
}

// quotedLocal accepts the quoted form without spaces and angle brackets in it:
// legal by the grammar, but never met in practice and a risk in logs and
// commands. The SMTP client refuses them too, so that one that passed here
// would be accepted and could never be sent.
func quotedLocal(s string) bool {
	if len(s) < 3 || s[len(s)-1] != '"' {
		return false
	}
	in := s[1 : len(s)-1]
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == '\\':
			if i++; i == len(in) || in[i] <= ' ' || in[i] > '~' || in[i] == '<' || in[i] == '>' {
				return false
			}
		case c == '"', c <= ' ', c == 0x7f, c == '<', c == '>':
			return false
		}
	}
	return true
}

// CheckDomain tells whether s is a host name of at least two labels, in ASCII
// or UTF-8. The error completes a sentence that begins with the domain.
func CheckDomain(s string) error {
	if len(s) == 0 || len(s) > 253 {
		return errors.New("must have 1 to 253 octets")
	}
	labels := 0
	for label := range strings.SplitSeq(s, ".") {
		labels++
		if len(label) == 0 || len(label) > 63 {
			return errors.New("must have labels of 1 to 63 octets between its dots")
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("has a label that begins or ends with a hyphen")
		}
		for _, r := range label {
			ascii := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
			if !ascii && r < 0xa0 || r == utf8.RuneError {
				return errors.New("has a character that is not allowed in a host name")
			}
		}
	}
	if labels < 2 {
		return errors.New("needs at least two labels, such as example.com")
	}
	return nil
}

// EmailDomain is the part behind the last @, in lower case; empty without one.
func EmailDomain(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(email[at+1:])
}

// FoldEmail is the form in which addresses are compared: all in lower case.
// RFC 5321 lets a host tell apart local parts by case; no mailbox provider
// does, and a suppression that depends on case would mail people who left.
func FoldEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

package compose

import (
	"fmt"
	"net/mail"
	"strings"

	"github.com/waypost-mail/waypost"
)

// Bounds of a customer's header field, in bytes.
const (
	MaxHeaderName  = 76
	MaxHeaderValue = 8 << 10
)

// HeaderError is a header field that a customer may not bring.
type HeaderError struct {
	Name string // as given, cut to 80 bytes
	Why  string // completes the sentence that begins with the name
}

func (e *HeaderError) Error() string { return fmt.Sprintf("header %q %s", e.Name, e.Why) }

// protected are the fields that the product writes, each with what to use
// instead; and those that only mail servers may write.
var protected = map[string]string{
	"from":         "is set from the field from",
	"to":           "is set from the field to",
	"cc":           "is set from the field to[].cc",
	"bcc":          "is never written; use to[].bcc",
	"subject":      "is set from the field subject",
	"date":         "is set when the message is accepted",
	"sender":       "is not allowed; use the field from",
	"mime-version": "is set by the service",

	"return-path":            "is set by the receiving mail server",
	"received":               "is set by mail servers",
	"received-spf":           "is set by mail servers",
	"delivered-to":           "is set by mail servers",
	"authentication-results": "is set by mail servers",
	"dkim-signature":         "is set by the service",
	"domainkey-signature":    "is not allowed",
}

// protectedPrefixes are the same for whole families.
var protectedPrefixes = []struct{ prefix, why string }{
	{"content-", "is set by the service"},
	{"resent-", "is not allowed"},
	{"arc-", "is set by mail servers"},
}

// once are the fields that RFC 5322, section 3.6 allows a single time.
var once = map[string]bool{"message-id": true, "in-reply-to": true, "references": true, "reply-to": true}

// CheckHeaders tells whether the customer's header fields may go into a
// message. The error is a *HeaderError about the first that may not. CR, LF,
// NUL and other control characters but the tab are refused.
func CheckHeaders(headers []waypost.Header) error {
	seen := map[string]bool{}
	for _, h := range headers {
		name := strings.ToLower(h.Name)
		why := checkName(name)
		if why == "" {
			why = checkValue(name, h.Value)
		}
		if why == "" && once[name] && seen[name] {
			why = "may be given once"
		}
		if why != "" {
			return &HeaderError{Name: clip(h.Name, 80), Why: why}
		}
		seen[name] = true
	}
	return nil
}

func checkName(lower string) string {
	if len(lower) == 0 || len(lower) > MaxHeaderName {
		return fmt.Sprintf("must have a name of 1 to %d characters", MaxHeaderName)
	}
	for i := range len(lower) {
		c := lower[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return "has a character in its name that is not allowed there"
		}
	}
	if why, ok := protected[lower]; ok {
		return why
	}
	for _, p := range protectedPrefixes {
		if strings.HasPrefix(lower, p.prefix) {
			return p.why
		}
	}
	if reserved(DefaultHeaderPrefix, lower) {
		return "is set by the service"
	}
	return ""
}

func checkValue(lower, value string) string {
	if len(value) > MaxHeaderValue {
		return fmt.Sprintf("has a value of more than %d bytes", MaxHeaderValue)
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c == '\r' || c == '\n':
			return "has a line end in its value"
		case c == 0:
			return "has a NUL in its value"
		case c < ' ' && c != '\t' || c == 0x7f:
			return "has a control character in its value"
		}
	}
	switch lower {
	case "message-id":
		return checkMessageID(strings.TrimSpace(value))
	case "reply-to":
		list, err := mail.ParseAddressList(value)
		if err != nil {
			return "must be a list of addresses"
		}
		for _, a := range list {
			if _, _, err := mailbox(a.Address); err != nil {
				return "must be a list of addresses: " + err.Error()
			}
		}
	}
	return ""
}

// checkMessageID accepts <left@right> of printable ASCII (RFC 5322, section
// 3.6.4) that fits on one line.
func checkMessageID(id string) string {
	const form = "must have the form <unique@host.example> in ASCII, of at most 250 characters"
	if len(id) < 5 || len(id) > 250 || id[0] != '<' || id[len(id)-1] != '>' {
		return form
	}
	in := id[1 : len(id)-1]
	left, right, ok := strings.Cut(in, "@")
	if !ok || left == "" || right == "" {
		return form
	}
	for i := range len(in) {
		if c := in[i]; c <= ' ' || c > '~' || c == '<' || c == '>' {
			return form
		}
	}
	return ""
}

// clip bounds what an error repeats of its input.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

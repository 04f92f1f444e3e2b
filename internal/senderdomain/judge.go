package senderdomain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waypost-mail/waypost/internal/dkim"
)

// judgeDKIM puts the words of package dkim into a sentence.
func judgeDKIM(found []string, want string) string {
	err := dkim.CheckRecord(found, want)
	if err == nil {
		return ""
	}
	text := err.Error()
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:] + "."
}

// judgeDMARC wants one policy record (RFC 7489, section 6.6.3). Which policy
// is the customer's to decide.
func judgeDMARC(found []string, want string) string {
	var policies []string
	for _, txt := range found {
		if begins(txt, "v", "DMARC1") {
			policies = append(policies, txt)
		}
	}
	switch {
	case len(policies) == 0:
		return fmt.Sprintf("The TXT record found is no DMARC policy. Please add a TXT record such as %s", want)
	case len(policies) > 1:
		return fmt.Sprintf("There are %d DMARC policies, so receivers use none. Please delete all but one.", len(policies))
	}
	switch strings.ToLower(tagsOf(policies[0])["p"]) {
	case "none", "quarantine", "reject":
		return ""
	}
	return "The DMARC policy has no valid p= tag: none, quarantine or reject. Please correct it."
}

// tagsOf reads a tag list, without blanks in the values; of a repeated name
// the first counts.
func tagsOf(txt string) map[string]string {
	tags := map[string]string{}
	for part := range strings.SplitSeq(txt, ";") {
		name, value, ok := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			continue
		}
		if _, twice := tags[name]; !twice {
			tags[name] = strings.Join(strings.Fields(value), "")
		}
	}
	return tags
}

// begins tells whether a tag list begins with a tag.
func begins(txt, name, value string) bool {
	first, _, _ := strings.Cut(txt, ";")
	n, v, _ := strings.Cut(first, "=")
	return strings.TrimSpace(n) == name && strings.TrimSpace(v) == value
}

package senderdomain

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// judgeDKIM compares what is published with the record asked for (RFC 6376,
// section 3.6.1): one TXT record, with the same public key and nothing that
// keeps receivers from using it.
func judgeDKIM(found []string, want string) string {
	const put = " Please publish the record as shown."
	switch {
	case len(found) > 1:
		if slices.ContainsFunc(found, func(txt string) bool { return judgeDKIM([]string{txt}, want) == "" }) {
			return fmt.Sprintf("There are %d TXT records at this name, and receivers may read the wrong one. Please delete all but the expected one.", len(found))
		}
		return fmt.Sprintf("There are %d TXT records at this name, and none is the expected one. Please replace them by the record shown.", len(found))
	case len(found) == 0:
		return "DNS record not found." + put
	case strings.ContainsAny(found[0], `"\`):
		return "The record contains quotation marks or backslashes. Please enter its value without them."
	}
	tags, expected := tagsOf(found[0]), tagsOf(want)
	key, ok := tags["p"]
	switch {
	case !ok:
		return fmt.Sprintf("The TXT record is no DKIM key; it says %q.", clip(cut(found[0], 60))) + put
	case tags["v"] != "" && !begins(found[0], "v", "DKIM1"): // v= may be missing
		return fmt.Sprintf("The record must begin with v=DKIM1; it begins with %q.", clip(cut(found[0], 20))) + put
	case key == "":
		return "The record revokes the key: p= is empty." + put
	case cmp.Or(tags["k"], "rsa") != cmp.Or(expected["k"], "rsa"):
		return fmt.Sprintf("The record holds a key of the type %q, expected %q.", clip(cut(cmp.Or(tags["k"], "rsa"), 20)), cmp.Or(expected["k"], "rsa")) + put
	case tags["h"] != "" && !listed(tags["h"], "sha256"):
		return "The record does not allow sha256 (tag h=)." + put
	case tags["s"] != "" && !listed(tags["s"], "email") && !listed(tags["s"], "*"):
		return "The record is not for email (tag s=)." + put
	case key == expected["p"]:
		return ""
	case strings.HasPrefix(expected["p"], key):
		return fmt.Sprintf("The key is cut off after %d of %d characters. Please enter the whole value; some providers want long values in pieces of at most 255 characters.", len(key), len(expected["p"]))
	}
	if _, err := base64.StdEncoding.DecodeString(key); err != nil {
		return "The key is damaged: p= is not base64." + put
	}
	return "The record holds another key than the expected one." + put
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

func listed(list, word string) bool {
	for part := range strings.SplitSeq(list, ":") {
		if part == word {
			return true
		}
	}
	return false
}

func cut(s string, n int) string { return s[:min(n, len(s))] }

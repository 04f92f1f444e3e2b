package senderdomain

import (
	"fmt"
	"slices"
	"strings"
)

// maxSPFLookups is how many terms that ask DNS a receiver evaluates before it
// gives up (RFC 7208, section 4.6.4).
const maxSPFLookups = 10

// spfExample shows what an SPF record looks like where its value is not known.
const spfExample = "v=spf1 ip4:192.0.2.1 ~all"

// spfValue is the record that covers mechanisms, "" for none: which servers
// send is then for the domain's owner to say.
func spfValue(mechanisms string) string {
	if strings.TrimSpace(mechanisms) == "" {
		return ""
	}
	return strings.Join(append(append([]string{"v=spf1"}, strings.Fields(mechanisms)...), "~all"), " ")
}

// judgeSPF wants one SPF record (RFC 7208, section 4.5) that covers somebody
// and not everybody, within the bound of look-ups. It must hold every one of
// the mechanisms required.
func judgeSPF(found []string, required string) string {
	var policies []string
	for _, txt := range found {
		if version, _, _ := strings.Cut(txt, " "); strings.EqualFold(version, "v=spf1") {
			policies = append(policies, txt)
		}
	}
	switch {
	case len(policies) == 0:
		return "The TXT record found is no SPF policy; it must begin with v=spf1. Please add the TXT record shown."
	case len(policies) > 1:
		return fmt.Sprintf("There are %d SPF policies at this name, which receivers take for an error. Please merge them into one.", len(policies))
	}
	terms := strings.Fields(strings.ToLower(policies[0]))[1:]
	lookups, covers := 0, false
	for _, term := range terms {
		name, _, _ := strings.Cut(strings.TrimLeft(term, "+-~?"), ":")
		name, _, _ = strings.Cut(name, "/")
		switch {
		case name == "all" && strings.Trim(term, "+") == "all":
			return "The SPF policy lets every server in the world send (+all). Please end it with ~all or -all."
		case name == "include", name == "a", name == "mx", name == "ptr", name == "exists", strings.HasPrefix(name, "redirect="):
			lookups++
			covers = true
		case name == "ip4", name == "ip6":
			covers = true
		}
	}
	switch {
	case lookups > maxSPFLookups:
		return fmt.Sprintf("The SPF policy has %d terms that ask DNS; receivers stop after %d and take it for an error. Please put addresses (ip4:, ip6:) in the place of some.", lookups, maxSPFLookups)
	case !covers:
		return "The SPF policy covers no server. Please add the servers that send your mail, such as ip4:192.0.2.1."
	}
	for want := range strings.FieldsSeq(strings.ToLower(required)) {
		if !slices.Contains(terms, want) && !slices.Contains(terms, "+"+want) {
			return fmt.Sprintf("The SPF policy lacks %s, which this installation asks for. Please add it before the final all.", want)
		}
	}
	return ""
}

// CheckSPF refuses a setting that is no list of SPF mechanisms (RFC 7208,
// section 5) able to cover servers.
func CheckSPF(mechanisms string) error {
	for m := range strings.FieldsSeq(mechanisms) {
		name, value, _ := strings.Cut(m, ":")
		named := slices.Contains([]string{"ip4", "ip6", "include", "exists", "a", "mx"}, name) && value != ""
		if bare := name == "a" || name == "mx" || strings.HasPrefix(name, "a/") || strings.HasPrefix(name, "mx/"); !named && !bare {
			return fmt.Errorf("%q is no SPF mechanism such as ip4:192.0.2.1, a:mail.example.com or include:_spf.example.com", m)
		}
		if strings.ContainsFunc(m, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
			return fmt.Errorf("%q has characters that an SPF record cannot hold", m)
		}
	}
	if len(mechanisms) > 400 {
		return fmt.Errorf("%d characters are too many; put the addresses behind one include", len(mechanisms))
	}
	return nil
}

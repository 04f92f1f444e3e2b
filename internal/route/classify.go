package route

import (
	_ "embed"
	"strings"

	"github.com/waypost-mail/waypost"
)

//go:embed domains.txt
var domainsFile string

//go:embed mx.txt
var mxFile string

// Classifier knows how to tell the mailbox category of a recipient: consumer
// providers by domain, business ones by the host of the domain's MX (D-17).
type Classifier struct {
	domains map[string]waypost.Mailbox
	mx      map[string]waypost.Mailbox
}

// NewClassifier reads the embedded tables.
func NewClassifier() *Classifier {
	return &Classifier{domains: table("domains.txt", domainsFile), mx: table("mx.txt", mxFile)}
}

func table(name, text string) map[string]waypost.Mailbox {
	out := map[string]waypost.Mailbox{}
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		box, ok := waypost.ParseMailbox(words[0])
		if !ok {
			panic("BUG: " + name + " names no mailbox category: " + words[0])
		}
		for _, d := range words[1:] {
			if other, twice := out[d]; twice {
				panic("BUG: " + name + " gives " + d + " to " + other.String() + " and " + box.String())
			}
			out[d] = box
		}
	}
	return out
}

// Domain gives the category of a recipient's domain, in lower case, when it is
// a consumer provider's; false when the MX must tell.
func (c *Classifier) Domain(domain string) (waypost.Mailbox, bool) {
	box, ok := c.domains[domain]
	return box, ok
}

// MX gives the category of a domain by its MX hosts, most preferred first;
// default when none of them is known.
func (c *Classifier) MX(hosts []string) waypost.Mailbox {
	for _, host := range hosts {
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		for name != "" {
			if box, ok := c.mx[name]; ok {
				return box
			}
			_, name, _ = strings.Cut(name, ".")
		}
	}
	return waypost.MailboxDefault
}

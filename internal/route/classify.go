package route

import (
	_ "embed"
	"strings"

	"github.com/waypost-mail/waypost"
)

//go:embed domains.txt
var domainsFile string

// Classifier knows the consumer domains of the mailbox categories.
type Classifier struct {
	domains map[string]waypost.Mailbox
}

// NewClassifier reads the embedded table.
func NewClassifier() *Classifier {
	c := &Classifier{domains: map[string]waypost.Mailbox{}}
	for line := range strings.SplitSeq(domainsFile, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		box, ok := waypost.ParseMailbox(words[0])
		if !ok {
			panic("BUG: domains.txt names no mailbox category: " + words[0])
		}
		for _, d := range words[1:] {
			c.domains[d] = box
		}
	}
	return c
}

// Classify gives the mailbox category of a recipient by its domain; default
// when the domain is no consumer provider's (D-17).
func (c *Classifier) Classify(recipient string) waypost.Mailbox {
	if box, ok := c.domains[waypost.EmailDomain(recipient)]; ok {
		return box
	}
	return waypost.MailboxDefault
}

package compose

import (
	"fmt"
	"slices"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
)

// Preview is a message that is looked at and not sent.
type Preview struct {
	Signed
	Subject, HTML, Text string   // as merged, before pre-header and tracking go in
	Missing             []string // variables that neither the recipient nor the call has, sorted
}

// Preview makes the message of one recipient as [Prepared.Message] does, with
// what a person wants to see beside it.
func (p *Prepared) Preview(m *waypost.Message, o Options) (Preview, error) {
	signed, r, err := p.compose(m, &o)
	if err != nil {
		return Preview{}, fmt.Errorf("compose a preview: %w", err)
	}
	missing, err := p.missing(m)
	if err != nil {
		return Preview{}, fmt.Errorf("compose a preview: %w", err)
	}
	return Preview{Signed: signed, Subject: string(r.subject), HTML: string(r.html), Text: string(r.text), Missing: missing}, nil
}

// missing lists the variables that render empty because nobody gave them.
func (p *Prepared) missing(m *waypost.Message) ([]string, error) {
	own, err := merge.Variables(m.Variables)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range []*merge.Template{p.subject, p.preText, p.html, p.text} {
		if t == nil {
			continue
		}
		for _, name := range t.Variables() {
			_, a := own[name]
			_, b := p.variables[name]
			if !a && !b && name != unsubscribeName {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

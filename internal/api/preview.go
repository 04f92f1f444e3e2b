package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
)

// EmailPreview is a message as it would be relayed to one recipient.
type EmailPreview struct {
	Recipient string          `json:"recipient" doc:"envelope recipient"`
	Subject   string          `json:"subject"`
	HTML      string          `json:"html" doc:"as merged, before pre-header, links and open pixel are put in"`
	Text      string          `json:"text"`
	Headers   []PreviewHeader `json:"headers" doc:"in the order of the message, unfolded"`
	Raw       string          `json:"raw" doc:"the message (RFC 5322) with its signature"`
	Signed    bool            `json:"signed" doc:"with DKIM"`
	Size      int             `json:"size" doc:"bytes"`
	Missing   []string        `json:"missingVariables" doc:"merge variables that nobody gave, which are empty"`
	Warnings  []string        `json:"warnings" doc:"what would keep this message from being relayed, or read"`
}

// PreviewHeader is a header field.
type PreviewHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type previewInput struct {
	Index   int `query:"recipient" default:"0" minimum:"0" maximum:"999" doc:"index in to"`
	RawBody []byte
}

func (a *API) previewRoutes() {
	op := operation(http.MethodPost, "/subaccount/email/preview", "Render the message of one recipient; stores and sends nothing", waypost.KeySubAccount)
	op.MaxBodyBytes = maxEmailBody
	op.BodyReadTimeout = emailPatience
	register(a, op, EmailMessage{}, a.preview)
}

func (a *API) preview(ctx context.Context, in *previewInput) (EmailPreview, error) {
	s, err := a.submission(ctx, &in.RawBody, false)
	if err != nil {
		return EmailPreview{}, err
	}
	if in.Index >= len(s.To) {
		return EmailPreview{}, badField("recipient", "to has %d entries; the index counts from 0", len(s.To))
	}
	p, err := a.cfg.Queue.Preview(ctx, s, in.Index)
	if err != nil {
		return EmailPreview{}, err
	}
	raw := p.Bytes()
	out := EmailPreview{
		Recipient: p.Envelope().Recipient, Subject: p.Subject, HTML: p.HTML, Text: p.Text, Headers: headerFields(raw),
		Raw: string(raw), Signed: p.DKIM, Size: len(raw), Missing: append([]string{}, p.Missing...),
	}
	out.Warnings = previewWarnings(&p, s)
	return out, nil
}

func previewWarnings(p *queue.Preview, s *queue.Submission) []string {
	out := []string{}
	if p.Drop != "" {
		out = append(out, fmt.Sprintf("the message would be dropped (%s): %s", p.Drop, p.Text))
	}
	if !p.DKIM {
		out = append(out, "the message would carry no DKIM signature: the domain of from is not a verified sender domain")
	}
	if p.EightBit() {
		out = append(out, "a mailbox is not ASCII: the message needs a mail server with SMTPUTF8 (RFC 6531)")
	}
	if strings.TrimSpace(p.Subject) == "" {
		out = append(out, "the subject is empty")
	}
	if s.Content.HTML != "" && s.Content.Text == "" {
		out = append(out, "there is no text part; some filters and readers want one")
	}
	if n := len(p.HTML); n > clippedAt {
		out = append(out, fmt.Sprintf("the HTML has %d bytes; Gmail shows the first %d and hides the rest", n, clippedAt))
	}
	return out
}

// clippedAt is where Gmail cuts an HTML part.
const clippedAt = 102 << 10

// headerFields lists the header of a message that we made.
func headerFields(raw []byte) []PreviewHeader {
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	head = strings.ReplaceAll(strings.ReplaceAll(head, "\r\n ", " "), "\r\n\t", "\t")
	var out []PreviewHeader
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		out = append(out, PreviewHeader{name, strings.TrimSpace(value)})
	}
	return out
}

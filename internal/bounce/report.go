package bounce

import (
	"bytes"
	"io"
	"strings"

	"github.com/waypost-mail/waypost"
)

// MaxReport is how much of a report is read at most, in bytes.
const MaxReport = 1 << 20

// maxNotice bounds the text for people, in bytes.
const maxNotice = 64 << 10

// Kind says what sort of mail came to a return path.
type Kind string

// The kinds. Only a bounce may count against a recipient.
const (
	KindBounce    Kind = "bounce"    // delivery failed for good
	KindDelayed   Kind = "delayed"   // a warning; delivery is still being tried
	KindDelivered Kind = "delivered" // delivered, relayed or expanded
	KindVacation  Kind = "vacation"  // an automatic answer of a person
	KindChallenge Kind = "challenge" // asks the sender to confirm
	KindFeedback  Kind = "feedback"  // a complaint or opt-out (RFC 5965)
	KindOther     Kind = "other"
)

// Report is what a mail to a return path says.
type Report struct {
	Kind       Kind
	Recipients []Recipient // at most 64; none when the report names nobody

	ReturnPath   waypost.ReturnPath // ours, found in the report's own To or Delivered-To; zero without
	EnvelopeID   string             // Original-Envelope-Id (RFC 3461): our UUID when the relay offered DSN
	QueueID      waypost.QueueID    // X-Postfix-Queue-ID of the reporting server
	Message      waypost.UUID       // of the returned message: X-Sendpost-Message-UUID, else the UUID in its return path or its Message-ID
	MessageID    waypost.MessageID  // Message-ID of the returned message
	FeedbackType string             // abuse, fraud, opt-out, ... in lower case; feedback only
}

// Recipient is what a report says of one address.
type Recipient struct {
	Address string // as the report gives it, without brackets
	Action  string // failed, delayed, delivered, relayed, expanded; "failed" or "delayed" when the report has no such field
	Reply   Reply  // what [Judge.Judge] decides on
}

// Parse reads a mail that came to a return path: delivery status notifications
// (RFC 3464, also nested, mistyped or encoded), free-form bounces, feedback
// reports and automatic answers. It reads at most limit bytes (0: [MaxReport])
// and never fails: a mail it does not understand, or whose reading broke off,
// gives what could be seen, at worst [KindOther].
//
// A delivery status decides before every other sign, because Postfix marks its
// notifications as auto-replied (D-45).
func Parse(r io.Reader, limit int64) Report {
	if limit <= 0 || limit > MaxReport {
		limit = MaxReport
	}
	data, _ := io.ReadAll(io.LimitReader(r, limit))
	return parse(data, 0)
}

func parse(data []byte, depth int) Report {
	if rest, ok := bytes.CutPrefix(data, []byte("From ")); ok { // mbox
		_, data, _ = bytes.Cut(rest, []byte("\n"))
	}
	h, body := splitHeader(data)
	p := parser{header: h, parts: leaves(nil, h, body, 0)}
	p.sort()
	rep := p.report()
	if inner, ok := p.nested(depth); ok {
		rep = inner
	}
	for _, name := range []string{"to", "delivered-to", "x-original-to", "envelope-to"} {
		if path, ok := waypost.FindReturnPath(h[name]); ok {
			rep.ReturnPath = path
			break
		}
	}
	return rep
}

// nested reads a report that another mail wraps: one with a delivery status,
// when the wrapper has none.
func (p *parser) nested(depth int) (Report, bool) {
	if depth >= 2 || len(p.status) > 0 || p.feedback != nil {
		return Report{}, false
	}
	for _, part := range p.parts {
		if part.media == "message/rfc822" && (isStatus(part.body) || bytes.Contains(part.body, []byte("message/feedback-report"))) {
			if inner := parse(part.body, depth+1); inner.Kind != KindOther {
				return inner, true
			}
		}
	}
	return Report{}, false
}

// parser holds the parts of a mail by what they are for.
type parser struct {
	header   header
	parts    []part
	status   []block // of delivery-status parts
	feedback header  // of a feedback-report part
	mdn      bool
	text     string // the text for people
	notice   string // its part up to the returned message
	returned header // header of the returned message
}

// sort finds out what each part is.
func (p *parser) sort() {
	var html strings.Builder
	for _, part := range p.parts {
		switch {
		case part.media == "message/feedback-report":
			p.feedback, _ = splitHeader(bytes.TrimLeft(part.body, "\r\n"))
		case part.media == "message/disposition-notification":
			p.mdn = true
		case part.media == "message/delivery-status", part.media == "message/global-delivery-status",
			part.media != "message/rfc822" && isStatus(part.body):
			p.status = append(p.status, statusBlocks(part.body)...)
			if strings.HasPrefix(part.media, "text/plain") {
				p.notice += string(part.body)
			}
		case part.media == "message/rfc822", part.media == "text/rfc822-headers",
			part.media == "message/rfc822-headers", part.media == "message/global", part.media == "message/global-headers":
			if p.returned == nil {
				p.returned, _ = splitHeader(bytes.TrimLeft(part.body, "\r\n"))
			}
		case part.media == "text/html":
			html.WriteString(stripTags(string(part.body)))
		case strings.HasPrefix(part.media, "text/"):
			p.notice += string(part.body) + "\n"
		}
	}
	if strings.TrimSpace(p.notice) == "" {
		p.notice = html.String()
	}
	p.text = strings.ReplaceAll(clip(p.notice, maxNotice), "\r", "")
	var rest string
	if p.notice, rest = cutReturned(p.text); p.returned == nil && rest != "" {
		p.returned, _ = splitHeader([]byte(strings.TrimLeft(rest, "\n \t")))
	}
}

func (p *parser) report() Report {
	rep := Report{Kind: KindOther}
	switch {
	case p.feedback != nil:
		rep.Kind = KindFeedback
		rep.FeedbackType = strings.ToLower(p.feedback["feedback-type"])
		if a := address(p.feedback["original-rcpt-to"]); a != "" {
			rep.Recipients = []Recipient{{Address: a}}
		}
	case strings.Contains(strings.ToLower(p.header["from"]), "boxbe"): // its challenges carry a delivery status
		rep.Kind = KindChallenge
	case len(p.status) > 0 && p.fromStatus(&rep):
	case p.mdn && !strings.Contains(p.notice, "automatically rejected"): // Dovecot's and Sieve's refusals are bounces
	case p.complaint():
		rep.Kind = KindFeedback
	default:
		rep.Kind = p.kindOfText()
		if rep.Kind == KindBounce || rep.Kind == KindDelayed {
			rep.Recipients = p.recipientsOfText(rep.Kind)
		}
	}
	p.identify(&rep)
	return rep
}

// complaint recognises complaints and opt-outs that are no feedback report:
// Hotmail's junk mail reports, Amazon SES's notifications, Apple's opt-outs.
func (p *parser) complaint() bool {
	subject := strings.ToLower(p.header["subject"])
	return strings.HasPrefix(subject, "complaint about message") || strings.TrimSpace(subject) == "unsubscribe" ||
		strings.Contains(p.text, `"notificationType":"Complaint"`)
}

// identify finds our own marks in the returned message.
func (p *parser) identify(rep *Report) {
	h := p.returned
	rep.MessageID = waypost.MessageID(clip(h["message-id"], 998))
	if u, err := waypost.ParseUUID(h["x-sendpost-message-uuid"]); err == nil {
		rep.Message = u
	} else if path, ok := waypost.FindReturnPath(h["return-path"]); ok {
		rep.Message = path.UUID
	} else if id, _, ok := strings.Cut(strings.TrimPrefix(h["message-id"], "<"), "@"); ok {
		if u, err := waypost.ParseUUID(id); err == nil { // our own form of Message-ID
			rep.Message = u
		}
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// stripTags makes plain text of HTML, roughly.
func stripTags(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		text, rest, ok := strings.Cut(s, "<")
		out.WriteString(text)
		if !ok {
			break
		}
		tag, after, _ := strings.Cut(rest, ">")
		switch name, _, _ := strings.Cut(strings.ToLower(tag), " "); name {
		case "p", "/p", "br", "br/", "div", "/div", "tr", "/tr", "td", "li":
			out.WriteByte('\n')
		case "style", "script":
			i := strings.Index(after, "</")
			if i < 0 {
				i = len(after)
			}
			after = after[i:]
		}
		s = after
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&nbsp;", " ", "&quot;", `"`, "&#39;", "'", "&amp;", "&").Replace(out.String())
}

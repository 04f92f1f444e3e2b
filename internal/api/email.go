package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/queue"
)

// The limits of one call (D-4).
const (
	maxTo          = 1000
	maxCopies      = 50
	maxAttachments = 25 << 20 // decoded bytes of all
	maxSubject     = 998      // characters
	maxPreText     = 200
	maxName        = 256
	maxFilename    = 255
	maxHeaders     = 100
	maxGroups      = 50
	maxText        = 5 << 20 // bytes of one body part
	maxEmailBody   = 64 << 20
)

// EmailMessage is the body of a send call (sendpost.md, a.3,
// EmailMessageObject).
type EmailMessage struct {
	From        EmailAddress      `json:"from"`
	ReplyTo     *EmailAddress     `json:"replyTo,omitempty"`
	To          []EmailRecipient  `json:"to"`
	Subject     string            `json:"subject,omitempty"`
	PreText     string            `json:"preText,omitempty"`
	HTMLBody    string            `json:"htmlBody,omitempty"`
	TextBody    string            `json:"textBody,omitempty"`
	AMPBody     string            `json:"ampBody,omitempty"`
	Template    string            `json:"template,omitempty"`
	IPPool      string            `json:"ippool,omitempty"`
	Headers     headerList        `json:"headers,omitempty"`
	TrackOpens  *bool             `json:"trackOpens,omitempty"`
	TrackClicks *bool             `json:"trackClicks,omitempty"`
	Groups      []string          `json:"groups,omitempty"`
	Attachments []EmailAttachment `json:"attachments,omitempty"`
	Webhook     string            `json:"webhookEndpoint,omitempty"`
}

// EmailAddress is a mailbox with a display name.
type EmailAddress struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// EmailRecipient is one entry of "to".
type EmailRecipient struct {
	Email        string          `json:"email"`
	Name         string          `json:"name,omitempty"`
	CustomFields json.RawMessage `json:"customFields,omitempty"`
	Cc           []EmailCopy     `json:"cc,omitempty"`
	Bcc          []EmailCopy     `json:"bcc,omitempty"`
}

// EmailCopy is a cc or bcc address.
type EmailCopy struct {
	Email        string          `json:"email"`
	Name         string          `json:"name,omitempty"`
	CustomFields json.RawMessage `json:"customFields,omitempty"`
}

// EmailAttachment is a file. Content is base64.
type EmailAttachment struct {
	Content     string `json:"content"`
	Filename    string `json:"filename"`
	ContentType string `json:"contentType,omitempty"`
	ContentID   string `json:"contentId,omitempty"`
}

// headerList keeps the order in which the request gave its headers.
type headerList []waypost.Header

// UnmarshalJSON reads an object of strings in its order.
func (h *headerList) UnmarshalJSON(b []byte) error {
	var values map[string]string
	if err := json.Unmarshal(b, &values); err != nil {
		return badField("headers", "must be an object whose values are strings")
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	if t, err := d.Token(); err != nil || t == nil {
		return nil //nolint:nilerr // null: no headers
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return badField("headers", "not an object")
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return badField("headers", "must be an object whose values are strings")
		}
		*h = append(*h, waypost.Header{Name: name.(string), Value: value})
	}
	return nil
}

// Schema is an object of strings, whatever the type is made of.
func (headerList) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeString}}
}

// EmailResponse answers for one entry of "to" (sendpost.md, a.3).
type EmailResponse struct {
	To          string `json:"to"`
	SubmittedAt int64  `json:"submittedAt" doc:"UNIX nanoseconds"`
	MessageID   string `json:"messageId"`
	ErrorCode   int    `json:"errorCode"`
	Message     string `json:"message"`
}

// The error codes of an EmailResponse.
const (
	codeOK               = 0
	codeInvalidRecipient = 1
	codeSuppressed       = 2
)

func (a *API) emailRoutes() {
	op := operation(http.MethodPost, "/subaccount/email", "Send a message to 1 to 1,000 recipients", waypost.KeySubAccount)
	op.MaxBodyBytes = maxEmailBody
	op.BodyReadTimeout = 5 * time.Minute
	register(a, op, EmailMessage{}, a.send)
}

// send accepts one call: parse, check, one message per recipient, durable when
// it answers.
func (a *API) send(ctx context.Context, in *raw) ([]EmailResponse, error) {
	key := caller(ctx)
	message, err := decode[EmailMessage](in.RawBody)
	if err != nil {
		return nil, err
	}
	in.RawBody = nil // attachments need not be in memory twice
	submission, err := message.submission()
	if err != nil {
		return nil, err
	}
	submission.SubAccount, err = a.cfg.Store.SubAccount(ctx, key.Account, key.SubAccount)
	if err != nil {
		return nil, fmt.Errorf("read sub-account %d: %w", key.SubAccount, err)
	}
	if submission.SubAccount.Blocked {
		return nil, denied("this sub-account is blocked and accepts no mail; unblock it in the account")
	}
	accepted, err := a.cfg.Queue.Enqueue(ctx, submission)
	if err != nil {
		return nil, err
	}
	out := make([]EmailResponse, len(accepted))
	for i, m := range accepted {
		out[i] = emailResponse(&m)
	}
	return out, nil
}

func emailResponse(m *queue.Accepted) EmailResponse {
	r := EmailResponse{To: m.To, SubmittedAt: m.At.UnixNano(), MessageID: m.ID.String(), Message: "Email submitted successfully"}
	codes := map[waypost.Reason]int{waypost.DropInvalid: codeInvalidRecipient, waypost.DropSuppressed: codeSuppressed}
	if code := codes[m.Drop]; code != codeOK { // a missing return path is no send error (D-5)
		r.ErrorCode, r.Message = code, m.Message
	}
	return r
}

// submission checks the request and puts it into the words of the queue.
func (m *EmailMessage) submission() (*queue.Submission, error) {
	var bad []ErrorDetail
	add := func(field, format string, args ...any) {
		if len(bad) < 20 {
			bad = append(bad, ErrorDetail{field, fmt.Sprintf(format, args...)})
		}
	}
	if err := waypost.CheckEmail(m.From.Email); err != nil {
		add("from.email", "%v", err)
	}
	checkName(add, "from.name", m.From.Name)
	s := &queue.Submission{Pool: m.IPPool, Content: waypost.Content{
		From: address(m.From.Name, m.From.Email), Subject: m.Subject, PreText: m.PreText,
		HTML: m.HTMLBody, Text: m.TextBody, AMP: m.AMPBody, Headers: m.Headers, Groups: m.Groups,
		TrackOpens: m.TrackOpens == nil || *m.TrackOpens, TrackClicks: m.TrackClicks == nil || *m.TrackClicks,
		Webhook: m.Webhook,
	}}
	if m.ReplyTo != nil && m.ReplyTo.Email != "" {
		if err := waypost.CheckEmail(m.ReplyTo.Email); err != nil {
			add("replyTo.email", "%v", err)
		}
		checkName(add, "replyTo.name", m.ReplyTo.Name)
		s.Content.ReplyTo = address(m.ReplyTo.Name, m.ReplyTo.Email)
	}
	m.checkParts(add)
	s.To = m.recipients(add)
	s.Content.Attachments = m.attachments(add)
	if len(bad) > 0 {
		return nil, invalid(bad...)
	}
	return s, nil
}

type adder func(field, format string, args ...any)

func (m *EmailMessage) checkParts(add adder) {
	if n := utf8.RuneCountInString(m.Subject); n > maxSubject {
		add("subject", "%d characters; at most %d", n, maxSubject)
	}
	if n := utf8.RuneCountInString(m.PreText); n > maxPreText {
		add("preText", "%d characters; at most %d", n, maxPreText)
	}
	if m.Template != "" {
		add("template", "stored templates are not part of this release; send htmlBody or textBody")
	} else if m.HTMLBody == "" && m.TextBody == "" {
		add("htmlBody", "the message has no content: give htmlBody, textBody or both")
	}
	for field, part := range map[string]string{"htmlBody": m.HTMLBody, "textBody": m.TextBody, "ampBody": m.AMPBody} {
		if len(part) > maxText {
			add(field, "%d bytes; at most %d", len(part), maxText)
		}
	}
	if len(m.Headers) > maxHeaders {
		add("headers", "%d of them; at most %d", len(m.Headers), maxHeaders)
	} else if err := compose.CheckHeaders(m.Headers); err != nil {
		add("headers", "%v", err)
	}
	if len(m.Groups) > maxGroups {
		add("groups", "%d of them; at most %d", len(m.Groups), maxGroups)
	}
	for i, g := range m.Groups {
		if len(g) > 255 {
			add(fmt.Sprintf("groups[%d]", i), "longer than 255 bytes")
		}
	}
	if m.Webhook != "" {
		if u, err := url.Parse(m.Webhook); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			add("webhookEndpoint", "must be an http or https URL")
		}
	}
}

func (m *EmailMessage) recipients(add adder) []queue.Recipient {
	if len(m.To) == 0 {
		add("to", "the message has no recipient; give 1 to %d", maxTo)
	}
	if len(m.To) > maxTo {
		add("to", "%d recipients; at most %d in one call", len(m.To), maxTo)
		return nil
	}
	out := make([]queue.Recipient, len(m.To))
	for i, to := range m.To {
		at := fmt.Sprintf("to[%d]", i)
		if to.Email == "" {
			add(at+".email", "is missing")
		}
		checkName(add, at+".name", to.Name)
		out[i] = queue.Recipient{
			Address: address(to.Name, to.Email), Variables: customFields(add, at, to.CustomFields),
			Cc: copies(add, at+".cc", to.Cc), Bcc: copies(add, at+".bcc", to.Bcc),
		}
	}
	return out
}

func copies(add adder, at string, list []EmailCopy) []queue.Copy {
	if len(list) > maxCopies {
		add(at, "%d addresses; at most %d", len(list), maxCopies)
		return nil
	}
	var out []queue.Copy
	for i, c := range list {
		field := fmt.Sprintf("%s[%d]", at, i)
		if c.Email == "" {
			add(field+".email", "is missing")
		}
		checkName(add, field+".name", c.Name)
		out = append(out, queue.Copy{Address: address(c.Name, c.Email), Variables: customFields(add, field, c.CustomFields)})
	}
	return out
}

// customFields keeps the object as it came; it is read when the message is
// rendered.
func customFields(add adder, at string, given json.RawMessage) []byte {
	text := strings.TrimSpace(string(given))
	switch {
	case text == "" || text == "null" || text == "{}":
		return nil
	case text[0] != '{':
		add(at+".customFields", "must be an object")
		return nil
	case len(text) > 64<<10:
		add(at+".customFields", "%d bytes; at most %d", len(text), 64<<10)
		return nil
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(given, &names); err != nil {
		add(at+".customFields", "must be an object")
		return nil
	}
	if _, reserved := names["unsubscribe"]; reserved {
		add(at+".customFields.unsubscribe", "the name is reserved for the unsubscribe link")
	}
	return []byte(text)
}

func (m *EmailMessage) attachments(add adder) []waypost.Attachment {
	total := 0
	var out []waypost.Attachment
	for i := range m.Attachments {
		a := &m.Attachments[i]
		at := fmt.Sprintf("attachments[%d]", i)
		if a.Filename == "" || len(a.Filename) > maxFilename || strings.ContainsAny(a.Filename, "\r\n\x00/\\") {
			add(at+".filename", "must be a name of 1 to %d bytes without a path or line break", maxFilename)
		}
		if strings.ContainsAny(a.ContentType, "\r\n\x00") || strings.ContainsAny(a.ContentID, "\r\n\x00<> ") {
			add(at, "contentType or contentId has a character that cannot stand in a header")
		}
		data, err := base64.StdEncoding.DecodeString(a.Content)
		if err != nil {
			add(at+".content", "is not base64")
		}
		a.Content = "" // not in memory twice
		total += len(data)
		out = append(out, waypost.Attachment{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID, Data: data,
		})
	}
	if total > maxAttachments {
		add("attachments", "%d bytes decoded; at most %d in all", total, maxAttachments)
	}
	return out
}

func checkName(add adder, field, name string) {
	if utf8.RuneCountInString(name) > maxName {
		add(field, "longer than %d characters", maxName)
	}
	if strings.ContainsAny(name, "\r\n\x00") {
		add(field, "has a line break or NUL")
	}
}

func address(name, email string) waypost.Address {
	return waypost.Address{Name: strings.TrimSpace(name), Email: strings.TrimSpace(email)}
}

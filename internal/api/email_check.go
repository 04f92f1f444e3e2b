package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/queue"
)

// submission checks the request and puts it into the words of the queue.
func (m *EmailMessage) submission() (*queue.Submission, error) {
	var bad []ErrorDetail
	add := func(field, format string, args ...any) {
		if len(bad) < 20 {
			bad = append(bad, ErrorDetail{field, fmt.Sprintf(format, args...)})
		}
	}
	if _, err := compose.Mailbox(m.From.Email); err != nil {
		add("from.email", "%v", err)
	}
	checkName(add, "from.name", m.From.Name)
	s := &queue.Submission{Pool: m.IPPool, Content: waypost.Content{
		From: address(m.From.Name, m.From.Email), Subject: m.Subject, PreText: m.PreText,
		HTML: m.HTMLBody, Text: m.TextBody, AMP: m.AMPBody, Headers: m.Headers, Groups: m.Groups,
		TrackOpens: m.TrackOpens == nil || *m.TrackOpens, TrackClicks: m.TrackClicks == nil || *m.TrackClicks,
		Webhook: m.Webhook, Variables: m.variables(add),
	}}
	if m.ReplyTo != nil && *m.ReplyTo != (EmailAddress{}) { // older clients send an empty one
		if _, err := compose.Mailbox(m.ReplyTo.Email); err != nil {
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
	if m.HTMLBody == "" && m.TextBody == "" {
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
		if g == "" || len(g) > 255 || strings.ContainsFunc(g, isControl) {
			add(fmt.Sprintf("groups[%d]", i), "must have 1 to 255 bytes without control characters")
		}
	}
	if m.Webhook != "" {
		if u, err := url.Parse(m.Webhook); err != nil || len(m.Webhook) > 2048 || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			add("webhookEndpoint", "must be an http or https URL of at most 2,048 bytes, without a user name or password")
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

// maxVariables bounds templateVariables and dynamicData, each, in bytes.
const maxVariables = 1 << 20

// variables are those of the call: templateVariables before dynamicData.
func (m *EmailMessage) variables(add adder) map[string]any {
	var out map[string]any
	for _, given := range []struct {
		field string
		text  json.RawMessage
	}{{"dynamicData", m.Dynamic}, {"templateVariables", m.Variables}} {
		text := bytes.TrimSpace(given.text)
		if len(text) == 0 || string(text) == "null" {
			continue
		}
		if len(text) > maxVariables { // before it is read, which takes many times as much
			add(given.field, "%d bytes; at most %d", len(text), maxVariables)
			continue
		}
		var vars map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // a price of 1.50 is printed as it came
		switch err := d.Decode(&vars); {
		case err != nil:
			add(given.field, "must be an object")
		case vars["unsubscribe"] != nil:
			add(given.field+".unsubscribe", "the name is reserved for the unsubscribe link")
		case out == nil:
			out = vars
		default:
			maps.Copy(out, vars)
		}
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
	if len(m.Attachments) > maxFiles {
		add("attachments", "%d files; at most %d", len(m.Attachments), maxFiles)
		return nil
	}
	var out []waypost.Attachment
	for i := range m.Attachments {
		a := &m.Attachments[i]
		at := fmt.Sprintf("attachments[%d]", i)
		if a.Filename == "" || utf8.RuneCountInString(a.Filename) > maxFilename || strings.ContainsAny(a.Filename, "\r\n\x00/\\") {
			add(at+".filename", "must be a name of 1 to %d characters without a path or line break", maxFilename)
		}
		if strings.ContainsFunc(a.ContentType, isControl) || len(a.ContentType) > 255 {
			add(at+".contentType", "must be a media type such as application/pdf")
		}
		if strings.ContainsFunc(a.ContentID, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) || len(a.ContentID) > 250 {
			add(at+".contentId", "must be printable ASCII without blanks and angle brackets, of at most 250 characters")
		}
		switch {
		case !a.Content.given:
			add(at+".content", "is missing: give the file as base64")
		case a.Content.bad:
			add(at+".content", "is not base64 (RFC 4648, section 4)")
		}
		data := a.Content.data
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

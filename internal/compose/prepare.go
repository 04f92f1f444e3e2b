package compose

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
)

// Prepared is a content with its templates compiled and its unchanging parts
// encoded. It never changes and may be used by several goroutines.
type Prepared struct {
	subject, preText, html, text *merge.Template // preText, html, text: nil without
	static                       bool            // no template has a variable
	variables                    map[string]any  // of the call

	from, replyTo []byte // whole fields with CRLF; replyTo may be empty
	own           []ownHeader
	messageID     string // the customer's, "" without
	eightBit      bool   // From or Reply-To holds raw UTF-8

	amp    []byte   // encoded part, nil without
	inline [][]byte // encoded parts that the HTML shows
	files  [][]byte // encoded attachments

	tracking tracking

	size, shared, templates int // bytes held, those of them in pieces of messages; bytes of template source
}

// ownHeader is a field of the customer's as it is written.
type ownHeader struct {
	name  string
	field []byte // with CRLF
}

// TemplateError is a template that does not parse.
type TemplateError struct {
	Part         string // "subject", "preText", "htmlBody" or "textBody"
	Line, Column int    // from 1; Column in characters
	Msg          string // quotes a few characters of the template at most
}

func (e *TemplateError) Error() string {
	return fmt.Sprintf("%s: line %d, column %d: %s", e.Part, e.Line, e.Column, e.Msg)
}

// Prepare compiles a content. The error is a *TemplateError, a *HeaderError,
// or one that names the address that is none. Of c the Variables are kept,
// which must not change any more.
func Prepare(c *waypost.Content) (*Prepared, error) { return prepare(c, merge.Parse, nil) }

// prepare takes the bytes of the attachments from files, one after the other,
// unless it is nil.
func prepare(c *waypost.Content, parse func(string) (*merge.Template, error), files func() ([]byte, error)) (*Prepared, error) {
	if err := CheckHeaders(c.Headers); err != nil {
		return nil, err
	}
	p := &Prepared{variables: c.Variables}
	if err := p.parse(c, parse); err != nil {
		return nil, err
	}
	if err := p.senders(c); err != nil {
		return nil, err
	}
	if err := p.ownHeaders(c); err != nil {
		return nil, err
	}
	if c.AMP != "" {
		p.amp = appendText(nil, "text/x-amp-html", []byte(c.AMP))
	}
	for i := range c.Attachments {
		a := c.Attachments[i]
		var err error
		if files != nil {
			if a.Data, err = files(); err != nil {
				return nil, fmt.Errorf("attachment %d: %w", i+1, err)
			}
		}
		part, err := encodeAttachment(&a, c.HTML != "")
		if err != nil {
			return nil, fmt.Errorf("attachment %d: %w", i+1, err)
		}
		if a.ContentID != "" && c.HTML != "" {
			p.inline = append(p.inline, part)
		} else {
			p.files = append(p.files, part)
		}
	}
	p.measure(c)
	p.prepareTracking(c)
	return p, nil
}

func (p *Prepared) parse(c *waypost.Content, parse func(string) (*merge.Template, error)) error {
	p.static = true
	for _, t := range []struct {
		part, src string
		to        **merge.Template
	}{
		{"subject", c.Subject, &p.subject},
		{"preText", c.PreText, &p.preText},
		{"htmlBody", c.HTML, &p.html},
		{"textBody", c.Text, &p.text},
	} {
		if t.src == "" && t.part != "subject" {
			continue
		}
		parsed, err := parse(t.src)
		if err != nil {
			return templateError(t.part, err)
		}
		*t.to = parsed
		p.static = p.static && parsed.Static()
	}
	return nil
}

// CheckTemplate tells whether a stored part of a content parses. The error is a
// *TemplateError that names the part.
func CheckTemplate(part, src string) error {
	if _, err := merge.Parse(src); err != nil {
		return templateError(part, err)
	}
	return nil
}

func templateError(part string, err error) error {
	if at, ok := errors.AsType[*merge.Error](err); ok {
		return &TemplateError{Part: part, Line: at.Line, Column: at.Column, Msg: at.Msg}
	}
	return fmt.Errorf("parse %s: %w", part, err)
}

// senders writes From and Reply-To.
func (p *Prepared) senders(c *waypost.Content) error {
	var f fields
	if err := f.addresses("From", c.From); err != nil {
		return err
	}
	p.from = f.buf
	replyTo := []waypost.Address{c.ReplyTo}
	if c.ReplyTo.Email == "" {
		replyTo = nil
		for _, h := range c.Headers {
			if strings.EqualFold(h.Name, "Reply-To") {
				list, _ := mail.ParseAddressList(h.Value) // CheckHeaders has tried
				for _, a := range list {
					replyTo = append(replyTo, waypost.Address{Name: a.Name, Email: a.Address})
				}
			}
		}
	}
	var r fields
	if len(replyTo) > 0 {
		if err := r.addresses("Reply-To", replyTo...); err != nil {
			return err
		}
	}
	p.replyTo = r.buf
	p.eightBit = f.eightBit || r.eightBit
	return nil
}

// ownHeaders writes the customer's fields. Message-ID and Reply-To have
// places of their own.
func (p *Prepared) ownHeaders(c *waypost.Content) error {
	for _, h := range c.Headers {
		switch {
		case strings.EqualFold(h.Name, "Message-ID"):
			p.messageID = strings.TrimSpace(h.Value)
		case strings.EqualFold(h.Name, "Reply-To"):
		default:
			var f fields
			f.name(h.Name)
			f.text(strings.Trim(h.Value, " \t"))
			f.end()
			p.own = append(p.own, ownHeader{h.Name, f.buf})
		}
	}
	return nil
}

func (p *Prepared) measure(c *waypost.Content) {
	p.templates = len(c.Subject) + len(c.PreText) + len(c.HTML) + len(c.Text)
	n := 512 + len(p.from) + len(p.replyTo) + len(p.messageID) + len(p.amp)
	n += 2 * p.templates // source and its nodes
	for _, h := range p.own {
		n += 64 + len(h.name) + len(h.field)
	}
	for _, parts := range [][][]byte{p.inline, p.files} {
		for _, part := range parts {
			if n += 24 + len(part); len(part) >= shareFrom {
				p.shared += len(part)
			}
		}
	}
	p.size = n + sizeOf(p.variables)
}

// sizeOf estimates the memory of a JSON value.
func sizeOf(v any) int {
	n := 16
	switch v := v.(type) {
	case string:
		n += len(v)
	case []any:
		for _, item := range v {
			n += sizeOf(item)
		}
	case map[string]any:
		for k, item := range v {
			n += 48 + len(k) + sizeOf(item)
		}
	}
	return n
}

// Size is about the number of bytes that p holds, for the bound of a cache.
func (p *Prepared) Size() int { return p.size }

// Shared is how many bytes of Size are pieces of every message, which a message
// does not hold a second time.
func (p *Prepared) Shared() int { return p.shared }

// EncodedSize is how many bytes so many of an attachment become in a message.
func EncodedSize(n int) int { return (n+2)/3*4 + n/perLine*2 + 8 }

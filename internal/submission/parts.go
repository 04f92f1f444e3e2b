package submission

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/textproto"

	"github.com/waypost-mail/waypost"
)

// The bounds of a mail's structure.
const (
	maxDepth = 8
	maxParts = 200
)

// place is where a part stands.
type place int

const (
	inMixed place = iota // one after another; the mail itself too
	inAlternative
	inRelated // beside an HTML text that refers to it
)

// body gathers the parts of a mail.
type body struct {
	text, html, amp          string
	hasText, hasHTML, hasAMP bool
	files                    []waypost.Attachment
	parts, size              int
}

// opaque are the media types that a change would break, with what they are.
var opaque = map[string]string{
	"multipart/signed": "signed by its sender", "multipart/encrypted": "encrypted by its sender",
	"application/pkcs7-mime": "signed or encrypted by its sender", "application/x-pkcs7-mime": "signed or encrypted by its sender",
	"application/pgp-encrypted": "encrypted by its sender", "application/pkcs7-signature": "signed by its sender",
	"application/x-pkcs7-signature": "signed by its sender", "application/pgp-signature": "signed by its sender",
	"multipart/report": "a report about another mail", "multipart/digest": "a digest of other mails",
}

// walk reads a part and those within it.
func (b *body) walk(h partHeader, r io.Reader, in place, depth int) error {
	if b.parts++; b.parts > maxParts || depth > maxDepth {
		return errKept("the message has more than %d parts, or parts more than %d deep", maxParts, maxDepth)
	}
	media, params, err := h.media()
	if err != nil {
		return errFault("the Content-Type %q cannot be read", clip(h.Get("Content-Type"), 100))
	}
	if what, ok := opaque[media]; ok {
		return errKept("the message is %s (%s): it is made anew here, which would break it; send it straight to your mail server", what, media)
	}
	switch {
	case media == "multipart/mixed" || media == "multipart/alternative" || media == "multipart/related":
		return b.walkMany(h, r, media, params, in, depth)
	case strings.HasPrefix(media, "multipart/"):
		return errKept("parts of the type %s cannot be kept", media)
	case strings.HasPrefix(media, "message/"):
		return errKept("a mail within the mail (%s) cannot be kept; attach it as a file of another type", media)
	}
	data, err := b.decode(h, r)
	if err != nil {
		return err
	}
	attached, name := h.disposition(params)
	if !attached && name == "" && (media == "text/plain" || media == "text/html" || media == "text/x-amp-html") {
		return b.readable(media, params["charset"], data, in)
	}
	if in == inAlternative {
		return errKept("an alternative of the type %s cannot be kept; attach it", media)
	}
	id := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(h.Get("Content-ID")), "<"), ">")
	delete(params, "name")
	b.files = append(b.files, waypost.Attachment{
		Filename: name, ContentType: mime.FormatMediaType(media, params), ContentID: id, Data: data,
	})
	return nil
}

// walkMany reads the parts of a multipart.
func (b *body) walkMany(h partHeader, r io.Reader, media string, params map[string]string, in place, depth int) error {
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "", "7bit", "8bit", "binary":
	default:
		return errFault("a %s may not have a transfer encoding (RFC 2045, section 6.4)", media)
	}
	if params["boundary"] == "" {
		return errFault("a %s has no boundary", media)
	}
	inside := inMixed
	switch media {
	case "multipart/alternative":
		inside = inAlternative
	case "multipart/related":
		inside = inRelated
	}
	if in == inAlternative && inside == inMixed {
		return errKept("a multipart/mixed within a multipart/alternative cannot be kept")
	}
	parts := textproto.NewMultipartReader(r, params["boundary"])
	first := true
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errFault("the parts of a %s cannot be read: %v", media, err)
		}
		where := inside
		if inside == inRelated && first { // the text that the others belong to
			where = in
		}
		first = false
		if err := b.walk(partHeader{&p.Header}, p, where, depth+1); err != nil {
			return err
		}
	}
}

// decode undoes the transfer encoding, within the bounds of a send call.
func (b *body) decode(h partHeader, r io.Reader) ([]byte, error) {
	encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding")))
	switch encoding {
	case "", "7bit", "8bit", "binary":
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	default:
		return nil, errKept("the transfer encoding %q is not known", clip(encoding, 40))
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, errFault("a part is no valid %s: %v", encoding, err)
	}
	if b.size += len(data); b.size > maxAttachments+2*maxText {
		return nil, reply(552, 5, 3, 4, fmt.Sprintf("Message too large: its parts may have %d bytes decoded", maxAttachments))
	}
	return data, nil
}

// readable notes a text that a mail program shows.
func (b *body) readable(media, set string, data []byte, in place) error {
	if in != inAlternative && (b.hasText || b.hasHTML) {
		return errKept("the message has several texts one after another, which cannot be kept; make them one, or attach them")
	}
	text, err := decodeText(set, data)
	if err != nil {
		return err
	}
	var at *string
	var has *bool
	switch media {
	case "text/plain":
		at, has = &b.text, &b.hasText
	case "text/html":
		at, has = &b.html, &b.hasHTML
	default:
		at, has = &b.amp, &b.hasAMP
	}
	if *has {
		return errKept("the message has two alternatives of the type %s", media)
	}
	*at, *has = text, true
	return nil
}

// decodeText reads text of a character set.
func decodeText(set string, data []byte) (string, error) {
	switch lower := strings.ToLower(set); lower {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		if !utf8.Valid(data) {
			return "", errFault("a text is not valid in its character set %q", clip(set, 40))
		}
	default:
		r, err := charset.Reader(lower, strings.NewReader(string(data)))
		if err != nil {
			return "", errKept("the character set %q is not known", clip(set, 40))
		}
		if data, err = io.ReadAll(r); err != nil {
			return "", errFault("a text is not valid in its character set %q", clip(set, 40))
		}
	}
	if len(data) > maxText {
		return "", reply(552, 5, 3, 4, fmt.Sprintf("Message too large: a text may have %d bytes", maxText))
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(data), "\uFFFD"), "\r\n", "\n"), nil
}

// check tells whether there is something to send.
func (b *body) check() error {
	total := 0
	for i := range b.files {
		total += len(b.files[i].Data)
	}
	switch {
	case strings.TrimSpace(b.text) == "" && strings.TrimSpace(b.html) == "":
		return errFault("the message has no text")
	case total > maxAttachments:
		return reply(552, 5, 3, 4, fmt.Sprintf("Message too large: attachments may have %d bytes", maxAttachments))
	}
	return nil
}

// attachments are the files; a Content-ID makes one inline only if the HTML
// refers to it.
func (b *body) attachments() []waypost.Attachment {
	for i := range b.files {
		f := &b.files[i]
		if f.ContentID != "" && !strings.Contains(b.html, "cid:"+f.ContentID) {
			f.ContentID = ""
		}
	}
	return b.files
}

package compose

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/track"
)

// DefaultHeaderPrefix begins the names of the five fields that mail servers
// and the agent find a message by (D-25).
const DefaultHeaderPrefix = "X-Sendpost-"

// providerType is the value of the TPSP-Type field: Custom SMTP.
const providerType = "3"

// Options are what a message needs besides its content.
type Options struct {
	HeaderPrefix string            // "" : DefaultHeaderPrefix
	Signers      []dkim.Signer     // none: the message goes unsigned
	Separator    waypost.Separator // in the return path
	SenderDomain string            // the verified domain, as A-labels: host of Message-ID and return path
	Track        *track.Site       // where opens, clicks and unsubscriptions go; nil: nothing is tracked
	Now          time.Time         // time of the signature, of the tokens, and Date of a message without SubmittedAt
}

// Signed is a finished message with its envelope. The zero Signed is empty.
type Signed struct {
	pieces   [][]byte
	own      int
	envelope waypost.Envelope
	eightBit bool
}

// Pieces is the message with CRLF line ends, not dot-stuffed. Large attachments
// are pieces that all messages of the content share. None ends between CR and
// LF. Callers must not change them: a signature covers them.
func (s Signed) Pieces() [][]byte { return s.pieces }

// Own is how many bytes of the pieces are this message's alone.
func (s Signed) Own() int { return s.own }

// Bytes is the message in one piece, made anew by each call.
func (s Signed) Bytes() []byte { return bytes.Join(s.pieces, nil) }

// EightBit tells whether the header holds raw UTF-8, which only a relay with
// SMTPUTF8 may be given (RFC 6531). Bodies never have eight-bit octets.
func (s Signed) EightBit() bool { return s.eightBit }

// Envelope is what SMTP carries around the message; the recipient's domain is
// in A-labels unless the local part is not ASCII.
func (s Signed) Envelope() waypost.Envelope { return s.envelope }

// Message makes the message of one recipient. m is not kept.
func (p *Prepared) Message(m *waypost.Message, o Options) (Signed, error) {
	s, _, err := p.compose(m, &o)
	if err != nil {
		return Signed{}, fmt.Errorf("compose message %s: %w", m.ID, err)
	}
	return s, nil
}

// compose gives the message, and what its templates gave before tracking and
// pre-header went into it.
func (p *Prepared) compose(m *waypost.Message, o *Options) (s Signed, merged rendered, err error) {
	around, err := envelope(m, o)
	if err != nil {
		return s, merged, err
	}

	// 1. Merge: the recipient's variables before those of the call (D-24).
	// The reserved name comes first of all.
	unsubscribe := unsubscribeURL(m, o)
	r, err := p.merge(m, unsubscribe)
	if err != nil {
		return s, merged, err
	}
	merged = r

	// 2. and 3. The pre-header, hidden at the start of the HTML, the open pixel
	// and the links, before any byte is encoded (D-23).
	p.follow(&r, m, o)

	// 4. Header.
	f := fields{buf: make([]byte, 0, p.room(&r))}
	if err := p.header(&f, m, o, r.subject, unsubscribe); err != nil {
		return s, merged, err
	}

	// 5. MIME: Content-* fields, the empty line and the body.
	w := writer{buf: f.buf}
	p.body(&r).write(&w, m.ID)
	if !w.endsLine() {
		w.buf = append(w.buf, crlf...)
	}

	// 6. DKIM, last: its fields are the first piece.
	s = Signed{pieces: w.pieces(make([][]byte, 1, 2+2*len(w.shared))), own: len(w.buf), envelope: around, eightBit: p.eightBit || f.eightBit}
	if len(o.Signers) == 0 {
		s.pieces = s.pieces[1:]
		return s, merged, nil
	}
	if s.pieces[0], err = dkim.Fields(nil, s.pieces[1:], o.Now, o.Signers...); err != nil {
		return Signed{}, merged, err
	}
	s.own += len(s.pieces[0])
	return s, merged, nil
}

// maxSubject bounds a subject after its merge, in characters (D-4). A longer
// one makes a header that relays cut off, and with it the signature.
const maxSubject = 998

// rendered is what the templates gave for one recipient.
type rendered struct{ subject, preText, html, text []byte }

// merge runs the templates.
func (p *Prepared) merge(m *waypost.Message, unsubscribe string) (r rendered, err error) {
	var scopes []any
	if !p.static {
		own, err := merge.Variables(m.Variables)
		if err != nil {
			return r, err
		}
		scopes = []any{map[string]string{unsubscribeName: unsubscribe}, own, p.variables}
	}
	for _, t := range [...]struct {
		part string
		from *merge.Template
		mode merge.Mode
		to   *[]byte
	}{
		{"subject", p.subject, merge.Header, &r.subject},
		{"preText", p.preText, merge.Header, &r.preText},
		{"htmlBody", p.html, merge.HTML, &r.html},
		{"textBody", p.text, merge.Text, &r.text},
	} {
		if t.from == nil {
			continue
		}
		if *t.to, err = t.from.Render(nil, t.mode, scopes...); err != nil {
			return r, fmt.Errorf("%s: %w", t.part, err)
		}
	}
	if n := utf8.RuneCount(r.subject); n > maxSubject {
		return r, fmt.Errorf("subject: %d characters once merged; at most %d: shorten it, or the variables in it", n, maxSubject)
	}
	return r, nil
}

// header writes everything down to the customer's own fields.
func (p *Prepared) header(f *fields, m *waypost.Message, o *Options, subject []byte, unsubscribe string) error {
	date := m.SubmittedAt
	if date.IsZero() {
		date = o.Now
	}
	to := m.To
	if to.Email == "" {
		to.Email = m.Recipient
	}
	f.name("Date")
	f.buf = append(f.buf, ' ')
	f.buf = date.UTC().AppendFormat(f.buf, "Mon, 2 Jan 2006 15:04:05 -0700")
	f.end()
	f.buf = append(f.buf, p.from...)
	if err := f.addresses("To", to); err != nil {
		return err
	}
	if len(m.Cc) > 0 {
		if err := f.addresses("Cc", m.Cc...); err != nil {
			return err
		}
	}
	f.buf = append(f.buf, p.replyTo...)
	f.name("Subject")
	f.text(string(subject))
	f.end()
	id := p.messageID
	if id == "" {
		id = "<" + m.ID.String() + "@" + waypost.BounceLabel + "." + o.SenderDomain + ">"
	}
	f.line("Message-ID", id)
	f.line("MIME-Version", "1.0")
	p.listUnsubscribe(f, unsubscribe)
	return p.marks(f, m, o.HeaderPrefix)
}

// marks writes the five fields that the message is found by (D-25), then the
// customer's own.
func (p *Prepared) marks(f *fields, m *waypost.Message, prefix string) error {
	if prefix == "" {
		prefix = DefaultHeaderPrefix
	}
	if !token(prefix) || len(prefix) > 50 {
		return fmt.Errorf("header prefix %.60q is not the beginning of a header name", prefix)
	}
	f.prefixed(prefix, "Message-UUID", m.ID.String())
	f.prefixed(prefix, "Account-ID", strconv.FormatInt(m.Account, 10))
	f.prefixed(prefix, "SubAccount-ID", strconv.FormatInt(m.SubAccount, 10))
	f.prefixed(prefix, "TPSP-ID", strconv.FormatInt(m.Provider, 10))
	f.prefixed(prefix, "TPSP-Type", providerType)
	for _, h := range p.own {
		if !reserved(prefix, h.name) { // under a prefix of the operator's, CheckHeaders cannot know
			f.buf = append(f.buf, h.field...)
		}
	}
	return nil
}

// reserved tells whether a field would pass for one of ours.
func reserved(prefix, name string) bool {
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return false
	}
	switch strings.ToLower(name[len(prefix):]) {
	case "message-uuid", "account-id", "subaccount-id", "tpsp-id", "tpsp-type":
		return true
	}
	return false
}

// body chooses the shape.
func (p *Prepared) body(r *rendered) *part {
	var kids []*part
	if p.text != nil || p.html == nil && p.amp == nil {
		kids = append(kids, &part{media: "text/plain", text: r.text})
	}
	if p.amp != nil {
		kids = append(kids, &part{ready: p.amp})
	}
	if p.html != nil {
		html := &part{media: "text/html", text: r.html}
		if len(p.inline) > 0 {
			html = multipart("related", html)
			html.add(p.inline)
		}
		kids = append(kids, html)
	}
	root := kids[0]
	if len(kids) > 1 {
		root = multipart("alternative", kids...)
	}
	if len(p.files) > 0 {
		root = multipart("mixed", root)
		root.add(p.files)
	}
	return root
}

// room is a guess at the size of a message's own bytes.
func (p *Prepared) room(r *rendered) int {
	n := 2048 + (len(r.html)+len(r.text))*5/4 + 2*len(r.subject)
	for _, h := range p.own {
		n += len(h.field)
	}
	for _, parts := range [][][]byte{{p.amp}, p.inline, p.files} {
		for _, part := range parts {
			if n += 64; len(part) < shareFrom {
				n += len(part)
			}
		}
	}
	return n
}

func envelope(m *waypost.Message, o *Options) (waypost.Envelope, error) {
	e := m.Envelope(o.SenderDomain)
	e.ReturnPath.Separator = o.Separator
	var err error
	if e.Recipient, _, err = mailbox(e.Recipient); err != nil {
		return e, fmt.Errorf("recipient: %w", err)
	}
	if err = waypost.CheckEmail(e.ReturnPath.String()); err != nil {
		return e, fmt.Errorf("return path: %w", err)
	}
	return e, nil
}

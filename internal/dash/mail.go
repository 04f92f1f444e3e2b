package dash

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"regexp"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // mails speak more than UTF-8

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/store"
)

// mailView is a message as it is made for its recipient, taken apart. It is
// made again for the page: without signature and tracking.
type mailView struct {
	Gone    bool   // its content is past its retention
	Failure string // why it cannot be made
	Subject string
	From    waypost.Address
	Header  []fact
	Text    string
	HTML    string // shown in a sandboxed frame only
	Files   []mailFile
	Size    int
	Cut     bool

	TrackClicks bool // its links were rewritten
}

// mailFile is an attachment, by name and size; its bytes are in the raw form.
type mailFile struct {
	Name, Type string
	Size       int
}

// The bounds of what is shown of a mail, in bytes, and of how many mails are
// taken apart at once.
const (
	mostText   = 256 << 10
	mostHTML   = 2 << 20
	mostInline = 4 << 20 // of images that the HTML shows
	mostParts  = 100
	mostMaking = 2
)

var making = make(chan struct{}, mostMaking)

// compose makes the bytes of a message again. ErrNotFound when its content is
// past its retention.
func (d *Dash) compose(v *visit, m *waypost.Message) ([]byte, waypost.Content, error) {
	select {
	case making <- struct{}{}:
		defer func() { <-making }()
	case <-v.ctx().Done():
		return nil, waypost.Content{}, v.ctx().Err()
	}
	c, err := d.cfg.Store.Content(v.ctx(), m.Content)
	if err != nil {
		return nil, c, fmt.Errorf("read content %s: %w", m.Content, err)
	}
	prepared, err := compose.Prepare(&c)
	if err != nil {
		return nil, c, errors.Join(errUnmakeable, err)
	}
	name := "unverified.invalid"
	if dom, err := d.cfg.Store.Domain(v.ctx(), m.SubAccount, m.Domain); err == nil {
		name = dom.Name
	}
	signed, err := prepared.Message(m, compose.Options{SenderDomain: name, Now: v.now})
	if err != nil {
		return nil, c, errors.Join(errUnmakeable, err)
	}
	return signed.Bytes(), c, nil
}

var errUnmakeable = errors.New("the content cannot be made into a message")

func (d *Dash) readMail(v *visit, m *waypost.Message) (*mailView, error) {
	raw, c, err := d.compose(v, m)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &mailView{Gone: true}, nil
	case errors.Is(err, errUnmakeable):
		return &mailView{Failure: err.Error(), Subject: c.Subject, From: c.From}, nil
	case err != nil:
		return nil, err
	}
	view := takeApart(raw)
	view.From, view.TrackClicks = c.From, c.TrackClicks
	if view.Subject == "" {
		view.Subject = c.Subject
	}
	return view, nil
}

// takeApart reads a mail's header, its texts, and the images that its HTML
// shows.
func takeApart(raw []byte) *mailView {
	view := &mailView{Size: len(raw)}
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil && e == nil {
		view.Failure = "the mail cannot be read: " + err.Error()
		return view
	}
	dec := mime.WordDecoder{}
	for fields := e.Header.Fields(); fields.Next(); {
		value, err := dec.DecodeHeader(fields.Value())
		if err != nil {
			value = fields.Value()
		}
		if strings.EqualFold(fields.Key(), "Subject") {
			view.Subject = value
		}
		view.Header = append(view.Header, fact{fields.Key(), clip(value, 2000)})
	}
	images := map[string]string{}
	room, parts := mostInline, 0
	_ = e.Walk(func(_ []int, part *message.Entity, err error) error { // what was read until a fault is shown
		if parts++; err != nil || part == nil || parts > mostParts {
			return io.EOF
		}
		view.part(part, images, &room)
		return nil
	})
	view.HTML = inlineImages(view.HTML, images)
	return view
}

func (view *mailView) part(part *message.Entity, images map[string]string, room *int) {
	kind, params, _ := part.Header.ContentType() // "" is text
	disposition, named, _ := part.Header.ContentDisposition()
	if strings.HasPrefix(kind, "multipart/") {
		return
	}
	read := func(most int) string {
		b, _ := io.ReadAll(io.LimitReader(part.Body, int64(most)+1)) // as far as it goes
		if len(b) > most {
			view.Cut = true
			b = b[:most]
		}
		return strings.ToValidUTF8(string(b), "�")
	}
	switch {
	case disposition == "attachment":
	case kind == "text/plain" && view.Text == "":
		view.Text = read(mostText)
		return
	case kind == "text/html" && view.HTML == "":
		view.HTML = read(mostHTML)
		return
	case strings.HasPrefix(kind, "image/") && part.Header.Get("Content-Id") != "" && safeImage(kind):
		b, _ := io.ReadAll(io.LimitReader(part.Body, int64(*room)+1)) // an image too many is left out
		if *room -= len(b); *room >= 0 {
			images[strings.Trim(part.Header.Get("Content-Id"), "<> ")] = "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b)
		}
		return
	}
	n, _ := io.Copy(io.Discard, part.Body) // as far as it goes
	view.Files = append(view.Files, mailFile{orElse(named["filename"], orElse(params["name"], "without a name")), kind, int(n)})
}

// safeImage tells whether a type is a picture and nothing more: SVG is a
// document.
func safeImage(kind string) bool {
	switch kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	}
	return false
}

var cid = regexp.MustCompile(`(?i)cid:([^"'\s)>]{1,200})`)

// inlineImages puts the images that a mail carries into its HTML.
func inlineImages(html string, images map[string]string) string {
	if len(images) == 0 {
		return html
	}
	return cid.ReplaceAllStringFunc(html, func(ref string) string {
		if data, ok := images[ref[4:]]; ok {
			return data
		}
		return ref
	})
}

// messageHTML is a mail's HTML for the frame of its page: under a policy of its
// own, which runs no script and loads nothing.
func (d *Dash) messageHTML(v *visit) error {
	t, err := d.trailOf(v)
	if err != nil {
		return err
	}
	view, err := d.readMail(v, &t.Message)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = io.WriteString(v.w, view.HTML) // the caller may be gone
	return nil
}

// messageRaw is a mail's bytes, as a download.
func (d *Dash) messageRaw(v *visit) error {
	t, err := d.trailOf(v)
	if err != nil {
		return err
	}
	raw, _, err := d.compose(v, &t.Message)
	if errors.Is(err, errUnmakeable) {
		return v.plain([]byte(err.Error()), "")
	}
	if err != nil {
		return err
	}
	return v.plain(raw, t.Message.ID.String()+".eml")
}

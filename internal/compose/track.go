package compose

import (
	stdhtml "html"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/track"
)

// unsubscribeName is the reserved merge variable (D-24).
const unsubscribeName = "unsubscribe"

const (
	preheaderOpen  = `<div style="display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all">`
	preheaderClose = `</div>`

	pixelOpen  = `<img src="`
	pixelClose = `" width="1" height="1" alt="" style="display:block;border:0;width:1px;height:1px">`
)

// tracking is what a content wants tracked, and what of it is the same for
// every recipient.
type tracking struct {
	opens, clicks bool
	html          *layout // of an HTML without variables
	text          []link  // of a text without variables
	ownList       bool    // the customer brings a List-Unsubscribe
	ownPost       bool    // the customer brings a List-Unsubscribe-Post
}

// prepareTracking finds what can be found before there is a recipient.
func (p *Prepared) prepareTracking(c *waypost.Content) {
	t := &p.tracking
	t.opens, t.clicks = c.TrackOpens, c.TrackClicks
	if p.html != nil && p.html.Static() {
		l := layoutOf([]byte(c.HTML), t.clicks)
		t.html = &l
		p.size += 64 * len(l.links)
	}
	if p.text != nil && t.clicks && p.text.Static() {
		t.text = textLinks([]byte(c.Text))
		p.size += 64 * len(t.text)
	}
	for _, h := range p.own {
		t.ownList = t.ownList || strings.EqualFold(h.name, "List-Unsubscribe")
		t.ownPost = t.ownPost || strings.EqualFold(h.name, "List-Unsubscribe-Post")
	}
}

// Tracks tells whether the content wants its opens and clicks tracked.
func (p *Prepared) Tracks() (opens, clicks bool) { return p.tracking.opens, p.tracking.clicks }

// unsubscribeURL is the recipient's own; empty without a site.
func unsubscribeURL(m *waypost.Message, o *Options) string {
	if o.Track == nil {
		return ""
	}
	return string(o.Track.AppendURL(nil, &track.Token{Kind: track.Unsubscribe, Message: m.ID, Relayed: o.Now}))
}

// follow puts pre-header, open pixel and tracking links into the bodies. Their
// other bytes stay as they are.
func (p *Prepared) follow(r *rendered, m *waypost.Message, o *Options) {
	clicks := p.tracking.clicks && o.Track != nil
	opens := p.tracking.opens && o.Track != nil
	w := wrapper{site: o.Track, token: track.Token{Message: m.ID, Relayed: o.Now}}
	if p.html != nil && (clicks || opens || len(r.preText) > 0) {
		l := p.tracking.html
		if l == nil {
			found := layoutOf(r.html, clicks)
			l = &found
		}
		w.doc, w.links = r.html, nil
		if clicks {
			w.links = l.links
		}
		r.html = w.html(l, r.preText, opens)
	}
	if p.text != nil && clicks {
		w.doc, w.links = r.text, p.tracking.text
		if !p.text.Static() {
			w.links = textLinks(r.text)
		}
		r.text = w.upTo(make([]byte, 0, w.room()), len(r.text))
	}
}

// wrapper copies a document and puts tracking URLs in the place of its links.
type wrapper struct {
	site  *track.Site
	token track.Token // what the tokens of the message share
	doc   []byte
	links []link
	at    int // what is copied of doc
	n     int // links that are done
}

// room is about the size of the copy.
func (w *wrapper) room() int {
	w.at, w.n = 0, 0
	n := len(w.doc)
	for i := range w.links {
		n += len(w.site.Base) + 96 + len(w.links[i].url)/2
	}
	return n
}

// upTo copies the document up to an offset.
func (w *wrapper) upTo(dst []byte, end int) []byte {
	for w.n < len(w.links) && w.links[w.n].start < end {
		l := &w.links[w.n]
		dst = append(dst, w.doc[w.at:l.start]...)
		w.at = l.end
		w.n++
		t := w.token
		t.Kind, t.Link, t.Links, t.URL = track.Click, w.n, len(w.links), l.url
		dst = w.site.AppendURL(dst, &t)
	}
	if end > w.at {
		dst = append(dst, w.doc[w.at:end]...)
		w.at = end
	}
	return dst
}

// html copies an HTML document with its pre-header and its pixel.
func (w *wrapper) html(l *layout, preText []byte, opens bool) []byte {
	hidden := ""
	if len(preText) > 0 {
		hidden = preheaderOpen + stdhtml.EscapeString(string(preText)) + preheaderClose
	}
	room := w.room() + len(hidden)
	if opens {
		room += len(w.site.Base) + 256
	}
	out := w.upTo(make([]byte, 0, room), l.preheader)
	out = append(out, hidden...)
	if opens {
		out = w.upTo(out, max(l.pixel, l.preheader))
		out = append(out, pixelOpen...)
		t := w.token
		t.Kind = track.Open
		out = w.site.AppendURL(out, &t)
		out = append(out, pixelClose...)
	}
	return w.upTo(out, len(w.doc))
}

// listUnsubscribe writes the fields of RFC 8058, each unless the customer
// brings it (D-28).
func (p *Prepared) listUnsubscribe(f *fields, url string) {
	if url == "" || p.tracking.ownList {
		return
	}
	f.line("List-Unsubscribe", "<"+url+">")
	if !p.tracking.ownPost {
		f.line("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
}

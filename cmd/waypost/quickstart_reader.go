package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/emersion/go-message"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
)

// readerAgent is how the reader's program calls itself: as people's do.
const readerAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// quickMailbox is the mailbox of reader@: the mail in it that nobody has read.
type quickMailbox struct {
	mu   sync.Mutex
	mail map[waypost.UUID][]byte
}

// put takes mail as it arrives; the envelope sender tells which message it is.
// A full mailbox takes nothing.
func (b *quickMailbox) put(sender string, mail []byte) {
	path, ok := waypost.FindReturnPath(sender)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mail == nil {
		b.mail = map[waypost.UUID][]byte{}
	}
	if len(b.mail) < maxByHand {
		b.mail[path.UUID] = mail
	}
}

// take takes a message out; nil when it is not there.
func (b *quickMailbox) take(id string) []byte {
	uuid, err := waypost.ParseUUID(id)
	if err != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	mail := b.mail[uuid]
	delete(b.mail, uuid)
	return mail
}

var (
	readerPixel = regexp.MustCompile(`<img src="([^"]*/track/tpsp/open/[^"]*)"`)
	readerLink  = regexp.MustCompile(`<a href="([^"]*/track/tpsp/click/[^"]*)"`)
)

// read does what a reader's programs do with a message: load its image, follow
// its first link, which ends with us, and unsubscribe with one click (RFC 8058).
// It tells the events that must come of it.
func (c *quickClient) read(ctx context.Context, mail []byte) (did []waypost.EventType, err error) {
	m, err := message.Read(bytes.NewReader(mail))
	if err != nil {
		return nil, fmt.Errorf("read the mail: %w", err)
	}
	text, err := htmlOf(m)
	if err != nil {
		return nil, err
	}
	visit := func(of waypost.EventType, method, at string, want int) {
		did = append(did, of)
		err = errors.Join(err, c.visit(ctx, method, at, want))
	}
	if found := readerPixel.FindStringSubmatch(text); found != nil {
		visit(waypost.CSOpen, http.MethodGet, html.UnescapeString(found[1]), http.StatusOK)
	}
	if found := readerLink.FindStringSubmatch(text); found != nil {
		visit(waypost.CSClick, http.MethodGet, html.UnescapeString(found[1]), http.StatusFound)
	}
	visit(waypost.CSUnsubscribe, http.MethodPost, strings.Trim(m.Header.Get("List-Unsubscribe"), "<> "), http.StatusOK)
	return did, err
}

// htmlOf finds the HTML of a message; "" when it has none.
func htmlOf(m *message.Entity) (string, error) {
	var out string
	err := m.Walk(func(_ []int, p *message.Entity, err error) error {
		if err != nil {
			return err
		}
		if kind, _, _ := p.Header.ContentType(); kind != "text/html" || out != "" {
			return nil
		}
		b, err := io.ReadAll(p.Body)
		out = string(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the mail's parts: %w", err)
	}
	return out, nil
}

// visit asks for a tracking URL. Its host is a name of the show's DNS only, so
// the server is asked directly, as a proxy before it would.
func (c *quickClient) visit(ctx context.Context, method, at string, want int) error {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL to follow", at)
	}
	body := ""
	if method == http.MethodPost {
		body = "List-Unsubscribe=One-Click"
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base, "/api/v1")+u.RequestURI(), strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Host = u.Host
	r.Header.Set("User-Agent", readerAgent)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.http.Transport.RoundTrip(r) // redirects lead out of the show
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // so that the connection is used again
	if answer.StatusCode != want {
		return fmt.Errorf("%s %s: %s", method, at, answer.Status)
	}
	return nil
}

// visitSaying says what the reader did.
func visitSaying(e *api.TimelineEntry) string {
	what := map[waypost.EventType]string{
		waypost.CSOpen:        "reader: the image was loaded",
		waypost.CSClick:       "reader: followed the link to " + e.Visit.URL,
		waypost.CSUnsubscribe: "reader: left with one click",
	}[waypost.EventType(e.Type)]
	if e.Visit.Machine != "" {
		what += "; counts as a program's, by the rule " + e.Visit.Machine
	}
	return what
}

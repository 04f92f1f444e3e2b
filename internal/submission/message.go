package submission

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
)

// The bounds of a message, those of a send call (D-4).
const (
	maxSubject     = 998 // characters
	maxPreText     = 200 // characters
	maxHeaders     = 100
	maxGroups      = 50
	maxShown       = 100      // addresses in To and Cc together
	maxFields      = 64 << 10 // bytes of custom fields
	maxURL         = 2000     // bytes
	maxAttachments = 25 << 20 // bytes, decoded
	maxText        = 5 << 20  // bytes of each text
)

// errFault is a message that cannot be taken as it is; its text goes into the
// reply.
func errFault(format string, args ...any) error {
	return reply(554, 5, 6, 0, line(fmt.Sprintf(format, args...)))
}

// errKept is a message that could be taken, but not kept as it was: 5.6.3 is
// "conversion required but not supported" (RFC 3463).
func errKept(format string, args ...any) error {
	return reply(554, 5, 6, 3, line(fmt.Sprintf(format, args...)))
}

// read makes a submission of a mail and the recipients of its envelope, each of
// whom gets a message of their own. The sub-account is left to the caller.
func read(raw []byte, to []string) (*queue.Submission, error) {
	if len(to) == 0 {
		return nil, errFault("the message has no recipient")
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return nil, errFault("the message has a NUL in it")
	}
	r := bufio.NewReader(bytes.NewReader(raw))
	h, err := textproto.ReadHeader(r)
	if err != nil {
		return nil, errFault("the header of the message cannot be read: %v", err)
	}
	head, err := readHead(&h)
	if err != nil {
		return nil, err
	}
	var b body
	if err := b.walk(partHeader{&h}, r, inMixed, 0); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	s := &queue.Submission{Pool: head.pool, Content: waypost.Content{
		From: head.from, Subject: head.subject, PreText: head.preText, HTML: b.html, Text: b.text, AMP: b.amp,
		Headers: head.custom, Attachments: b.attachments(), Groups: head.groups,
		TrackOpens: head.trackOpens, TrackClicks: head.trackClicks, Webhook: head.webhook,
	}}
	for _, address := range to {
		s.To = append(s.To, queue.Recipient{
			Address: waypost.Address{Email: address}, Variables: head.fields, Shown: head.shown(address),
		})
	}
	return s, nil
}

// head is what the header of a mail says.
type head struct {
	from    waypost.Address
	to, cc  []waypost.Address
	subject string
	custom  []waypost.Header

	pool, preText, webhook  string
	groups                  []string
	trackOpens, trackClicks bool
	fields                  []byte
}

// shown is what one recipient sees in To and Cc: one address in To, since a
// message here has one, and all others in Cc. Nobody in Bcc is shown.
func (h *head) shown(recipient string) *queue.Shown {
	all := append(append([]waypost.Address{}, h.to...), h.cc...)
	at := -1
	for i := range h.to {
		if strings.EqualFold(h.to[i].Email, recipient) {
			at = i
			break
		}
	}
	switch {
	case at < 0 && len(h.to) == 0:
		return &queue.Shown{To: waypost.Address{Email: recipient}, Cc: all}
	case at < 0:
		at = 0
	}
	return &queue.Shown{To: all[at], Cc: append(all[:at:at], all[at+1:]...)}
}

// controls are the header fields that say how a message is to be sent: behind
// either prefix, and never part of the message.
var controls = map[string]func(h *head, value string) error{
	"ippool":           func(h *head, v string) error { h.pool = v; return nil },
	"groups":           (*head).setGroups,
	"track-opens":      func(h *head, v string) error { return truth(&h.trackOpens, v) },
	"track-clicks":     func(h *head, v string) error { return truth(&h.trackClicks, v) },
	"custom-fields":    (*head).setFields,
	"webhook-endpoint": (*head).setWebhook,
	"pre-text": func(h *head, v string) error {
		h.preText = v
		if utf8.RuneCountInString(v) > maxPreText {
			return fmt.Errorf("is longer than %d characters", maxPreText)
		}
		return nil
	},
}

var prefixes = []string{"x-sendpost-", "x-sp-"}

// controlOf finds the control that a field is; "" for none.
func controlOf(lower string) string {
	for _, p := range prefixes {
		if name, ok := strings.CutPrefix(lower, p); ok && controls[name] != nil {
			return name
		}
	}
	return ""
}

func truth(into *bool, v string) error {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		*into = true
	case "false", "no", "off", "0":
		*into = false
	default:
		return errors.New("must be true or false")
	}
	return nil
}

func (h *head) setGroups(v string) error {
	for g := range strings.SplitSeq(v, ",") {
		if g = strings.TrimSpace(g); g == "" {
			continue
		}
		if len(g) > 255 {
			return errors.New("has a group of more than 255 bytes")
		}
		h.groups = append(h.groups, g)
	}
	if len(h.groups) > maxGroups {
		return fmt.Errorf("names more than %d groups", maxGroups)
	}
	return nil
}

func (h *head) setFields(v string) error {
	var all map[string]json.RawMessage
	if len(v) > maxFields || json.Unmarshal([]byte(v), &all) != nil {
		return fmt.Errorf("must be a JSON object of at most %d bytes", maxFields)
	}
	if _, reserved := all["unsubscribe"]; reserved {
		return errors.New("has the name unsubscribe, which is reserved")
	}
	h.fields = []byte(v)
	return nil
}

func (h *head) setWebhook(v string) error {
	u, err := url.Parse(v)
	if err != nil || len(v) > maxURL || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("must be an http or https URL")
	}
	h.webhook = v
	return nil
}

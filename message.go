package waypost

import (
	"net/mail"
	"strings"
	"time"
)

// Content is what one API call shares among its recipients. It is stored once;
// each message is rendered from it when it is relayed.
type Content struct {
	ID         UUID
	Account    int64
	SubAccount int64

	From    Address
	ReplyTo Address // zero: none
	Subject string
	PreText string // pre-header: shown by mailbox lists behind the subject
	HTML    string
	Text    string
	AMP     string

	Headers     []Header // the customer's own, in the order of the request
	Attachments []Attachment
	Groups      []string       // tags for statistics
	Variables   map[string]any // merge variables of the call, below those of a recipient
	TrackOpens  bool
	TrackClicks bool
	Pool        string // name of the pool that the call asked for
	Webhook     string // URL that overrides the account's webhooks for this call
}

// Header is one header field of the customer's.
type Header struct{ Name, Value string }

// Replies is where answers to the message go: ReplyTo, else the customer's own
// header of that name, else From.
func (c *Content) Replies() Address {
	if c.ReplyTo.Email != "" {
		return c.ReplyTo
	}
	for _, h := range c.Headers {
		if strings.EqualFold(h.Name, "Reply-To") {
			if a, err := mail.ParseAddress(h.Value); err == nil {
				return Address{a.Name, a.Address}
			}
			return Address{}
		}
	}
	return c.From
}

// Attachment is a file of the message.
type Attachment struct {
	Filename    string
	ContentType string // "" : by the filename, then by the content
	ContentID   string // without angle brackets; makes it an inline part
	Data        []byte
}

// Message is one recipient's own mail. Every recipient, a copy's included,
// has a message and a UUID of its own (D-7).
type Message struct {
	ID          UUID
	Account     int64
	SubAccount  int64
	Content     UUID
	Recipient   string    // envelope recipient
	To          Address   // header To; the recipient's own unless this is a copy
	Cc          []Address // header Cc
	Bcc         []Address // blind copies of the entry of "to" that this is: for answers to the sender, never for the mail
	Variables   []byte    // customFields as JSON, nil without
	Domain      int64     // sender domain, 0 when it has no verified return path
	Pool        int64
	Provider    int64 // chosen when accepted (D-16); 0 when the message was dropped before, or its recipient is simulated (D-40)
	Mailbox     Mailbox
	SubmittedAt time.Time
	Groups      []string // tags of the call, kept here too so that every event can be counted under them
	OwnWebhook  bool     // the call named a webhookEndpoint: events go there instead (V1, a.3)
}

// IP is the id of the IP from which the message is sent in the eyes of the API
// (D-8): 0 when no provider was chosen for it.
func (m *Message) IP() int64 {
	if m.Provider == 0 {
		return 0
	}
	return PseudoIP
}

// RecipientName is the display name of the recipient, from the header field in
// which it stands; "" for one that stands in none, as that of a blind copy.
func (m *Message) RecipientName() string {
	own := FoldEmail(m.Recipient)
	if m.To.Email == "" || FoldEmail(m.To.Email) == own {
		return m.To.Name
	}
	for _, cc := range m.Cc {
		if FoldEmail(cc.Email) == own {
			return cc.Name
		}
	}
	return ""
}

// Facets are what the statistics break an event down by, and where its webhook
// goes; copied from the message, not stored with the event.
type Facets struct {
	Domain     int64
	Pool       int64
	Mailbox    Mailbox
	Groups     []string
	OwnWebhook bool
}

// Facets gives those of the message's events.
func (m *Message) Facets() Facets {
	return Facets{Domain: m.Domain, Pool: m.Pool, Mailbox: m.Mailbox, Groups: m.Groups, OwnWebhook: m.OwnWebhook}
}

// Envelope is what SMTP carries around a message: MAIL FROM and RCPT TO
// (RFC 5321). It is never read from, nor written to, the header fields.
type Envelope struct {
	ReturnPath ReturnPath
	Recipient  string
}

// Envelope gives the message's envelope below a sender domain.
func (m *Message) Envelope(senderDomain string) Envelope {
	return Envelope{
		ReturnPath: ReturnPath{UUID: m.ID, SubAccount: m.SubAccount, Domain: BounceLabel + "." + senderDomain},
		Recipient:  m.Recipient,
	}
}

package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
	"github.com/waypost-mail/waypost/internal/track"
)

// Subject is what a delivery tells of: an event, its message and the head of
// the message's content. Message and Content are zero when they are past their
// retention.
type Subject struct {
	Event   waypost.Event
	Message waypost.Message
	Content waypost.Content // bodies and attachments are not looked at
	Place   *track.Place    // where the visit came from; nil when nobody knows
	IP      string          // address of the IP that stands for the provider (D-8), "": waypost.DefaultPseudoIP
}

// subject is the subject as the recipient read it.
func (s *Subject) subject() string {
	return merge.Line(s.Content.Subject, s.Message.Variables, s.Content.Variables)
}

// legacyPayload is the body in the contract legacy: exactly the fields that
// released clients declare.
type legacyPayload struct {
	Event        legacyEvent  `json:"event"`
	EmailMessage emailMessage `json:"emailMessage"`
}

type legacyEvent struct {
	EventID         string         `json:"eventID"`
	Groups          []string       `json:"groups"`
	IPID            int64          `json:"ipID"`
	IPPoolID        int64          `json:"ipPoolID"`
	DomainID        int64          `json:"domainID"`
	TPSPID          int64          `json:"tpspId"`
	MessageType     string         `json:"messageType"`
	MessageSubject  string         `json:"messageSubject"`
	AccountID       int64          `json:"accountID"`
	SubAccountID    int64          `json:"subAccountID"`
	MessageID       string         `json:"messageID"`
	Type            int            `json:"type"`
	From            string         `json:"from"`
	FromName        string         `json:"fromName"`
	To              string         `json:"to"`
	ToName          string         `json:"toName"`
	SubmittedAt     int64          `json:"submittedAt"` // of the event, UNIX seconds (D-38)
	SMTPCode        int            `json:"smtpCode"`
	SMTPDescription string         `json:"smtpDescription"`
	EventMetadata   legacyMetadata `json:"eventMetadata"`
}

type legacyMetadata struct {
	SMTPCode        int            `json:"smtpCode"`
	SMTPDescription string         `json:"smtpDescription"`
	UserAgent       *legacyVersion `json:"userAgent,omitempty"`
	OS              *legacyVersion `json:"os,omitempty"`
	Device          *legacyMachine `json:"device,omitempty"`
	Geo             *legacyGeo     `json:"geo,omitempty"`
	ClickedURL      string         `json:"clickedURL,omitempty"`
	TrackedIP       string         `json:"trackedIP,omitempty"`
	RawUserAgent    string         `json:"rawUserAgent,omitempty"`
}

// legacyVersion is what is known of a program or system.
type legacyVersion struct {
	Family     string `json:"Family"`
	Major      string `json:"Major,omitempty"`
	Minor      string `json:"Minor,omitempty"`
	Patch      string `json:"Patch,omitempty"`
	PatchMinor string `json:"PatchMinor,omitempty"`
}

type legacyMachine struct {
	Family string `json:"Family"`
	Brand  string `json:"Brand,omitempty"`
	Model  string `json:"Model,omitempty"`
}

type legacyGeo struct {
	CityID        string `json:"cityID,omitempty"`
	ContinentCode string `json:"continentCode,omitempty"`
	CountryCode   string `json:"countryCode,omitempty"`
	PostalCode    string `json:"postalCode,omitempty"`
	TimeZone      string `json:"timeZone,omitempty"`
}

// v1Payload is the body in the contract v1.
type v1Payload struct {
	Event        v1Event      `json:"event"`
	EmailMessage emailMessage `json:"emailMessage"`
}

type v1Event struct {
	EventID       string     `json:"eventId"`
	MessageID     string     `json:"messageId"`
	Type          int        `json:"type"`
	TypeName      string     `json:"typeName"`
	From          string     `json:"from"`
	To            string     `json:"to"`
	Subject       string     `json:"subject"`
	Groups        []string   `json:"groups"`
	SubmittedAt   int64      `json:"submittedAt"` // of the message, UNIX nanoseconds
	Timestamp     int64      `json:"timestamp"`   // of the event, UNIX nanoseconds
	EventMetadata v1Metadata `json:"eventMetadata"`
}

type v1Metadata struct {
	SMTPCode        int        `json:"smtpCode"`
	SMTPDescription string     `json:"smtpDescription"`
	UserAgent       *v1Version `json:"userAgent,omitempty"`
	OS              *v1Version `json:"os,omitempty"`
	Device          *v1Machine `json:"device,omitempty"`
	Geo             *v1Geo     `json:"geo,omitempty"`
	ClickedURL      string     `json:"clickedUrl,omitempty"`
	TrackedIP       string     `json:"trackedIp,omitempty"`
	RawUserAgent    string     `json:"rawUserAgent,omitempty"`
}

type v1Version struct {
	Family     string `json:"family"`
	Major      string `json:"major,omitempty"`
	Minor      string `json:"minor,omitempty"`
	Patch      string `json:"patch,omitempty"`
	PatchMinor string `json:"patchMinor,omitempty"`
}

type v1Machine struct {
	Family string `json:"family"`
	Brand  string `json:"brand,omitempty"`
	Model  string `json:"model,omitempty"`
}

type v1Geo struct {
	CityID        uint32 `json:"cityId,omitempty"`
	CountryCode   string `json:"countryCode,omitempty"`
	ContinentCode string `json:"continentCode,omitempty"`
	PostalCode    string `json:"postalCode,omitempty"`
	TimeZone      string `json:"timeZone,omitempty"`
}

// emailMessage has the same names in both contracts; to is an array in legacy
// and one object in v1 (sendpost.md, a.2).
type emailMessage struct {
	MessageID       string            `json:"messageID"`
	AccountID       int64             `json:"accountID"`
	SubAccountID    int64             `json:"subAccountID"`
	IPID            int64             `json:"ipID"`
	PublicIP        string            `json:"publicIP"`
	LocalIP         string            `json:"localIP"`
	EmailType       string            `json:"emailType"`
	SubmittedAt     int64             `json:"submittedAt"` // seconds in legacy, nanoseconds in v1
	From            nameEmail         `json:"from"`
	ReplyTo         nameEmail         `json:"replyTo"`
	To              any               `json:"to"`
	Groups          []string          `json:"groups"`
	IPPool          string            `json:"ipPool"`
	Headers         map[string]string `json:"headers"`
	CustomFields    map[string]string `json:"customFields"`
	TrackOpens      bool              `json:"trackOpens"`
	TrackClicks     bool              `json:"trackClicks"`
	WebhookEndpoint string            `json:"webhookEndpoint"`
}

type nameEmail struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

type recipient struct {
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	CustomFields map[string]string `json:"customFields"`
	Cc           []nameEmail       `json:"cc"`
	Bcc          []nameEmail       `json:"bcc"`
}

// nativeTypes are the numbers and names that events have on the hosted
// service's own servers (sendpost.md, c.1), by the counter of the event.
var nativeTypes = map[waypost.Stat]struct {
	number int
	name   string
}{
	waypost.StatProcessed: {0, "processed"}, waypost.StatDropped: {1, "dropped"}, waypost.StatDelivered: {2, "delivered"},
	waypost.StatSoftBounced: {3, "softBounced"}, waypost.StatHardBounced: {4, "hardBounced"}, waypost.StatOpened: {5, "opened"},
	waypost.StatClicked: {6, "clicked"}, waypost.StatUnsubscribed: {7, "unsubscribed"}, waypost.StatSpam: {8, "spam"},
	waypost.StatSent: {9, "sent"}, waypost.StatSMTPDropped: {10, "smtpDropped"},
}

// typeOf gives the number and the name of an event in a payload (D-38).
func typeOf(e *waypost.Event, flags waypost.WebhookFlags) (int, string) {
	if flags&waypost.NativeTypes != 0 {
		if n, ok := nativeTypes[e.Stat()]; ok {
			return n.number, n.name
		}
	}
	return int(e.Type), e.Type.String()
}

// Payload writes the body of a request: in the contract legacy, or in v1 with
// [waypost.PayloadV1].
func Payload(s *Subject, flags waypost.WebhookFlags) ([]byte, error) {
	if s.Message.ID.IsZero() { // what the event itself knows
		at := *s
		at.Message.Recipient, at.Message.Mailbox = s.Event.Recipient, waypost.MailboxDefault
		s = &at
	}
	var v any
	if flags&waypost.PayloadV1 != 0 {
		v = payloadV1(s, flags)
	} else {
		v = payloadLegacy(s, flags)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write event %d as JSON: %w", s.Event.ID, err)
	}
	return b, nil
}

func payloadLegacy(s *Subject, flags waypost.WebhookFlags) legacyPayload {
	e, m, c := &s.Event, &s.Message, &s.Content
	number, _ := typeOf(e, flags)
	out := legacyPayload{EmailMessage: messageOf(s), Event: legacyEvent{
		EventID: strconv.FormatInt(e.ID, 10), Groups: list(c.Groups), IPID: m.IP(), IPPoolID: m.Pool, DomainID: m.Domain, TPSPID: e.Provider,
		MessageType: m.Mailbox.String(), MessageSubject: s.subject(), AccountID: e.Account, SubAccountID: e.SubAccount,
		MessageID: e.Message.String(), Type: number, From: c.From.Email, FromName: c.From.Name, To: e.Recipient, ToName: m.RecipientName(),
		SubmittedAt: e.At.Unix(), SMTPCode: e.Code, SMTPDescription: e.Text,
		EventMetadata: legacyMetadata{SMTPCode: e.Code, SMTPDescription: e.Text},
	}}
	if v := e.Visit; v != nil {
		d := &out.Event.EventMetadata
		by := track.Device(v.UserAgent)
		d.UserAgent, d.OS = (*legacyVersion)(&by.Program), (*legacyVersion)(&by.System)
		d.Device = (*legacyMachine)(&by.Machine)
		if p := s.Place; p != nil {
			d.Geo = &legacyGeo{p.City(), p.Continent, p.Country, p.Postal, p.TimeZone}
		}
		d.ClickedURL, d.TrackedIP, d.RawUserAgent = v.URL, v.IP, v.UserAgent
	}
	out.EmailMessage.SubmittedAt = nanos(m.SubmittedAt) / int64(time.Second)
	out.EmailMessage.To = []recipient{recipientOf(m)}
	return out
}

func payloadV1(s *Subject, flags waypost.WebhookFlags) v1Payload {
	e, m, c := &s.Event, &s.Message, &s.Content
	number, name := typeOf(e, flags)
	out := v1Payload{EmailMessage: messageOf(s), Event: v1Event{
		EventID: strconv.FormatInt(e.ID, 10), MessageID: e.Message.String(), Type: number, TypeName: name,
		From: c.From.Email, To: e.Recipient, Subject: s.subject(), Groups: list(c.Groups),
		SubmittedAt: nanos(m.SubmittedAt), Timestamp: nanos(e.At),
		EventMetadata: v1Metadata{SMTPCode: e.Code, SMTPDescription: e.Text},
	}}
	if v := e.Visit; v != nil {
		d := &out.Event.EventMetadata
		by := track.Device(v.UserAgent)
		d.UserAgent, d.OS = (*v1Version)(&by.Program), (*v1Version)(&by.System)
		d.Device = (*v1Machine)(&by.Machine)
		if p := s.Place; p != nil {
			d.Geo = &v1Geo{p.CityID, p.Country, p.Continent, p.Postal, p.TimeZone}
		}
		d.ClickedURL, d.TrackedIP, d.RawUserAgent = v.URL, v.IP, v.UserAgent
	}
	out.EmailMessage.SubmittedAt = nanos(m.SubmittedAt)
	out.EmailMessage.To = recipientOf(m)
	return out
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func messageOf(s *Subject) emailMessage {
	m, c := &s.Message, &s.Content
	out := emailMessage{
		MessageID: s.Event.Message.String(), AccountID: s.Event.Account, SubAccountID: s.Event.SubAccount, EmailType: m.Mailbox.String(),
		From: nameEmail(c.From), ReplyTo: nameEmail(c.Replies()), Groups: list(c.Groups), IPPool: c.Pool,
		Headers: map[string]string{}, CustomFields: fields(m.Variables),
		TrackOpens: c.TrackOpens, TrackClicks: c.TrackClicks, WebhookEndpoint: c.Webhook,
	}
	if out.IPID = m.IP(); out.IPID != 0 {
		out.PublicIP = cmp.Or(s.IP, waypost.DefaultPseudoIP)
	}
	for _, h := range c.Headers {
		out.Headers[h.Name] = h.Value
	}
	return out
}

func recipientOf(m *waypost.Message) recipient {
	out := recipient{Name: m.RecipientName(), Email: m.Recipient, CustomFields: fields(m.Variables), Cc: []nameEmail{}, Bcc: []nameEmail{}}
	for _, cc := range m.Cc {
		out.Cc = append(out.Cc, nameEmail(cc))
	}
	for _, bcc := range m.Bcc {
		out.Bcc = append(out.Bcc, nameEmail(bcc))
	}
	return out
}

// list is never null in JSON.
func list(s []string) []string { return append([]string{}, s...) }

// fields turns custom fields into text, as released clients declare them.
func fields(variables []byte) map[string]string {
	out := map[string]string{}
	var all map[string]json.RawMessage
	if len(variables) == 0 || json.Unmarshal(variables, &all) != nil {
		return out
	}
	for name, v := range all {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		out[name] = s
	}
	return out
}

package api

import (
	"encoding/json"
	"strconv"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
	"github.com/waypost-mail/waypost/internal/track"
)

// Event answers with the legacy field names of an event (D-39).
type Event struct {
	EventID         string        `json:"eventID"`
	Groups          []string      `json:"groups"`
	IPID            int64         `json:"ipID"`
	IPPoolID        int64         `json:"ipPoolID"`
	DomainID        int64         `json:"domainID"`
	TPSPID          int64         `json:"tpspId"`
	MessageType     string        `json:"messageType"`
	MessageSubject  string        `json:"messageSubject"`
	AccountID       int64         `json:"accountID"`
	SubAccountID    int64         `json:"subAccountID"`
	MessageID       string        `json:"messageID"`
	Type            int           `json:"type"`
	From            string        `json:"from"`
	FromName        string        `json:"fromName"`
	To              string        `json:"to"`
	ToName          string        `json:"toName"`
	SubmittedAt     int64         `json:"submittedAt" doc:"UNIX seconds of the event (D-38)"`
	SMTPCode        int           `json:"smtpCode"`
	SMTPDescription string        `json:"smtpDescription"`
	EventMetadata   EventMetadata `json:"eventMetadata"`
}

// EventMetadata repeats the reply, as the documents do, and tells of the
// visit to a tracking URL.
type EventMetadata struct {
	SMTPCode        int       `json:"smtpCode"`
	SMTPDescription string    `json:"smtpDescription"`
	UserAgent       *Software `json:"userAgent,omitempty"`
	OS              *Software `json:"os,omitempty"`
	Device          *Device   `json:"device,omitempty"`
	Geo             *Geo      `json:"geo,omitempty"`
	ClickedURL      string    `json:"clickedURL,omitempty"`
	TrackedIP       string    `json:"trackedIP,omitempty"`
	RawUserAgent    string    `json:"rawUserAgent,omitempty"`
}

// Software is a program or operating system, as read from a User-Agent field.
type Software struct {
	Family string `json:"Family"`
	Major  string `json:"Major,omitempty"`
	Minor  string `json:"Minor,omitempty"`
	Patch  string `json:"Patch,omitempty"`

	PatchMinor string `json:"PatchMinor,omitempty" doc:"of operating systems"`
}

// Device is a machine, as read from a User-Agent field.
type Device struct {
	Family string `json:"Family"`
	Brand  string `json:"Brand,omitempty"`
	Model  string `json:"Model,omitempty"`
}

// Geo is where a visit came from, as the operator's database tells.
type Geo struct {
	CityID        string `json:"cityID,omitempty" doc:"GeoNames id"`
	ContinentCode string `json:"continentCode,omitempty"`
	CountryCode   string `json:"countryCode,omitempty"`
	PostalCode    string `json:"postalCode,omitempty"`
	TimeZone      string `json:"timeZone,omitempty"`
}

// EventV1 is an event in the contract v1.
type EventV1 struct {
	EventID       string          `json:"eventId"`
	MessageID     string          `json:"messageId"`
	Type          int             `json:"type"`
	TypeName      string          `json:"typeName"`
	From          string          `json:"from"`
	To            string          `json:"to"`
	Subject       string          `json:"subject"`
	Groups        []string        `json:"groups"`
	SubmittedAt   int64           `json:"submittedAt" doc:"of the message, UNIX nanoseconds"`
	Timestamp     int64           `json:"timestamp" doc:"of the event, UNIX nanoseconds"`
	EventMetadata EventMetadataV1 `json:"eventMetadata"`
}

// EventMetadataV1 is EventMetadata in the contract v1.
type EventMetadataV1 struct {
	SMTPCode        int         `json:"smtpCode"`
	SMTPDescription string      `json:"smtpDescription"`
	UserAgent       *SoftwareV1 `json:"userAgent,omitempty"`
	OS              *SoftwareV1 `json:"os,omitempty"`
	Device          *DeviceV1   `json:"device,omitempty"`
	Geo             *GeoV1      `json:"geo,omitempty"`
	ClickedURL      string      `json:"clickedUrl,omitempty"`
	TrackedIP       string      `json:"trackedIp,omitempty"`
	RawUserAgent    string      `json:"rawUserAgent,omitempty"`
}

// SoftwareV1 is Software in the contract v1.
type SoftwareV1 struct {
	Family string `json:"family"`
	Major  string `json:"major,omitempty"`
	Minor  string `json:"minor,omitempty"`
	Patch  string `json:"patch,omitempty"`

	PatchMinor string `json:"patchMinor,omitempty" doc:"of operating systems"`
}

// DeviceV1 is Device in the contract v1.
type DeviceV1 struct {
	Family string `json:"family"`
	Brand  string `json:"brand,omitempty"`
	Model  string `json:"model,omitempty"`
}

// GeoV1 is Geo in the contract v1.
type GeoV1 struct {
	CityID        uint32 `json:"cityId,omitempty" doc:"GeoNames id"`
	CountryCode   string `json:"countryCode,omitempty"`
	ContinentCode string `json:"continentCode,omitempty"`
	PostalCode    string `json:"postalCode,omitempty"`
	TimeZone      string `json:"timeZone,omitempty"`
}

// foundEvent is an event with what is shown of its message.
type foundEvent struct {
	waypost.Event
	message waypost.Message
	head    contentHead
	place   *track.Place // of a visit, nil when nobody knows
}

// found puts together what is shown of an event.
func (a *API) found(e *waypost.Event, m *waypost.Message, head *contentHead) foundEvent {
	out := foundEvent{Event: *e, message: *m, head: *head}
	if e.Visit != nil {
		if p, ok := a.cfg.Geo.Place(e.Visit.IP); ok {
			out.place = &p
		}
	}
	return out
}

// subject is that of the message, as its recipient read it.
func (e *foundEvent) subject() string {
	return merge.Line(e.head.subject, e.message.Variables, e.head.variables)
}

var eventViews = views[foundEvent, Event, EventV1]{legacy: eventView, v1: eventViewV1}

var eventListViews = views[[]foundEvent, []Event, []EventV1]{legacy: each(eventView), v1: each(eventViewV1)}

func eventView(e foundEvent) Event {
	m := &e.message
	return Event{
		EventID: strconv.FormatInt(e.ID, 10), Groups: append([]string{}, e.head.groups...), IPID: m.IP(), IPPoolID: m.Pool, DomainID: m.Domain,
		TPSPID: e.Provider, MessageType: m.Mailbox.String(), MessageSubject: e.subject(),
		AccountID: e.Account, SubAccountID: e.SubAccount, MessageID: e.Message.String(), Type: int(e.Type),
		From: e.head.from.Email, FromName: e.head.from.Name, To: e.Recipient, ToName: m.RecipientName(),
		SubmittedAt: e.At.Unix(), SMTPCode: e.Code, SMTPDescription: e.Text,
		EventMetadata: metadataView(&e),
	}
}

func metadataView(e *foundEvent) EventMetadata {
	out := EventMetadata{SMTPCode: e.Code, SMTPDescription: e.Text}
	if v := e.Visit; v != nil {
		out.ClickedURL, out.TrackedIP, out.RawUserAgent = v.URL, v.IP, v.UserAgent
		out.UserAgent, out.OS, out.Device = visitor(v.UserAgent)
		if p := e.place; p != nil {
			out.Geo = &Geo{p.City(), p.Continent, p.Country, p.Postal, p.TimeZone}
		}
	}
	return out
}

func eventViewV1(e foundEvent) EventV1 {
	legacy := metadataView(&e)
	out := EventV1{
		EventID: strconv.FormatInt(e.ID, 10), MessageID: e.Message.String(), Type: int(e.Type), TypeName: e.Type.String(),
		From: e.head.from.Email, To: e.Recipient, Subject: e.subject(), Groups: append([]string{}, e.head.groups...),
		SubmittedAt: e.message.SubmittedAt.UnixNano(), Timestamp: e.At.UnixNano(),
		EventMetadata: EventMetadataV1{
			SMTPCode: legacy.SMTPCode, SMTPDescription: legacy.SMTPDescription, UserAgent: (*SoftwareV1)(legacy.UserAgent),
			OS: (*SoftwareV1)(legacy.OS), Device: (*DeviceV1)(legacy.Device), ClickedURL: legacy.ClickedURL,
			TrackedIP: legacy.TrackedIP, RawUserAgent: legacy.RawUserAgent,
		},
	}
	if p := e.place; p != nil {
		out.EventMetadata.Geo = &GeoV1{p.CityID, p.Country, p.Continent, p.Postal, p.TimeZone}
	}
	return out
}

// visitor reads a User-Agent field; nil for what it does not tell.
func visitor(userAgent string) (program, system *Software, machine *Device) {
	by := track.Device(userAgent)
	if by.Program.Family != "" {
		program = (*Software)(&by.Program)
	}
	if by.System.Family != "" {
		system = (*Software)(&by.System)
	}
	if by.Machine.Family != "" {
		machine = (*Device)(&by.Machine)
	}
	return program, system, machine
}

// flatten turns custom fields into text, as the legacy contract has them.
func flatten(variables []byte) map[string]string {
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

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Message answers with the legacy fields of a message.
type Message struct {
	MessageID       string            `json:"messageID"`
	AccountID       int64             `json:"accountID"`
	SubAccountID    int64             `json:"subAccountID"`
	IPID            int64             `json:"ipID"`
	AccountIPPoolID int64             `json:"accountIPPoolID"`
	PublicIP        string            `json:"publicIP"`
	LocalIP         string            `json:"localIP"`
	EmailType       string            `json:"emailType"`
	SubmittedAt     int64             `json:"submittedAt" doc:"UNIX nanoseconds"`
	From            NameEmail         `json:"from"`
	ReplyTo         NameEmail         `json:"replyTo"`
	To              MessageTo         `json:"to"`
	HeaderTo        MessageTo         `json:"headerTo"`
	HeaderCc        []string          `json:"headerCc"`
	HeaderBcc       []string          `json:"headerBcc"`
	Attachments     []string          `json:"attachments"`
	Groups          []string          `json:"groups"`
	IPPool          string            `json:"ipPool"`
	Headers         map[string]string `json:"headers"`
	CustomFields    map[string]string `json:"customFields"`
	Subject         string            `json:"subject"`
	PreText         string            `json:"preText"`
	HTMLBody        string            `json:"htmlBody"`
	TextBody        string            `json:"textBody"`
	AMPBody         string            `json:"ampBody"`
	TrackOpens      bool              `json:"trackOpens"`
	TrackClicks     bool              `json:"trackClicks"`
	Attempt         int               `json:"attempt"`
	WebhookEndpoint string            `json:"webhookEndpoint"`
	MXRecords       []string          `json:"mxRecords"`
}

// NameEmail is an address in an answer.
type NameEmail struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// MessageTo is the recipient in an answer; lists are flat in the legacy
// contract.
type MessageTo struct {
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	Cc           []string          `json:"cc"`
	Bcc          []string          `json:"bcc"`
	CustomFields map[string]string `json:"customFields"`
}

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

// EventMetadata repeats the reply, as the documents do.
type EventMetadata struct {
	SMTPCode        int    `json:"smtpCode"`
	SMTPDescription string `json:"smtpDescription"`
}

type messagePath struct {
	ID string `path:"id" maxLength:"64"`
}

func (a *API) messageRoutes() {
	const one = "/account/message/{id}"
	register(a, operation(http.MethodGet, one, "Read one message", waypost.KeyAccount), nil, a.getMessage)
	register(a, operation(http.MethodGet, one+"/events", "The events of one message, oldest first", waypost.KeyAccount), nil, a.messageEvents)
	register(a, operation(http.MethodGet, one+"/timeline", "Everything known of one message's way", waypost.KeyAccount), nil, a.timeline)
	register(a, operation(http.MethodGet, one+"/explain", "Why a message went where it did, and what it waits for", waypost.KeyAccount), nil, a.explainMessage)
}

// trail reads a message of the caller's account and its way.
func (a *API) trail(ctx context.Context, id string) (store.Trail, waypost.Content, error) {
	uuid, err := waypost.ParseUUID(id)
	if err != nil {
		return store.Trail{}, waypost.Content{}, notFound("message", strconv.Quote(id)+"; a message id is the messageId of the send call's answer")
	}
	t, err := a.cfg.Store.Trail(ctx, caller(ctx).Account, uuid)
	if isNotFound(err) {
		return t, waypost.Content{}, notFound("message", id)
	}
	if err != nil {
		return t, waypost.Content{}, fmt.Errorf("read message %s: %w", id, err)
	}
	c, err := a.cfg.Store.Content(ctx, t.Message.Content)
	if err != nil && !isNotFound(err) { // content may be past its retention
		return t, c, fmt.Errorf("read the content of message %s: %w", id, err)
	}
	return t, c, nil
}

func (a *API) getMessage(ctx context.Context, in *messagePath) (Message, error) {
	t, c, err := a.trail(ctx, in.ID)
	if err != nil {
		return Message{}, err
	}
	m := &t.Message
	fields := flatten(m.Variables)
	to := MessageTo{Name: m.To.Name, Email: m.Recipient, Cc: []string{}, Bcc: []string{}, CustomFields: fields}
	header := to
	header.Email = m.To.Email
	out := Message{
		MessageID: m.ID.String(), AccountID: m.Account, SubAccountID: m.SubAccount, AccountIPPoolID: m.Pool,
		EmailType: m.Mailbox.String(), SubmittedAt: m.SubmittedAt.UnixNano(),
		From: NameEmail(c.From), ReplyTo: NameEmail(c.ReplyTo), To: to, HeaderTo: header,
		HeaderCc: []string{}, HeaderBcc: []string{}, Attachments: []string{}, Groups: append([]string{}, c.Groups...),
		IPPool: c.Pool, Headers: map[string]string{}, CustomFields: fields,
		Subject: c.Subject, PreText: c.PreText, HTMLBody: c.HTML, TextBody: c.Text, AMPBody: c.AMP,
		TrackOpens: c.TrackOpens, TrackClicks: c.TrackClicks, Attempt: attempts(&t),
		WebhookEndpoint: c.Webhook, MXRecords: []string{},
	}
	for _, cc := range m.Cc {
		out.HeaderCc = append(out.HeaderCc, cc.Email)
		out.To.Cc = append(out.To.Cc, cc.Email)
	}
	for _, h := range c.Headers {
		out.Headers[h.Name] = h.Value
	}
	for i := range c.Attachments {
		out.Attachments = append(out.Attachments, c.Attachments[i].Filename)
	}
	return out, nil
}

// attempts counts the attempts to relay a message.
func attempts(t *store.Trail) int {
	n := len(t.Attempts)
	for i := range t.Events {
		n = max(n, t.Events[i].Attempt)
	}
	return n
}

func (a *API) messageEvents(ctx context.Context, in *messagePath) ([]Event, error) {
	t, c, err := a.trail(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := []Event{}
	for i := range t.Events {
		if !t.Events[i].Evidence {
			out = append(out, eventView(&t.Events[i], &t.Message, &c))
		}
	}
	return out, nil
}

func eventView(e *waypost.Event, m *waypost.Message, c *waypost.Content) Event {
	return Event{
		EventID: strconv.FormatInt(e.ID, 10), Groups: append([]string{}, c.Groups...), IPPoolID: m.Pool, DomainID: m.Domain,
		TPSPID: e.Provider, MessageType: m.Mailbox.String(), MessageSubject: c.Subject,
		AccountID: e.Account, SubAccountID: e.SubAccount, MessageID: e.Message.String(), Type: int(e.Type),
		From: c.From.Email, FromName: c.From.Name, To: m.Recipient, ToName: m.To.Name,
		SubmittedAt: e.At.Unix(), SMTPCode: e.Code, SMTPDescription: e.Text,
		EventMetadata: EventMetadata{SMTPCode: e.Code, SMTPDescription: e.Text},
	}
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

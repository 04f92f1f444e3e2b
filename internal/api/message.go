package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

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
	Attempt         *int              `json:"attempt,omitempty" doc:"attempts to relay; left out of lists"`
	WebhookEndpoint string            `json:"webhookEndpoint"`
	MXRecords       []string          `json:"mxRecords" doc:"of the recipient's domain as it is now, most preferred first; lists tell those that are known already"`
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

// MessageV1 is a message in the contract v1.
type MessageV1 struct {
	MessageID    string              `json:"messageId"`
	SubAccountID int64               `json:"subAccountId"`
	PublicIP     string              `json:"publicIp"`
	EmailType    string              `json:"emailType"`
	SubmittedAt  int64               `json:"submittedAt" doc:"UNIX nanoseconds"`
	From         NameEmail           `json:"from"`
	ReplyTo      NameEmail           `json:"replyTo"`
	To           MessageToV1         `json:"to"`
	HeaderTo     MessageToV1         `json:"headerTo"`
	HeaderCc     []NameEmail         `json:"headerCc"`
	HeaderBcc    []NameEmail         `json:"headerBcc"`
	Attachments  []MessageAttachment `json:"attachments"`
	Groups       []string            `json:"groups"`
	IPPool       string              `json:"ipPool"`
	Headers      map[string]string   `json:"headers"`
	Subject      string              `json:"subject"`
	PreText      string              `json:"preText"`
	HTMLBody     string              `json:"htmlBody"`
	TextBody     string              `json:"textBody"`
	AMPBody      string              `json:"ampBody"`
	TrackOpens   bool                `json:"trackOpens"`
	TrackClicks  bool                `json:"trackClicks"`
}

// MessageToV1 is MessageTo in the contract v1.
type MessageToV1 struct {
	Name         string         `json:"name"`
	Email        string         `json:"email"`
	Cc           []NameEmail    `json:"cc"`
	Bcc          []NameEmail    `json:"bcc"`
	CustomFields map[string]any `json:"customFields"`
}

// MessageAttachment names a file of a message.
type MessageAttachment struct {
	Filename string `json:"filename"`
	Content  string `json:"content" doc:"always empty: files are not given out again"`
}

// foundMessage is a message with its content.
type foundMessage struct {
	waypost.Message
	content  waypost.Content
	attempts *int
	publicIP string   // of the IP that stands for the provider, "" without one
	mx       []string // mail hosts of the recipient's domain, as far as they are known
}

var messageViews = views[foundMessage, Message, MessageV1]{legacy: messageView, v1: messageViewV1}

type messagePath struct {
	ID string `path:"id" maxLength:"64"`
}

func (a *API) messageRoutes() {
	const one, own = "/account/message/{id}", "/subaccount/message/{id}"
	registerBoth(a, operation(http.MethodGet, one, "Read one message", waypost.KeyAccount), nil, a.getMessage, messageViews)
	registerBoth(a, operation(http.MethodGet, own, "Read one message", waypost.KeySubAccount), nil, a.getMessage, messageViews)
	registerBoth(a, operation(http.MethodGet, one+"/events", "The events of one message, oldest first", waypost.KeyAccount), nil, a.messageEvents, eventListViews)
	registerBoth(a, operation(http.MethodGet, own+"/events", "The events of one message, oldest first", waypost.KeySubAccount), nil, a.messageEvents, eventListViews)
	register(a, operation(http.MethodGet, one+"/timeline", "Everything known of one message's way", waypost.KeyAccount), nil, a.timeline)
	register(a, operation(http.MethodGet, one+"/explain", "Why a message went where it did, and what it waits for", waypost.KeyAccount), nil, a.explainMessage)
	a.listingRoutes()
}

// unknown answers for an id that the caller has nothing of: 404 below
// /account, 406 below /subaccount (sendpost.md, a.1).
func unknown(ctx context.Context, kind string, id any) *Error {
	if caller(ctx).SubAccount != 0 {
		return missing(http.StatusNotAcceptable, kind, id)
	}
	return notFound(kind, id)
}

// trail reads a message of the caller's and its way.
func (a *API) trail(ctx context.Context, id string) (store.Trail, waypost.Content, error) {
	uuid, err := waypost.ParseUUID(id)
	if err != nil {
		return store.Trail{}, waypost.Content{}, unknown(ctx, "message", strconv.Quote(id)+"; a message id is the messageId of the send call's answer")
	}
	t, err := a.cfg.Store.Trail(ctx, caller(ctx).Account, uuid)
	if own := caller(ctx).SubAccount; isNotFound(err) || err == nil && own != 0 && own != t.Message.SubAccount {
		return store.Trail{}, waypost.Content{}, unknown(ctx, "message", id)
	}
	if err != nil {
		return t, waypost.Content{}, fmt.Errorf("read message %s: %w", id, err)
	}
	c, err := a.heads.Get(ctx, t.Message.Content)
	if err != nil && !isNotFound(err) { // content may be past its retention
		return t, c, fmt.Errorf("read the content of message %s: %w", id, err)
	}
	return t, c, nil
}

func (a *API) getMessage(ctx context.Context, in *messagePath) (foundMessage, error) {
	t, c, err := a.trail(ctx, in.ID)
	if err != nil {
		return foundMessage{}, err
	}
	n := attempts(&t)
	return foundMessage{
		Message: t.Message, content: c, attempts: &n, publicIP: a.publicIP(&t.Message),
		mx: a.mx(ctx, &t.Message, mxPatience),
	}, nil
}

// mxPatience is how long the answer about one message waits for the MX of its
// recipient's domain. Lists tell what is known without a look-up.
const mxPatience = time.Second

// mx are the mail hosts of a message's recipient; none of a message that was
// never to leave.
func (a *API) mx(ctx context.Context, m *waypost.Message, patience time.Duration) []string {
	if m.Provider == 0 {
		return nil
	}
	return a.cfg.Queue.MX(ctx, m.Recipient, patience)
}

func (a *API) publicIP(m *waypost.Message) string {
	if m.IP() == 0 {
		return ""
	}
	return a.pseudoIP().String()
}

func messageView(f foundMessage) Message {
	m, c := &f.Message, &f.content
	fields := flatten(m.Variables)
	to := MessageTo{Name: m.RecipientName(), Email: m.Recipient, Cc: []string{}, Bcc: []string{}, CustomFields: fields}
	for _, cc := range m.Cc {
		to.Cc = append(to.Cc, cc.Email)
	}
	for _, bcc := range m.Bcc {
		to.Bcc = append(to.Bcc, bcc.Email)
	}
	header := to
	header.Name, header.Email = m.To.Name, m.To.Email
	out := Message{
		MessageID: m.ID.String(), AccountID: m.Account, SubAccountID: m.SubAccount, AccountIPPoolID: m.Pool, IPID: m.IP(), PublicIP: f.publicIP,
		EmailType: m.Mailbox.String(), SubmittedAt: m.SubmittedAt.UnixNano(),
		From: NameEmail(c.From), ReplyTo: NameEmail(c.Replies()), To: to, HeaderTo: header,
		HeaderCc: to.Cc, HeaderBcc: to.Bcc, Attachments: []string{}, Groups: append([]string{}, c.Groups...),
		IPPool: c.Pool, Headers: headerMap(c), CustomFields: fields,
		Subject: c.Subject, PreText: c.PreText, HTMLBody: c.HTML, TextBody: c.Text, AMPBody: c.AMP,
		TrackOpens: c.TrackOpens, TrackClicks: c.TrackClicks, Attempt: f.attempts,
		WebhookEndpoint: c.Webhook, MXRecords: append([]string{}, f.mx...),
	}
	for i := range c.Attachments {
		out.Attachments = append(out.Attachments, c.Attachments[i].Filename)
	}
	return out
}

func messageViewV1(f foundMessage) MessageV1 {
	m, c := &f.Message, &f.content
	fields := map[string]any{}
	_ = json.Unmarshal(m.Variables, &fields) // checked when it came
	to := MessageToV1{Name: m.RecipientName(), Email: m.Recipient, Cc: []NameEmail{}, Bcc: []NameEmail{}, CustomFields: fields}
	for _, cc := range m.Cc {
		to.Cc = append(to.Cc, NameEmail(cc))
	}
	for _, bcc := range m.Bcc {
		to.Bcc = append(to.Bcc, NameEmail(bcc))
	}
	header := to
	header.Name, header.Email = m.To.Name, m.To.Email
	out := MessageV1{
		MessageID: m.ID.String(), SubAccountID: m.SubAccount, PublicIP: f.publicIP, EmailType: m.Mailbox.String(), SubmittedAt: m.SubmittedAt.UnixNano(),
		From: NameEmail(c.From), ReplyTo: NameEmail(c.Replies()), To: to, HeaderTo: header, HeaderCc: to.Cc, HeaderBcc: to.Bcc,
		Attachments: []MessageAttachment{}, Groups: append([]string{}, c.Groups...), IPPool: c.Pool, Headers: headerMap(c),
		Subject: c.Subject, PreText: c.PreText, HTMLBody: c.HTML, TextBody: c.Text, AMPBody: c.AMP,
		TrackOpens: c.TrackOpens, TrackClicks: c.TrackClicks,
	}
	for i := range c.Attachments {
		out.Attachments = append(out.Attachments, MessageAttachment{Filename: c.Attachments[i].Filename})
	}
	return out
}

func headerMap(c *waypost.Content) map[string]string {
	out := map[string]string{}
	for _, h := range c.Headers {
		out[h.Name] = h.Value
	}
	return out
}

// attempts counts the attempts to relay a message.
func attempts(t *store.Trail) int {
	n := len(t.Attempts)
	for i := range t.Events {
		n = max(n, t.Events[i].Attempt)
	}
	return n
}

func (a *API) messageEvents(ctx context.Context, in *messagePath) ([]foundEvent, error) {
	t, c, err := a.trail(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out, head := []foundEvent{}, headOf(&c)
	for i := range t.Events {
		if !t.Events[i].Evidence {
			out = append(out, a.found(&t.Events[i], &t.Message, &head))
		}
	}
	return out, nil
}

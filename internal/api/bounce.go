package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// BounceReport is our own view of a mail that came back.
type BounceReport struct {
	ID             string     `json:"id"`
	ReceivedAt     time.Time  `json:"receivedAt"`
	SubAccountID   int64      `json:"subAccountId"`
	MessageID      string     `json:"messageId,omitempty" doc:"the message it is about; absent when none was found"`
	TPSPID         int64      `json:"tpspId,omitempty"`
	Envelope       string     `json:"envelopeRecipient" doc:"the address it came to"`
	Kind           string     `json:"kind" enum:"bounce,delayed,delivered,vacation,challenge,feedback,other"`
	Recipient      string     `json:"recipient,omitempty"`
	Verdict        string     `json:"verdict" enum:"hard,soft,complaint,unsubscribe,none"`
	Reason         string     `json:"reason,omitempty"`
	Rule           string     `json:"rule,omitempty"`
	Code           int        `json:"smtpCode,omitempty"`
	Enhanced       string     `json:"enhancedCode,omitempty"`
	Text           string     `json:"text,omitempty"`
	QueueID        string     `json:"queueId,omitempty"`
	Status         string     `json:"status" enum:"counted,evidence,held,ignored,unlinked"`
	Note           string     `json:"note,omitempty"`
	Reclassified   string     `json:"reclassified,omitempty" enum:"hard,soft,none"`
	ReclassifiedAt *time.Time `json:"reclassifiedAt,omitempty"`
}

// BounceDetail adds what was read from the report, and the report itself.
type BounceDetail struct {
	BounceReport
	Parsed BounceParsed `json:"parsed"`
	Raw    string       `json:"raw" doc:"the mail as it came; bytes that are not UTF-8 are replaced"`
}

// BounceParsed is what the reader found in a report.
type BounceParsed struct {
	Recipients        []BounceRecipient `json:"recipients"`
	EnvelopeID        string            `json:"envelopeId,omitempty"`
	ReturnedMessage   string            `json:"returnedMessage,omitempty" doc:"our id in the returned message"`
	ReturnedMessageID string            `json:"returnedMessageId,omitempty" doc:"Message-ID of the returned message"`
	FeedbackType      string            `json:"feedbackType,omitempty"`
}

// BounceRecipient is what a report says of one address.
type BounceRecipient struct {
	Address  string `json:"address"`
	Action   string `json:"action,omitempty"`
	Code     int    `json:"smtpCode,omitempty"`
	Enhanced string `json:"enhancedCode,omitempty"`
	Text     string `json:"text,omitempty"`
}

// Reclassify is a person's verdict on a report.
type Reclassify struct {
	Verdict string `json:"verdict" enum:"hard,soft,none"`
}

// LaneWarning says that a mailbox provider turns a lane's mail away.
type LaneWarning struct {
	TPSPID   int64     `json:"tpspId"`
	Mailbox  string    `json:"mailboxCategory"`
	Since    time.Time `json:"since"`
	LastAt   time.Time `json:"lastAt"`
	Troubled int       `json:"troubled" doc:"such replies in the last 30 minutes"`
	Reports  int       `json:"reports" doc:"all results that agents reported in the last 30 minutes"`
	Reason   string    `json:"reason" enum:"blocked,rate_limited,spam,auth"`
	Code     int       `json:"smtpCode,omitempty"`
	Text     string    `json:"text,omitempty"`
	Message  string    `json:"message"`
}

type bounceList struct {
	Limit      int    `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"entries to answer"`
	Offset     int    `query:"offset" default:"0" minimum:"0" doc:"entries to pass over"`
	Kind       string `query:"kind" maxLength:"20" doc:"bounce, delayed, delivered, vacation, challenge, feedback or other"`
	Status     string `query:"status" maxLength:"20" doc:"counted, evidence, held, ignored or unlinked"`
	Message    string `query:"messageId" maxLength:"64"`
	SubAccount int64  `query:"subAccountId" minimum:"0"`
}

type bouncePath struct {
	ID string `path:"id" maxLength:"64"`
}

type reclassifyInput struct {
	ID      string `path:"id" maxLength:"64"`
	RawBody []byte
}

func (a *API) bounceRoutes() {
	register(a, operation(http.MethodGet, "/account/bounce", "The mails that came back, newest first; kept for 30 days", waypost.KeyAccount), nil, a.listBounces)
	register(a, operation(http.MethodGet, "/account/bounce/{id}", "One mail that came back, read and raw", waypost.KeyAccount), nil, a.getBounce)
	register(a, operation(http.MethodPost, "/account/bounce/{id}/reclassify", "Put your verdict in the place of a report's; counts and suppression follow", waypost.KeyAccount), Reclassify{}, a.reclassify)
	register(a, operation(http.MethodGet, "/account/warnings", "Mailbox providers that turn your mail away now: at least 20 replies about blocking, rate, spam or authentication in 30 minutes, and at least a tenth of all", waypost.KeyAccount), nil, a.warnings)
}

func (a *API) listBounces(ctx context.Context, in *bounceList) ([]BounceReport, error) {
	q := store.ReportQuery{
		Account: caller(ctx).Account, SubAccount: in.SubAccount, Kind: in.Kind, Status: store.ReportStatus(in.Status),
		Limit: in.Limit, Offset: in.Offset,
	}
	if in.Message != "" {
		id, err := waypost.ParseUUID(in.Message)
		if err != nil {
			return nil, badField("messageId", "%v", err)
		}
		q.Message = id
	}
	all, err := a.cfg.Store.ListReports(ctx, q)
	out := make([]BounceReport, len(all))
	for i := range all {
		out[i] = bounceView(&all[i])
	}
	return out, err
}

func (a *API) getBounce(ctx context.Context, in *bouncePath) (BounceDetail, error) {
	id, err := waypost.ParseUUID(in.ID)
	if err != nil {
		return BounceDetail{}, notFound("bounce report", strconv.Quote(in.ID))
	}
	r, err := a.cfg.Store.Report(ctx, caller(ctx).Account, id)
	if isNotFound(err) {
		return BounceDetail{}, notFound("bounce report", in.ID)
	}
	if err != nil {
		return BounceDetail{}, err
	}
	p := bounce.Parse(bytes.NewReader(r.Raw), 0)
	out := BounceDetail{BounceReport: bounceView(&r), Raw: string(bytes.ToValidUTF8(r.Raw, []byte("\uFFFD"))), Parsed: BounceParsed{
		Recipients: []BounceRecipient{}, EnvelopeID: p.EnvelopeID, ReturnedMessageID: string(p.MessageID), FeedbackType: p.FeedbackType,
	}}
	if !p.Message.IsZero() {
		out.Parsed.ReturnedMessage = p.Message.String()
	}
	for _, to := range p.Recipients {
		out.Parsed.Recipients = append(out.Parsed.Recipients, BounceRecipient{to.Address, to.Action, to.Reply.Code, to.Reply.Enhanced, to.Reply.Text})
	}
	return out, nil
}

func (a *API) reclassify(ctx context.Context, in *reclassifyInput) (BounceReport, error) {
	body, err := decode[Reclassify](in.RawBody)
	if err != nil {
		return BounceReport{}, err
	}
	switch body.Verdict {
	case store.VerdictHard, store.VerdictSoft, store.VerdictNone:
	default:
		return BounceReport{}, badField("verdict", "must be hard, soft or none")
	}
	id, err := waypost.ParseUUID(in.ID)
	if err != nil {
		return BounceReport{}, notFound("bounce report", strconv.Quote(in.ID))
	}
	r, err := a.cfg.Door.Reclassify(ctx, caller(ctx).Account, id, body.Verdict, time.Now())
	switch {
	case isNotFound(err):
		return BounceReport{}, notFound("bounce report", in.ID)
	case errors.Is(err, ingest.ErrNotBounce):
		return BounceReport{}, badField("verdict", "%v", err)
	case err != nil:
		return BounceReport{}, err
	}
	return bounceView(&r), nil
}

func (a *API) warnings(ctx context.Context, _ *struct{}) ([]LaneWarning, error) {
	out := []LaneWarning{}
	for _, w := range a.cfg.Door.Warnings(caller(ctx).Account, time.Now()) {
		out = append(out, LaneWarning{
			TPSPID: w.Lane.Provider, Mailbox: w.Lane.Mailbox.String(), Since: w.Since, LastAt: w.Last, Troubled: w.Troubled,
			Reports: w.Reports, Reason: string(w.Reason), Code: w.Code, Text: w.Text,
			Message: "this mailbox provider turns mail of this SMTP provider away; send less to it, and look at the last reply for what it wants",
		})
	}
	return out, nil
}

func bounceView(r *store.Report) BounceReport {
	out := BounceReport{
		ID: r.ID.String(), ReceivedAt: r.Received, SubAccountID: r.SubAccount, TPSPID: r.Provider, Envelope: r.Envelope,
		Kind: r.Kind, Recipient: r.Recipient, Verdict: r.Verdict, Reason: string(r.Reason), Rule: r.Rule, Code: r.Code,
		Enhanced: r.Enhanced, Text: r.Text, QueueID: string(r.Queue), Status: string(r.Status), Note: r.Note, Reclassified: r.Reclassified,
	}
	if !r.Message.IsZero() {
		out.MessageID = r.Message.String()
	}
	if !r.ReclassifiedAt.IsZero() {
		out.ReclassifiedAt = &r.ReclassifiedAt
	}
	return out
}

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/store"
)

// The limits of one call (D-4).
const (
	maxTo          = 1000
	maxCopies      = 50
	maxAttachments = 25 << 20 // decoded bytes of all
	maxFiles       = 1000     // attachments, however small
	maxSubject     = 998      // characters
	maxPreText     = 200
	maxName        = 256
	maxFilename    = 255
	maxHeaders     = 100
	maxGroups      = 50
	maxText        = 5 << 20 // bytes of one body part
	maxEmailBody   = 64 << 20
)

// EmailMessage is the body of a send call (sendpost.md, a.3,
// EmailMessageObject).
type EmailMessage struct {
	From        EmailAddress      `json:"from"`
	ReplyTo     *EmailAddress     `json:"replyTo,omitempty"`
	To          []EmailRecipient  `json:"to"`
	Subject     string            `json:"subject,omitempty"`
	PreText     string            `json:"preText,omitempty"`
	HTMLBody    string            `json:"htmlBody,omitempty"`
	TextBody    string            `json:"textBody,omitempty"`
	AMPBody     string            `json:"ampBody,omitempty"`
	Template    string            `json:"template,omitempty" doc:"name of a stored template: gives what subject, htmlBody and textBody leave out"`
	TemplateID  templateID        `json:"templateId,omitempty" doc:"the same by its id"`
	Variables   json.RawMessage   `json:"templateVariables,omitempty" doc:"merge variables of every recipient, below customFields"`
	Dynamic     json.RawMessage   `json:"dynamicData,omitempty" doc:"further variables, below templateVariables"`
	IPPool      string            `json:"ippool,omitempty"`
	Headers     headerList        `json:"headers,omitempty"`
	TrackOpens  *bool             `json:"trackOpens,omitempty"`
	TrackClicks *bool             `json:"trackClicks,omitempty"`
	Groups      []string          `json:"groups,omitempty"`
	Attachments []EmailAttachment `json:"attachments,omitempty"`
	Webhook     string            `json:"webhookEndpoint,omitempty"`
}

// EmailAddress is a mailbox with a display name.
type EmailAddress struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// EmailRecipient is one entry of "to".
type EmailRecipient struct {
	Email        string          `json:"email"`
	Name         string          `json:"name,omitempty"`
	CustomFields json.RawMessage `json:"customFields,omitempty"`
	Cc           []EmailCopy     `json:"cc,omitempty"`
	Bcc          []EmailCopy     `json:"bcc,omitempty"`
}

// EmailCopy is a cc or bcc address.
type EmailCopy struct {
	Email        string          `json:"email"`
	Name         string          `json:"name,omitempty"`
	CustomFields json.RawMessage `json:"customFields,omitempty"`
}

// EmailAttachment is a file. Content is base64.
type EmailAttachment struct {
	Content     base64Data `json:"content"`
	Filename    string     `json:"filename"`
	ContentType string     `json:"contentType,omitempty"`
	ContentID   string     `json:"contentId,omitempty"`
}

// EmailResponse answers for one entry of "to" (sendpost.md, a.3).
type EmailResponse struct {
	To          string `json:"to"`
	SubmittedAt int64  `json:"submittedAt" doc:"UNIX nanoseconds"`
	MessageID   string `json:"messageId"`
	ErrorCode   int    `json:"errorCode"`
	Message     string `json:"message"`
}

// The error codes of an EmailResponse.
const (
	codeOK               = 0
	codeInvalidRecipient = 1
	codeSuppressed       = 2
)

// sendInput is a send call.
type sendInput struct {
	Key string `header:"Idempotency-Key" doc:"1 to 255 printable ASCII characters; for 24 hours the same key and body give the same answer and send once"`

	late lateBody
	body []byte // until it is read into a submission
}

// Resolve implements [huma.Resolver].
func (in *sendInput) Resolve(ctx huma.Context) []error {
	in.late = lateBodyOf(ctx)
	return nil
}

// sendReply is the answer to a send call.
type sendReply struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when the call was made before under its Idempotency-Key: nothing was sent"`
	Body     json.RawMessage
}

func (a *API) emailRoutes() {
	send := operation(http.MethodPost, "/subaccount/email", "Send a message to 1 to 1,000 recipients", waypost.KeySubAccount)
	stored := operation(http.MethodPost, "/subaccount/email/template", "Send a stored template to 1 to 1,000 recipients", waypost.KeySubAccount)
	for op, needTemplate := range map[*huma.Operation]bool{&send: false, &stored: true} {
		op.Errors = append(op.Errors, http.StatusConflict)
		answers := huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeFor[[]EmailResponse]())
		op.Responses = map[string]*huma.Response{"200": {
			Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{"application/json": {Schema: answers}},
		}}
		huma.Register(a.huma, *op, func(ctx context.Context, in *sendInput) (*sendReply, error) {
			out, err := a.send(ctx, in, needTemplate)
			if err != nil {
				return nil, a.explain(ctx, op, err)
			}
			return out, nil
		})
		describeLateBody(a, op, EmailMessage{})
	}
	a.previewRoutes()
}

// send accepts one call: parse, check, one message per recipient, durable when
// it answers.
func (a *API) send(ctx context.Context, in *sendInput, needTemplate bool) (*sendReply, error) {
	grow, free, err := a.room.take(ctx, min(in.late.length, maxEmailBody))
	if err != nil {
		return nil, err
	}
	defer free()
	if in.body, err = in.late.whole(maxEmailBody, emailPatience, grow); err != nil {
		return nil, err
	}
	replay, err := a.replayOf(ctx, in)
	if err != nil {
		return nil, err
	}
	if done, err := a.replayed(ctx, replay); done != nil || err != nil {
		return done, err
	}
	submission, err := a.submission(ctx, &in.body, needTemplate)
	if err != nil {
		return nil, err
	}
	submission.Replay, submission.Answer = replay, answerBytes
	accepted, err := a.cfg.Queue.Enqueue(ctx, submission)
	if replay != nil && errors.Is(err, store.ErrExists) { // a call beside this one was faster
		if done, err := a.replayed(ctx, replay); done != nil || err != nil {
			return done, err
		}
	}
	if err != nil {
		return nil, err
	}
	if replay != nil {
		return &sendReply{Body: replay.Answer}, nil
	}
	answer, err := answerBytes(accepted)
	return &sendReply{Body: answer}, err
}

// answerBytes writes the answer, which is the same in both contracts.
func answerBytes(accepted []queue.Accepted) ([]byte, error) {
	out := make([]EmailResponse, len(accepted))
	for i := range accepted {
		out[i] = emailResponse(&accepted[i])
	}
	return json.Marshal(out)
}

// emailResponse puts what was accepted into the documented codes. A missing
// return path is no send error (D-5).
func emailResponse(m *queue.Accepted) EmailResponse {
	r := EmailResponse{To: m.To, SubmittedAt: m.At.UnixNano(), MessageID: m.ID.String(), Message: "Email submitted successfully"}
	codes := map[waypost.Reason]int{
		waypost.DropInvalid: codeInvalidRecipient, waypost.DropSuppressed: codeSuppressed,
		waypost.DropDuplicate: codeInvalidRecipient, waypost.DropRole: codeInvalidRecipient, waypost.DropNullMX: codeInvalidRecipient,
	}
	if code := codes[m.Drop]; code != codeOK {
		r.ErrorCode, r.Message = code, m.Message
	}
	return r
}

// largeCall is from how many bytes on a call's body is collected at once.
const largeCall = 4 << 20

// emailPatience is how long a client may take to send its call.
const emailPatience = 5 * time.Minute

// submission reads a call and puts it into the words of the queue. The body is
// let go: files need not be in memory twice.
func (a *API) submission(ctx context.Context, body *[]byte, needTemplate bool) (*queue.Submission, error) {
	key := caller(ctx)
	if err := overfull(*body); err != nil {
		return nil, err
	}
	message, err := decode[EmailMessage](*body)
	large := len(*body) > largeCall
	if *body = nil; large {
		debug.FreeOSMemory() // the text of large files goes before more is made of them
	}
	if err != nil {
		return nil, err
	}
	if err := a.applyTemplate(ctx, &message, needTemplate); err != nil {
		return nil, err
	}
	submission, err := message.submission()
	if err != nil {
		return nil, err
	}
	submission.SubAccount, err = a.cfg.Store.SubAccount(ctx, key.Account, key.SubAccount)
	if err != nil {
		return nil, fmt.Errorf("read sub-account %d: %w", key.SubAccount, err)
	}
	if submission.SubAccount.Blocked {
		return nil, denied("this sub-account is blocked and accepts no mail; unblock it in the account")
	}
	return submission, nil
}

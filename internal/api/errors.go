package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// Error is the body of every error answer (D-2).
type Error struct {
	Body ErrorBody `json:"error"`
	// The connection test that refused a provider: its fields stand in the
	// answer as they do in that of a test alone (D-13), and in the error again
	// for programs that read nothing else of a refusal.
	*smtp.ProbeResult

	status int
	retry  int // seconds of Retry-After, 0: none
}

// ErrorBody says what went wrong and what to do next.
type ErrorBody struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Param   string        `json:"param,omitempty"`
	Type    string        `json:"type"`
	Details []ErrorDetail `json:"details,omitempty"`
	Test    any           `json:"test,omitempty"`
}

// ErrorDetail is one field's trouble.
type ErrorDetail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is the message.
func (e *Error) Error() string { return e.Body.Message }

// GetStatus is the HTTP status.
func (e *Error) GetStatus() int { return e.status }

// GetHeaders gives Retry-After where there is one.
func (e *Error) GetHeaders() http.Header {
	h := http.Header{}
	if e.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(e.retry))
	}
	return h
}

var errorKinds = map[int]struct{ code, kind string }{
	http.StatusBadRequest:            {"invalid_request", "invalid_request_error"},
	http.StatusUnauthorized:          {"authentication_failed", "authentication_error"},
	http.StatusForbidden:             {"resource_exists", "conflict_error"},
	http.StatusNotFound:              {"resource_not_found", "not_found_error"},
	http.StatusMethodNotAllowed:      {"invalid_request", "invalid_request_error"},
	http.StatusNotAcceptable:         {"resource_not_found", "not_found_error"},
	http.StatusRequestTimeout:        {"invalid_request", "invalid_request_error"},
	http.StatusConflict:              {"conflict", "conflict_error"},
	http.StatusRequestEntityTooLarge: {"invalid_request", "invalid_request_error"},
	http.StatusUnprocessableEntity:   {"validation_error", "invalid_request_error"},
	http.StatusTooManyRequests:       {"rate_limit_exceeded", "rate_limit_error"},
}

// fail makes an error of a status.
func fail(status int, message string) *Error {
	kind, ok := errorKinds[status]
	if !ok {
		kind.code, kind.kind = "internal_error", "api_error"
	}
	return &Error{status: status, Body: ErrorBody{Code: kind.code, Type: kind.kind, Message: message}}
}

// unacceptable is a 406 that is about no missing object: a call that gives
// nothing, or an object that cannot go (sendpost.md, a.1).
func unacceptable(message string) *Error {
	e, kind := fail(http.StatusNotAcceptable, message), errorKinds[http.StatusBadRequest]
	e.Body.Code, e.Body.Type = kind.code, kind.kind
	return e
}

// invalid refuses fields of a request with 422.
func invalid(details ...ErrorDetail) *Error {
	parts := make([]string, len(details))
	for i, d := range details {
		parts[i] = d.Field + ": " + d.Message
	}
	e := fail(http.StatusUnprocessableEntity, strings.Join(parts, "; "))
	e.Body.Param, e.Body.Details = details[0].Field, details
	return e
}

// badField refuses one field with 422.
func badField(field, format string, args ...any) *Error {
	return invalid(ErrorDetail{field, fmt.Sprintf(format, args...)})
}

// explain turns whatever a handler returned into the one shape. What the
// caller cannot mend is logged, and told without its inside.
func (a *API) explain(ctx context.Context, op *huma.Operation, err error) error {
	var ready *Error
	var refused *queue.Refused
	switch {
	case errors.As(err, &ready):
		return huma.ErrorWithHeaders(ready, ready.GetHeaders())
	case errors.As(err, &refused):
		return invalid(ErrorDetail{refused.Field, refused.Message})
	case ctx.Err() != nil: // the caller is gone
		return fail(http.StatusServiceUnavailable, "the request was cancelled")
	case errors.Is(err, store.ErrUnavailable):
		a.cfg.Log.ErrorContext(ctx, "storage unavailable; request refused", "operation", op.OperationID, "error", err)
		e := fail(http.StatusServiceUnavailable, "storage cannot accept now; nothing was stored; try again")
		e.retry = 5
		return huma.ErrorWithHeaders(e, e.GetHeaders())
	case errors.Is(err, store.ErrUnknown):
		a.cfg.Log.ErrorContext(ctx, "storage was lost during a request; it may have been stored or not", "operation", op.OperationID, "error", err)
		e := fail(http.StatusServiceUnavailable, "storage was lost while it stored this: it may have been stored or not; look before you try again, or send calls with an Idempotency-Key, which may be repeated")
		e.retry = 5
		return huma.ErrorWithHeaders(e, e.GetHeaders())
	}
	a.cfg.Log.ErrorContext(ctx, "request failed", "operation", op.OperationID, "error", err)
	return fail(http.StatusInternalServerError, "the server met an error of its own; the log has the details")
}

func writeError(w http.ResponseWriter, e *Error) {
	maps.Copy(w.Header(), e.GetHeaders())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("Content-Length")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(e) // the caller may be gone
}

// useErrorShape makes the framework's own refusals (a bad path parameter, a
// body too large) take the one shape, without the value that it would echo.
// The framework keeps this in a package variable.
var useErrorShape = sync.OnceFunc(func() {
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		e := frameworkError(status, message, errs)
		if op := ctx.Operation(); op != nil && slices.ContainsFunc(errs, inPath) {
			return noSuchID(op.Path)
		}
		return e
	}
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return frameworkError(status, message, errs)
	}
})

// inPath tells of an error that it is about the id in the path.
func inPath(err error) bool {
	var d huma.ErrorDetailer
	return errors.As(err, &d) && d.ErrorDetail().Location == "path.id"
}

// noSuchID answers for an id that is no number from 1 on: such an object is
// not there, like one of another number (sendpost.md, a.0).
func noSuchID(path string) *Error {
	status := http.StatusNotFound
	if strings.HasPrefix(path, base+"/subaccount/") {
		status = http.StatusNotAcceptable
	}
	e := fail(status, "id: nothing has such an id; check it, or list what there is")
	e.Body.Param = "id"
	return e
}

func frameworkError(status int, message string, errs []error) *Error {
	if status == http.StatusBadRequest {
		status = http.StatusUnprocessableEntity
	}
	e := fail(status, message)
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			detail := d.ErrorDetail()
			field := detail.Location
			for _, place := range []string{"body.", "path.", "query.", "header."} {
				field = strings.TrimPrefix(field, place)
			}
			e.Body.Details = append(e.Body.Details, ErrorDetail{field, detail.Message})
		}
	}
	if len(e.Body.Details) == 0 && status == http.StatusUnprocessableEntity {
		e.Body.Param = "body"
	}
	if len(e.Body.Details) > 0 {
		e.Body.Param = e.Body.Details[0].Field
		e.Body.Message = e.Body.Param + ": " + e.Body.Details[0].Message
	}
	return e
}

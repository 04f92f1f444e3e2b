package api

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost/internal/smtp"
)

// ndjson is the content type of an answer that comes line by line.
const ndjson = "application/x-ndjson"

// probeLine is one line of the answer to a request that makes a connection test
// and asks to follow it. One of its parts is set.
type probeLine struct {
	Plan   []string        `json:"plan,omitempty"`   // first: the names of the steps to come, if none fails
	Step   *smtp.ProbeStep `json:"step,omitempty"`   // a step that has ended
	Status int             `json:"status,omitempty"` // last: of the answer that the request would have had
	Answer json.RawMessage `json:"answer,omitempty"`
}

// stepStream writes the lines. Until the test begins it lets everything
// through; what is answered after it has begun is held for the last line.
type stepStream struct {
	http.ResponseWriter
	begun  bool
	status int
	header http.Header // of the answer that is held
	held   bytes.Buffer
}

type stepStreamKey struct{}

// streamsSteps lets a connection test that this request makes tell of its
// steps, when its caller asks for that. The caller ends the stream.
func streamsSteps(w http.ResponseWriter, r *http.Request) (*stepStream, *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut || !wantsLines(r.Header.Get("Accept")) {
		return nil, r
	}
	s := &stepStream{ResponseWriter: w, status: http.StatusOK, header: http.Header{}}
	r = r.WithContext(context.WithValue(r.Context(), stepStreamKey{}, s))
	r.Header = r.Header.Clone()
	r.Header.Set("Accept", "application/json") // of the answer in the last line
	return s, r
}

func wantsLines(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == ndjson {
			return true
		}
	}
	return false
}

// observe has the caller of a request hear of a test's steps, when it asked for
// that.
func observe(ctx context.Context, c *smtp.Config) {
	s, ok := ctx.Value(stepStreamKey{}).(*stepStream)
	if !ok || s.begun {
		return
	}
	s.begin()
	s.line(&probeLine{Plan: smtp.ProbeSteps(c)})
	c.OnStep = func(step smtp.ProbeStep) { s.line(&probeLine{Step: &step}) }
}

func (s *stepStream) begin() {
	s.begun = true
	h := s.ResponseWriter.Header()
	h.Set("Content-Type", ndjson)
	h.Set("X-Accel-Buffering", "no") // a reverse proxy must not hold it back
	s.ResponseWriter.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(2 * time.Minute)) // not every writer knows deadlines
}

// line writes a line at once. When the caller is gone, the request's context
// ends the test.
func (s *stepStream) line(l *probeLine) {
	b, err := json.Marshal(l)
	if err != nil {
		panic("BUG: a line of a connection test cannot be written as JSON: " + err.Error())
	}
	_, _ = s.ResponseWriter.Write(append(b, '\n'))
	_ = http.NewResponseController(s.ResponseWriter).Flush()
}

// end writes the last line.
func (s *stepStream) end() {
	if s == nil || !s.begun {
		return
	}
	answer := bytes.TrimSpace(s.held.Bytes())
	if !json.Valid(answer) {
		answer = nil
	}
	s.line(&probeLine{Status: s.status, Answer: answer})
}

// Header implements [http.ResponseWriter].
func (s *stepStream) Header() http.Header {
	if s.begun {
		return s.header
	}
	return s.ResponseWriter.Header()
}

// WriteHeader implements [http.ResponseWriter].
func (s *stepStream) WriteHeader(status int) {
	if s.begun {
		s.status = status
		return
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (s *stepStream) Write(b []byte) (int, error) {
	if s.begun {
		return s.held.Write(b)
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *stepStream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// stepwise says in the document that an operation makes a connection test,
// which can be followed.
func stepwise(op huma.Operation) huma.Operation {
	op.Description = "With `Accept: " + ndjson + "` the answer is one JSON value a line, written while the connection test goes on: " +
		"`{\"plan\": […]}` with the names of the steps to come; `{\"step\": {…}}` for each step that has ended, in the form of the test's `steps`; " +
		"at last `{\"status\": …, \"answer\": {…}}` with the status and the body of the usual answer. " +
		"What is refused before a test begins, or needs none, is answered as usual."
	return op
}

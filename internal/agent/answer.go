package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// answerKind is what an answer means for the batch.
type answerKind uint8

const (
	failed     answerKind = iota // keep the events and try again later
	taken                        // every item has its result
	tooMuch                      // send less
	keyRefused                   // keep the events; an operator must act
)

type answer struct {
	kind  answerKind
	code  int
	reply *waypost.ReportReply
	err   error
	after time.Duration // of a Retry-After
	dated bool          // the answer says what time it is
	skew  time.Duration // the server's clock ahead of ours
	took  time.Duration
}

// judge reads an answer to n events that were sent at a time.
func judge(resp *http.Response, body []byte, readErr error, n int, start time.Time) answer {
	a := answer{code: resp.StatusCode}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now := time.Now()
		a.dated, a.skew = true, date.Sub(start.Add(now.Sub(start)/2)).Truncate(time.Second)
		if a.skew.Abs() < 2*time.Second { // the header has whole seconds
			a.skew = 0
		}
	}
	a.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		if readErr != nil {
			a.err = fmt.Errorf("read the server's answer: %w", readErr)
			return a
		}
		if a.reply, a.err = readReply(body, n); a.err == nil {
			a.kind = taken
		}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		a.kind = keyRefused
		a.err = fmt.Errorf("the server refuses the key with %d: check api-key and that its provider still exists", code)
	case code == http.StatusRequestEntityTooLarge:
		a.kind = tooMuch
		a.err = errors.New("the server finds the report too large (413)")
	case (code == http.StatusBadRequest || code == http.StatusUnprocessableEntity) && json.Valid(body):
		a.kind = tooMuch // one event may be at fault: find it by halving
		a.err = fmt.Errorf("the server refuses the report with %d: %s", code, excerpt(body))
	case code >= 300 && code < 400:
		a.err = fmt.Errorf("the server answers with a redirection (%d) to %q: set endpoint to the final address", code, excerpt([]byte(resp.Header.Get("Location"))))
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		a.err = fmt.Errorf("the server answers %d: endpoint does not lead to Waypost's event API", code)
	default:
		a.err = fmt.Errorf("the server answers %d: %s", code, excerpt(body))
	}
	return a
}

// readReply reads a ReportReply and refuses everything else: a proxy's page
// with status 200 is no receipt.
func readReply(body []byte, n int) (*waypost.ReportReply, error) {
	var shape struct {
		Accepted *int                   `json:"accepted"`
		Rejected *int                   `json:"rejected"`
		Results  []waypost.ReportResult `json:"results"`
	}
	if err := json.Unmarshal(body, &shape); err != nil || shape.Accepted == nil {
		return nil, fmt.Errorf("the answer is not Waypost's but %q: endpoint leads elsewhere, or a proxy answers", excerpt(body))
	}
	r := &waypost.ReportReply{Accepted: *shape.Accepted, Results: shape.Results}
	if shape.Rejected != nil {
		r.Rejected = *shape.Rejected
	}
	if len(r.Results) != n && (len(r.Results) != 0 || r.Accepted+r.Rejected != n) {
		return nil, fmt.Errorf("the answer has %d results, %d accepted and %d rejected for %d events", len(r.Results), r.Accepted, r.Rejected, n)
	}
	return r, nil
}

// excerpt makes the start of a foreign text fit for a log.
func excerpt(b []byte) string {
	s := strings.ToValidUTF8(string(b[:min(len(b), 200)]), "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 is none.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(min(max(n, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

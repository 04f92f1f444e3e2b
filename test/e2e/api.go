package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Keys travel in one of these headers.
const (
	accountHeader = "X-Account-ApiKey"
	subHeader     = "X-SubAccount-ApiKey"
	eventHeader   = "X-SP-Event-ApiKey"
)

var client = &http.Client{Timeout: time.Minute}

// call is one request to the API.
type call struct {
	method, path string
	header, key  string // which key, and the key
	body         any    // marshalled; []byte goes as it is
	extra        map[string]string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes a call; err tells of a connection that failed.
func (s *server) do(ctx context.Context, c call) (answer, error) {
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return answer{}, fmt.Errorf("marshal a request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, "http://"+s.addr+c.path, body)
	if err != nil {
		return answer{}, fmt.Errorf("make a request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.header != "" {
		r.Header.Set(c.header, c.key)
	}
	for k, v := range c.extra {
		r.Header.Set(k, v)
	}
	got, err := client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	defer func() { _ = got.Body.Close() }()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer to %s %s: %w", c.method, c.path, err)
	}
	return answer{got.StatusCode, got.Header, b}, nil
}

// ask makes a call that must be answered.
func (s *server) ask(t testing.TB, c call) answer {
	t.Helper()
	a, err := s.do(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get makes a call that must succeed, and reads its answer into out.
func (s *server) get(t testing.TB, c call, out any) {
	t.Helper()
	a := s.ask(t, c)
	if a.status != http.StatusOK {
		t.Fatalf("%s %s: status %d: %s", c.method, c.path, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		t.Fatalf("%s %s: %v: %s", c.method, c.path, err, a.body)
	}
}

func (s *server) asAccount(method, path string, body any) call {
	return call{method: method, path: path, header: accountHeader, key: s.Account, body: body}
}

func (s *server) asSub(method, path string, body any) call {
	return call{method: method, path: path, header: subHeader, key: s.SubAccount, body: body}
}

// fetch reads a JSON page that needs no key.
func fetch(t testing.TB, url string, out any) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("make a request: %w", err)
	}
	got, err := client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("get %s: %w", url, err)
	}
	defer func() { _ = got.Body.Close() }()
	if err := json.NewDecoder(got.Body).Decode(out); err != nil {
		return got.StatusCode, fmt.Errorf("read %s: %w", url, err)
	}
	return got.StatusCode, nil
}

// m is a JSON object in a request.
type m = map[string]any

// sent is one entry of the answer to a send call.
type sent struct {
	To        string `json:"to"`
	MessageID string `json:"messageId"`
	ErrorCode int    `json:"errorCode"`
	Message   string `json:"message"`
}

// send makes a send call that must be accepted for every recipient.
func (s *server) send(t testing.TB, body m) []sent {
	t.Helper()
	var out []sent
	s.get(t, s.asSub("POST", "/api/v1/subaccount/email", body), &out)
	return out
}

// event is one entry of a message's events.
type event struct {
	ID              string `json:"eventID"`
	MessageID       string `json:"messageID"`
	Type            int    `json:"type"`
	To              string `json:"to"`
	TPSP            int64  `json:"tpspId"`
	SMTPCode        int    `json:"smtpCode"`
	SMTPDescription string `json:"smtpDescription"`
}

func (s *server) events(t testing.TB, id string) []event {
	t.Helper()
	var out []event
	s.get(t, s.asAccount("GET", "/api/v1/account/message/"+id+"/events", nil), &out)
	return out
}

// listed is an event in the account's list.
type listed struct {
	ID          string   `json:"eventID"`
	MessageID   string   `json:"messageID"`
	Type        int      `json:"type"`
	TPSP        int64    `json:"tpspId"`
	Groups      []string `json:"groups"`
	Mailbox     string   `json:"messageType"`
	Description string   `json:"smtpDescription"`
	At          int64    `json:"submittedAt"` // UNIX seconds
}

// timeline is the part of a message's timeline that tests read.
type timeline struct {
	State   string  `json:"state"`
	Entries []entry `json:"entries"`
}

type entry struct {
	Kind, Source, Text, Reason, Rule, Stage string
	SMTPCode, Type, Attempt, Count          int
}

func (s *server) timeline(t testing.TB, id string) timeline {
	t.Helper()
	var out timeline
	s.get(t, s.asAccount("GET", "/api/v1/account/message/"+id+"/timeline", nil), &out)
	return out
}

// failure is the one error shape.
type failure struct {
	Error struct {
		Code, Message, Param, Type string
		Details                    []struct{ Field, Message string }
		Test                       *probe
	}
}

// probe is the answer of a connection test.
type probe struct {
	Success    bool
	FailedStep string
	ErrorClass string
	SMTPCode   int
	Message    string
	Hint       string
	Steps      []struct {
		Name string
		OK   bool
		Code int
		Text string
	}
	TLS *struct{ Version string }
}

// refusal reads the error of an answer that must have the status.
func (a answer) refusal(t testing.TB, status int) failure {
	t.Helper()
	var f failure
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if err := json.Unmarshal(a.body, &f); err != nil || f.Error.Message == "" || f.Error.Type == "" {
		t.Fatalf("not the error shape (%v): %s", err, a.body)
	}
	return f
}

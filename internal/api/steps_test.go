package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// stepsLine is a line of an answer that follows a connection test.
type stepsLine struct {
	Plan   []string
	Step   *smtp.ProbeStep
	Status int
	Answer json.RawMessage
}

// followed makes a request that asks for lines; next is called with each.
func (w *world) followed(server *httptest.Server, method, path string, body any, next func(stepsLine)) *http.Response {
	w.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.Context(), method, server.URL+path, bytes.NewReader(text))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/x-ndjson, application/json;q=0.5")
	r.Header.Set(w.headers[waypost.KeyAccount], w.keys[waypost.KeyAccount])
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = resp.Body.Close() })
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var l stepsLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			w.Fatalf("line %q: %v", lines.Text(), err)
		}
		if strings.Contains(lines.Text(), "hunter2") {
			w.Errorf("a line holds the password: %s", lines.Text())
		}
		next(l)
	}
	return resp
}

// TestConnectionTestIsFollowed: each step is told when it ends, before the next
// one does; the last line is the answer that comes without following.
func TestConnectionTestIsFollowed(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.handler)
	defer server.Close()
	toldOfMail := make(chan struct{}, 2)
	mta := smtptest.New(t, smtptest.Script{
		Username: "u", Password: "hunter2-secret",
		// The recipient is answered when the step before was told.
		Rcpt: func(string) string { <-toldOfMail; return "554 5.7.1 Relay access denied" },
	})
	body := map[string]any{
		"name": "mta", "smtpHost": mta.Host(), "smtpPort": fmt.Sprint(mta.Port()), "smtpSecurity": "none",
		"smtpUsername": "u", "smtpPassword": "hunter2-secret", "allowPlainAuth": true,
	}
	want := []string{"dns", "connect", "banner", "ehlo", "auth", "mail", "rcpt", "data", "quit"}
	for _, c := range []struct {
		path   string
		status int
	}{{"/api/v1/tpsp/test/custom-smtp", 200}, {"/api/v1/account/tpsp", 422}} {
		var plan, steps []string
		var last stepsLine
		resp := w.followed(server, "POST", c.path, body, func(l stepsLine) {
			last = l
			switch {
			case l.Plan != nil:
				plan = l.Plan
			case l.Step != nil:
				steps = append(steps, l.Step.Name)
				if l.Step.Name == "mail" {
					toldOfMail <- struct{}{}
				}
			}
		})
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s: status %d, %s", c.path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		if strings.Join(plan, " ") != strings.Join(want, " ") || strings.Join(steps, " ") != strings.Join(want[:7], " ") {
			t.Errorf("%s: plan %v, steps %v", c.path, plan, steps)
		}
		var test smtp.ProbeResult
		if err := json.Unmarshal(last.Answer, &test); err != nil || last.Status != c.status || test.FailedStep != "rcpt" || len(test.Steps) != 7 {
			t.Errorf("%s: status %d, %+v, %v", c.path, last.Status, test, err)
		}
	}
}

// TestFollowedChanges: a provider is made and changed while its test is
// followed; what is refused before a test is answered as ever.
func TestFollowedChanges(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.handler)
	defer server.Close()
	mta := smtptest.New(t, smtptest.Script{})
	var last stepsLine
	note := func(l stepsLine) { last = l }
	w.followed(server, "POST", "/api/v1/account/tpsp", map[string]any{
		"name": "mta", "smtpHost": mta.Host(), "smtpPort": mta.Port(), "smtpSecurity": "none", "smtpAuth": "none",
	}, note)
	var made struct {
		ID  int64  `json:"id"`
		Key string `json:"eventIngestionApiKey"`
	}
	if err := json.Unmarshal(last.Answer, &made); err != nil || last.Status != 200 || made.Key == "" {
		t.Fatalf("created: %d %s", last.Status, last.Answer)
	}
	one := fmt.Sprintf("/api/v1/account/tpsp/%d", made.ID)
	n := 0
	w.followed(server, "POST", one+"/test", nil, func(l stepsLine) { n++; last = l })
	if n != 1+8+1 || last.Status != 200 {
		t.Errorf("the test of a provider: %d lines, status %d", n, last.Status)
	}
	w.followed(server, "PUT", one, map[string]any{"heloName": "relay.example"}, note)
	if last.Status != 200 || !strings.Contains(string(last.Answer), "relay.example") {
		t.Errorf("changed: %d %s", last.Status, last.Answer)
	}
	for path, status := range map[string]int{"/api/v1/account/tpsp": 422, "/api/v1/account/tpsp/9999/test": 404} {
		resp := w.followed(server, "POST", path, map[string]any{"name": "", "smtpHost": ""}, func(l stepsLine) {
			if l.Plan != nil || l.Step != nil {
				t.Errorf("%s: a test was begun", path)
			}
		})
		if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d, %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
}

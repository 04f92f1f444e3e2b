package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
)

// quickClient calls the API of the quickstart's server as a customer would.
type quickClient struct {
	base                string
	account, subAccount string // keys
	http                http.Client
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 4 << 20

// call sends body, unless nil, as JSON with the key that the path asks for and
// reads the answer into out.
func (c *quickClient) call(ctx context.Context, method, path string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var in bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&in).Encode(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, &in)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(path, "/subaccount/") {
		r.Header.Set("X-SubAccount-ApiKey", c.subAccount)
	} else {
		r.Header.Set("X-Account-ApiKey", c.account)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if answer.StatusCode != http.StatusOK {
		var e api.Error
		if json.Unmarshal(got, &e) != nil || e.Body.Message == "" {
			e.Body.Message = strings.TrimSpace(string(got[:min(len(got), 300)]))
		}
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, e.Body.Message)
	}
	if err := json.Unmarshal(got, out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// send submits one mail and gives its id.
func (c *quickClient) send(ctx context.Context, to, subject string) (string, error) {
	var answers []api.EmailResponse
	err := c.call(ctx, http.MethodPost, "/subaccount/email/", map[string]any{
		"from": map[string]string{"email": quickFrom, "name": "Waypost quickstart"},
		"to":   []any{map[string]any{"email": to, "customFields": map[string]string{"outcome": subject}}}, "subject": "Quickstart: {{outcome}}",
		"textBody": "This mail shows the outcome {{outcome}}.\n",
		"htmlBody": `<p>This mail shows the outcome <b>{{outcome}}</b>.</p><p><a href="https://shop.example/welcome?from=quickstart">A link</a></p>`,
	}, &answers)
	switch {
	case err != nil:
		return "", fmt.Errorf("send to %s: %w", to, err)
	case len(answers) != 1 || answers[0].ErrorCode != 0:
		return "", fmt.Errorf("send to %s: the answer is %+v", to, answers)
	}
	return answers[0].MessageID, nil
}

// timeline reads what is known of a message.
func (c *quickClient) timeline(ctx context.Context, id string) (api.Timeline, error) {
	var t api.Timeline
	err := c.call(ctx, http.MethodGet, "/account/message/"+id+"/timeline", nil, &t)
	return t, err
}

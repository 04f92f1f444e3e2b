package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// client speaks the public API as a customer does.
type client struct {
	base     string
	keys     installation
	sessions int
	http     *http.Client
}

func newClient(base string, keys installation, sessions int) *client {
	return &client{base: base, keys: keys, sessions: sessions, http: &http.Client{
		Timeout:   2 * time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: sessions, MaxConnsPerHost: sessions},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// post sends a document and decodes the answer.
func (c *client) post(ctx context.Context, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/account/") {
		req.Header.Set("X-Account-ApiKey", c.keys.AccountKey)
	} else {
		req.Header.Set("X-SubAccount-ApiKey", c.keys.SubAccountKey)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("call %s: %s: %.500s", path, res.Status, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("call %s: read the answer: %w", path, err)
	}
	return nil
}

// createProvider makes the sink the account's only provider, without a limit
// that could be felt.
func (c *client) createProvider(ctx context.Context, port int) error {
	body := fmt.Sprintf(`{"name":"sink","smtpHost":"127.0.0.1","smtpPort":%d,"smtpSecurity":"none","smtpAuth":"none","maxRatePerHour":100000000}`, port)
	var answer struct{}
	return c.post(ctx, "/account/tpsp", []byte(body), &answer)
}

// dnsRecord is a record that the owner of a sender domain must publish.
type dnsRecord struct {
	Host  string `json:"host"`
	Type  string `json:"type"`
	Value string `json:"textValue"`
}

// createDomain makes the sender domain and returns its records, the one of the
// DKIM key first.
func (c *client) createDomain(ctx context.Context) (id int64, records []dnsRecord, err error) {
	var answer struct {
		ID         int64     `json:"id"`
		DKIM       dnsRecord `json:"dkim"`
		ReturnPath dnsRecord `json:"returnPath"`
	}
	err = c.post(ctx, "/subaccount/domain", []byte(`{"name":"`+senderDomain+`"}`), &answer)
	return answer.ID, []dnsRecord{answer.DKIM, answer.ReturnPath}, err
}

// verifyDomain has the records looked up.
func (c *client) verifyDomain(ctx context.Context, id int64) error {
	var answer struct {
		DKIM              bool   `json:"dkimVerified"`
		ReturnPath        bool   `json:"returnPathVerified"`
		DKIMFailure       string `json:"dkimFailureReason"`
		ReturnPathFailure string `json:"returnPathFailureReason"`
	}
	if err := c.post(ctx, "/subaccount/domain/"+strconv.FormatInt(id, 10)+"/verify", nil, &answer); err != nil {
		return err
	}
	if !answer.DKIM || !answer.ReturnPath {
		return fmt.Errorf("%s does not verify: %s %s", senderDomain, answer.DKIMFailure, answer.ReturnPathFailure)
	}
	return nil
}

// The documents of a send call.
type (
	emailCall struct {
		From        emailAddress     `json:"from"`
		To          []emailRecipient `json:"to"`
		Subject     string           `json:"subject"`
		TextBody    string           `json:"textBody"`
		TrackOpens  bool             `json:"trackOpens"`
		TrackClicks bool             `json:"trackClicks"`
	}
	emailAddress struct {
		Email string `json:"email"`
		Name  string `json:"name,omitempty"`
	}
	emailRecipient struct {
		Email        string            `json:"email"`
		CustomFields map[string]string `json:"customFields,omitempty"`
	}
	emailAnswer struct {
		To        string `json:"to"`
		ErrorCode int    `json:"errorCode"`
		Message   string `json:"message"`
	}
)

// calls makes the body of the call for messages first to last-1: one with a
// template that each recipient's number is merged into, or, for a single
// message, the text itself.
func (w work) call(template string, first, last int) ([]byte, error) {
	call := emailCall{From: emailAddress{senderEmail, senderName}, Subject: subject, TextBody: template}
	for i := first; i < last; i++ {
		to := emailRecipient{Email: recipient(i)}
		if last-first > 1 {
			to.CustomFields = map[string]string{"number": number(i)}
		}
		call.To = append(call.To, to)
	}
	if last-first == 1 {
		call.TextBody = strings.Replace(template, numberField, number(first), 1)
	}
	b, err := json.Marshal(call)
	if err != nil {
		return nil, fmt.Errorf("write a call: %w", err)
	}
	return b, nil
}

// sendAll makes the calls for w.
func (c *client) sendAll(ctx context.Context, w work, batch int) error {
	template := text(w.size, numberField)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.sessions)
	end := w.first + w.n
	for first := w.first; first < end && ctx.Err() == nil; first += batch {
		last := min(first+batch, end)
		group.Go(func() error {
			body, err := w.call(template, first, last)
			if err != nil {
				return err
			}
			var answers []emailAnswer
			if err := c.post(ctx, "/subaccount/email", body, &answers); err != nil {
				return err
			}
			return allAccepted(answers, last-first)
		})
	}
	return group.Wait() //nolint:wrapcheck // ours
}

func allAccepted(answers []emailAnswer, n int) error {
	if len(answers) != n {
		return fmt.Errorf("a call for %d messages was answered for %d", n, len(answers))
	}
	for _, a := range answers {
		if a.ErrorCode != 0 {
			return fmt.Errorf("the message to %s was not accepted: code %d, %s", a.To, a.ErrorCode, a.Message)
		}
	}
	return nil
}

// queued reads the length of the queue from the server's metrics.
func (c *client) queued(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		if value, ok := strings.CutPrefix(in.Text(), "waypost_queue_messages "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("read metrics: queue length %q: %w", value, err)
			}
			return int(n), nil
		}
	}
	return 0, fmt.Errorf("the metrics of %s do not tell the length of the queue", c.base)
}

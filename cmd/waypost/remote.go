package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
)

// remote is what commands need that act on a running server: they go through
// its API, so that every change is authorised and audited like any other.
type remote struct {
	URL  string `name:"url" help:"Address of the server." default:"http://127.0.0.1:8080" env:"WAYPOST_URL"`
	Key  string `help:"Account API key; better in the environment, where the process list does not show it." env:"WAYPOST_ACCOUNT_KEY" placeholder:"KEY"`
	JSON bool   `name:"json" help:"Print the server's answer as it is."`
}

// call sends a request and reads the answer into out; with --json it prints
// the answer instead and answers false.
func (r *remote) call(e *env, method, path string, in, out any) (bool, error) {
	if r.Key == "" {
		return false, usageError{errors.New("no account API key: set WAYPOST_ACCOUNT_KEY, or give --key")}
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return false, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(e.ctx, method, strings.TrimRight(r.URL, "/")+"/api/v1"+path, body)
	if err != nil {
		return false, usageError{fmt.Errorf("--url: %w", err)}
	}
	req.Header.Set("X-Account-ApiKey", r.Key)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return false, fmt.Errorf("reach the server: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		return false, serverError(resp.Status, answer)
	}
	if r.JSON {
		_, err := e.stdout.Write(append(bytes.TrimSpace(answer), '\n'))
		return false, err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	return true, nil
}

func serverError(status string, answer []byte) error {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(answer, &e) == nil && e.Error.Message != "" {
		return fmt.Errorf("the server refuses: %s", e.Error.Message)
	}
	return fmt.Errorf("the server answers %s, which is no answer of Waypost's API; is --url right?", status)
}

// table prints aligned columns.
func table(w io.Writer, header string, rows int, row func(i int) []any) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for i := range rows {
		cells := row(i)
		for k, c := range cells {
			if k > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// when prints a time as people compare it: in UTC, with how far off it is.
func when(t time.Time) string {
	d := time.Until(t).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), -d)
	}
	return fmt.Sprintf("%s (in %s)", t.UTC().Format(time.RFC3339), d)
}

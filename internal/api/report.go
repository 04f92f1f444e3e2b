package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

type reportInput struct {
	ContentEncoding string `header:"Content-Encoding"`
	RawBody         []byte
}

func (a *API) reportRoutes() {
	op := operation(http.MethodPost, "/tpsp/custom-smtp/events", "Report what a mail server's log says of relayed messages", waypost.KeyIngestion)
	op.MaxBodyBytes = waypost.MaxReportBytes
	register(a, op, waypost.Report{}, a.report)
}

// report takes one report of a provider's agent (D-31).
func (a *API) report(ctx context.Context, in *reportInput) (waypost.ReportReply, error) {
	key := caller(ctx)
	body, err := inflate(in.RawBody, in.ContentEncoding)
	if err != nil {
		return waypost.ReportReply{}, err
	}
	r, unread, err := decodeReport(body)
	if err != nil {
		return waypost.ReportReply{}, err
	}
	if len(r.Items) > waypost.MaxReportItems {
		e := fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("%d events; at most %d in one report: send smaller batches", len(r.Items), waypost.MaxReportItems))
		e.Body.Param = "events"
		return waypost.ReportReply{}, e
	}
	now := time.Now()
	results, err := a.cfg.Door.Report(ctx, key.Provider, r.Items, now)
	if err != nil {
		return waypost.ReportReply{}, err
	}
	for i, why := range unread {
		results[i].Status, results[i].Error = waypost.ReportRejected, why
	}
	if err := a.cfg.Store.AgentSeen(ctx, waypost.Agent{
		Provider: key.Provider, ID: short(r.Agent.ID), Version: short(r.Agent.Version),
		Hostname: short(r.Agent.Hostname), MTA: short(r.Agent.MTA), LastSeen: now, State: agentState(&r.Agent.AgentState),
	}); err != nil {
		return waypost.ReportReply{}, fmt.Errorf("note the agent of provider %d: %w", key.Provider, err)
	}
	out := waypost.ReportReply{Results: results}
	if out.Results == nil {
		out.Results = []waypost.ReportResult{}
	}
	for _, res := range results {
		if res.Status == waypost.ReportRejected {
			out.Rejected++
		} else {
			out.Accepted++
		}
	}
	return out, nil
}

// agentState is what is kept of an agent's word about itself.
func agentState(s *waypost.AgentState) waypost.AgentState {
	words := func(all []string, most int) (out []string) {
		for _, w := range all[:min(len(all), most)] {
			out = append(out, short(w))
		}
		return out
	}
	return waypost.AgentState{
		Status: short(s.Status), Reasons: words(s.Reasons, waypost.MaxAgentReasons), Log: short(s.Log), Position: max(0, s.Position),
		LagBytes: max(0, s.LagBytes), LastLine: s.LastLine, Buffered: max(0, s.Buffered), Unmatched: max(0, s.Unmatched),
		Sample: words(s.Sample, waypost.MaxAgentSample),
	}
}

// decodeReport reads a report. An item that cannot be read is left zero, which
// is refused, and unread says why by its index: it does not fail its neighbours
// (D-31).
func decodeReport(body []byte) (r waypost.Report, unread map[int]string, err error) {
	if text := bytes.TrimSpace(body); len(text) > 0 && text[0] == '[' {
		r.Items, err = decode[[]waypost.ReportItem](body)
	} else {
		r, err = decode[waypost.Report](body)
	}
	if err == nil || !json.Valid(body) || checkShape(body) != nil {
		return r, nil, err
	}
	return decodeItems(body)
}

// rawReport is a report whose items are still to be read.
type rawReport struct {
	Agent json.RawMessage   `json:"agent"`
	Items []json.RawMessage `json:"events"`
}

// decodeItems reads a report of which some item has a value of the wrong kind,
// one by one.
func decodeItems(body []byte) (r waypost.Report, unread map[int]string, err error) {
	var all []json.RawMessage
	if bytes.TrimSpace(body)[0] == '[' {
		all, err = decode[[]json.RawMessage](body)
	} else {
		var parts rawReport
		parts, err = decode[rawReport](body)
		all, r.Agent = parts.Items, readAgent(parts.Agent)
	}
	if err != nil {
		return r, nil, err
	}
	r.Items, unread = make([]waypost.ReportItem, len(all)), map[int]string{}
	for i, item := range all {
		if err := json.Unmarshal(item, &r.Items[i]); err != nil {
			r.Items[i], unread[i] = waypost.ReportItem{}, unreadable(item, err)
		}
	}
	return r, unread, nil
}

// readAgent reads what an agent says of itself: a field of a kind that is not
// its own is left out, and costs no event of the report.
func readAgent(text []byte) (a waypost.ReportAgent) {
	if len(text) == 0 || json.Unmarshal(text, &a) == nil {
		return a
	}
	a = waypost.ReportAgent{}
	var parts map[string]json.RawMessage
	_ = json.Unmarshal(text, &parts) // what is no object says nothing
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		one, err := json.Marshal(map[string]json.RawMessage{name: parts[name]})
		if next := a; err == nil && json.Unmarshal(one, &next) == nil {
			a = next
		}
	}
	return a
}

// unreadable says what is wrong with an item.
func unreadable(item []byte, err error) string {
	if _, kind := errors.AsType[*json.UnmarshalTypeError](err); kind {
		return jsonError(item, err).Error()
	}
	return "timestamp: must be a time of RFC 3339, or a number since 1970"
}

// inflate undoes gzip within the bound of a report, whatever the ratio.
func inflate(body []byte, encoding string) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip":
	default:
		return nil, badField("Content-Encoding", "must be gzip or absent")
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, badField("body", "is not gzip, though Content-Encoding says so")
	}
	plain, err := io.ReadAll(io.LimitReader(z, waypost.MaxReportBytes+1))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, badField("body", "the gzip stream is damaged")
	}
	if len(plain) > waypost.MaxReportBytes {
		return nil, fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d bytes after inflation: send smaller batches", waypost.MaxReportBytes))
	}
	return plain, nil
}

// short bounds what an agent says of itself.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > 255 {
		s = strings.ToValidUTF8(s[:255], "")
	}
	return s
}

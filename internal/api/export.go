package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
)

// ExportedEvent is one line of an export: an event in words of our own, with
// what the documented shapes leave out.
type ExportedEvent struct {
	EventID    string    `json:"eventId"`
	At         time.Time `json:"at"`
	Type       int       `json:"type"`
	TypeName   string    `json:"typeName"`
	MessageID  string    `json:"messageId"`
	Recipient  string    `json:"recipient"`
	SubAccount int64     `json:"subAccountId"`
	Provider   int64     `json:"tpspId"`
	Source     string    `json:"source" enum:"api,relay,agent,bounce,track"`
	Code       int       `json:"smtpCode,omitempty"`
	Enhanced   string    `json:"enhancedCode,omitempty"`
	Text       string    `json:"text,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Rule       string    `json:"rule,omitempty"`
	Attempt    int       `json:"attempt,omitempty"`
	Late       bool      `json:"late,omitempty"`
	URL        string    `json:"url,omitempty"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"userAgent,omitempty"`
	Machine    string    `json:"machine,omitempty" doc:"the rule that says no person did this"`
	First      bool      `json:"first,omitempty" doc:"a person's first open, or first click, of the message"`
}

type exportQuery struct {
	EventFilter
	Format string `query:"format" default:"ndjson" enum:"ndjson,csv"`
}

// stream is an answer that is written while it is read from the store.
type stream struct {
	Body func(huma.Context)
}

// exportFormats are the content types, and how a page is written.
var exportFormats = map[string]struct {
	contentType string
	begin       func(io.Writer) error
	page        func(io.Writer, []ExportedEvent) error
}{
	"ndjson": {"application/x-ndjson", func(io.Writer) error { return nil }, writeNDJSON},
	"csv":    {"text/csv; charset=utf-8", func(w io.Writer) error { return writeCSV(w, exportHeader) }, writeCSVPage},
}

func (a *API) exportRoutes() {
	for kind, at := range map[waypost.KeyKind]string{waypost.KeyAccount: "/account", waypost.KeySubAccount: "/subaccount"} {
		op := operation(http.MethodGet, at+"/export/event", "All events that a filter selects, newest first, as NDJSON or CSV", kind)
		line := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[ExportedEvent](), true, "")
		op.Responses = map[string]*huma.Response{strconv.Itoa(http.StatusOK): {
			Description: "one event a line; the connection breaks off when the rest cannot be read",
			Content: map[string]*huma.MediaType{
				exportFormats["ndjson"].contentType: {Schema: line},
				"text/csv":                          {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}}
		huma.Register(a.huma, op, func(ctx context.Context, in *exportQuery) (*stream, error) {
			out, err := a.export(ctx, in)
			if err != nil {
				return nil, a.explain(ctx, &op, err)
			}
			return out, nil
		})
	}
}

// exportPage is how many events are in memory at a time.
const exportPage = 1000

func (a *API) export(ctx context.Context, in *exportQuery) (*stream, error) {
	q, err := in.query(ctx)
	if err != nil {
		return nil, err
	}
	q.Limit = exportPage
	first, err := a.cfg.Store.ListEvents(ctx, q) // before the answer begins, so that a refusal can be one
	if err != nil {
		return nil, fmt.Errorf("export events: %w", err)
	}
	format := exportFormats[in.Format]
	return &stream{func(c huma.Context) {
		c.SetHeader("Content-Type", format.contentType)
		c.SetHeader("Content-Disposition", `attachment; filename="events.`+in.Format+`"`)
		c.SetStatus(http.StatusOK)
		err := format.begin(c.BodyWriter())
		for page := first; err == nil && len(page) > 0; {
			if err = format.page(c.BodyWriter(), exported(page)); err != nil || len(page) < exportPage {
				break
			}
			q.Before = page[len(page)-1].ID
			page, err = a.cfg.Store.ListEvents(ctx, q)
		}
		if err != nil {
			a.cfg.Log.WarnContext(ctx, "an export broke off", "error", err)
			panic(http.ErrAbortHandler) // a file that is cut short must not look whole
		}
	}}, nil
}

func exported(all []waypost.Event) []ExportedEvent {
	out := make([]ExportedEvent, len(all))
	for i := range all {
		e := &all[i]
		out[i] = ExportedEvent{
			EventID: strconv.FormatInt(e.ID, 10), At: e.At.UTC(), Type: int(e.Type), TypeName: e.Type.String(),
			MessageID: e.Message.String(), Recipient: e.Recipient, SubAccount: e.SubAccount, Provider: e.Provider,
			Source: string(e.Source), Code: e.Code, Enhanced: e.Enhanced, Text: e.Text, Reason: string(e.Reason), Rule: e.Rule,
			Attempt: e.Attempt, Late: e.Late,
		}
		if v := e.Visit; v != nil {
			out[i].URL, out[i].IP, out[i].UserAgent, out[i].Machine, out[i].First = v.URL, v.IP, v.UserAgent, v.Machine, v.First
		}
	}
	return out
}

func writeNDJSON(w io.Writer, page []ExportedEvent) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for i := range page {
		if err := lines.Encode(&page[i]); err != nil {
			return err
		}
	}
	return nil
}

var exportHeader = []string{
	"eventId", "at", "type", "typeName", "messageId", "recipient", "subAccountId", "tpspId", "source", "smtpCode", "enhancedCode",
	"text", "reason", "rule", "attempt", "late", "url", "ip", "userAgent", "machine", "first",
}

func writeCSVPage(w io.Writer, page []ExportedEvent) error {
	lines := make([][]string, len(page))
	for i := range page {
		e := &page[i]
		lines[i] = []string{
			e.EventID, e.At.Format(time.RFC3339Nano), strconv.Itoa(e.Type), e.TypeName, e.MessageID, cell(e.Recipient),
			strconv.FormatInt(e.SubAccount, 10), strconv.FormatInt(e.Provider, 10), e.Source, strconv.Itoa(e.Code), cell(e.Enhanced),
			cell(e.Text), e.Reason, e.Rule, strconv.Itoa(e.Attempt), strconv.FormatBool(e.Late), cell(e.URL), e.IP,
			cell(e.UserAgent), e.Machine, strconv.FormatBool(e.First),
		}
	}
	return writeCSV(w, lines...)
}

func writeCSV(w io.Writer, lines ...[]string) error {
	return csv.NewWriter(w).WriteAll(lines)
}

// cell keeps text from outside from being run as a formula when the file is
// opened as a table.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

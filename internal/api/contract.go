package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// contractHeader carries the wire contract asked for and applied (D-1).
const contractHeader = "X-SendPost-Public-Contract"

// contract is a wire contract: the names and fields of answers.
type contract string

// The two contracts. What a request may say is the same in both.
const (
	legacy contract = "legacy" // what clients released until December 2025 read
	v1     contract = "v1"
)

type contractKey struct{}

// applyContract notes which contract a request asks for, and says in the
// answer which one it gets. Without the header that is legacy, until the
// sunset date if one is configured, and v1 from then on (D-1). A contract that
// is not spoken here is refused: its program would read another one's fields.
func (a *API) applyContract(w http.ResponseWriter, r *http.Request, now time.Time) (*http.Request, *Error) {
	sunset := a.cfg.LegacySunset
	c := legacy
	var refused *Error
	switch asked := strings.TrimSpace(r.Header.Get(contractHeader)); {
	case strings.EqualFold(asked, string(v1)):
		c = v1
	case strings.EqualFold(asked, string(legacy)):
	case asked != "":
		refused = badField(contractHeader, "must be legacy or v1, the contracts that are spoken here; leave it out for the default")
	case !sunset.IsZero() && !now.Before(sunset):
		c = v1
	}
	h := w.Header()
	h.Set(contractHeader, string(c))
	if c == legacy && !sunset.IsZero() {
		h.Set("Deprecation", "true")
		h.Set("Sunset", sunset.UTC().Format(http.TimeFormat)) // RFC 8594
		h.Set("Link", "<"+a.cfg.PublicURL+ReferencePath+`#contracts>; rel="deprecation"`)
	}
	return r.WithContext(context.WithValue(r.Context(), contractKey{}, c)), refused
}

func contractOf(ctx context.Context) contract {
	if c, ok := ctx.Value(contractKey{}).(contract); ok {
		return c
	}
	return legacy
}

// views turn what a handler found into the answer of each contract.
type views[D, L, V any] struct {
	legacy func(D) L
	v1     func(D) V
	v1Code int // status of a success in v1, 0: as in legacy
}

// each makes the view of a list from the view of its elements.
func each[D, W any](view func(D) W) func([]D) []W {
	return func(all []D) []W {
		out := make([]W, len(all))
		for i := range all {
			out[i] = view(all[i])
		}
		return out
	}
}

// coded is an answer in whichever contract applies.
type coded struct {
	Status int
	Body   any
}

// registerBoth adds an operation that answers in both contracts: handle gives
// what was found, and the views write it down. The document describes both.
func registerBoth[I, D, L, V any](a *API, op huma.Operation, body any, handle func(ctx context.Context, in *I) (D, error), v views[D, L, V]) {
	if body != nil {
		describeBody(a.huma, &op, body)
		op.SkipValidateBody = true
	}
	describeBoth[L, V](a.huma, &op, v.v1Code)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*coded, error) {
		found, err := handle(ctx, in)
		if err != nil {
			return nil, a.explain(ctx, &op, err)
		}
		if contractOf(ctx) == v1 {
			return &coded{max(v.v1Code, op.DefaultStatus), v.v1(found)}, nil
		}
		return &coded{op.DefaultStatus, v.legacy(found)}, nil
	})
}

func describeBoth[L, V any](api huma.API, op *huma.Operation, v1Code int) {
	schemas := api.OpenAPI().Components.Schemas
	one, two := schemas.Schema(reflect.TypeFor[L](), true, ""), schemas.Schema(reflect.TypeFor[V](), true, "")
	describe := func(words string, s *huma.Schema) *huma.Response {
		return &huma.Response{Description: words, Content: map[string]*huma.MediaType{"application/json": {Schema: s}}}
	}
	op.Responses = map[string]*huma.Response{}
	op.Parameters = append(op.Parameters, contractParam())
	if reflect.TypeFor[L]() == reflect.TypeFor[V]() && v1Code == 0 {
		op.Responses[strconv.Itoa(op.DefaultStatus)] = describe(http.StatusText(op.DefaultStatus), one)
		return
	}
	if v1Code != 0 && v1Code != op.DefaultStatus {
		op.Responses[strconv.Itoa(op.DefaultStatus)] = describe(http.StatusText(op.DefaultStatus)+", contract legacy", one)
		op.Responses[strconv.Itoa(v1Code)] = describe(http.StatusText(v1Code)+", contract v1", two)
		return
	}
	both := &huma.Schema{AnyOf: []*huma.Schema{one, two}, Description: "contract legacy, or contract v1"}
	op.Responses[strconv.Itoa(op.DefaultStatus)] = describe(http.StatusText(op.DefaultStatus), both)
}

func contractParam() *huma.Param {
	return &huma.Param{
		Name: contractHeader, In: "header", Description: "which contract to answer in",
		Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{string(legacy), string(v1)}},
	}
}

package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost/internal/store"
)

// decode reads a JSON body into a T. Unknown fields are ignored (D-4): clients
// send extra ones. The same field twice is refused. The error names the field, and never the value.
func decode[T any](body []byte) (T, error) {
	var v T
	if len(bytes.TrimSpace(body)) == 0 {
		return v, badField("body", "the request has no body; send a JSON document")
	}
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) { // RFC 1952, section 2.3.1
		return v, badField("body", "is compressed with gzip, which this operation does not take; send the JSON as it is")
	}
	if !utf8.Valid(body) {
		return v, badField("body", "not valid UTF-8, as JSON must be (RFC 8259)")
	}
	if err := json.Unmarshal(body, &v); err != nil { // a Decoder would copy the body
		return v, jsonError(body, err)
	}
	return v, checkShape(body)
}

func jsonError(body []byte, err error) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var field *Error
	switch {
	case errors.As(err, &field):
		return field
	case errors.As(err, &typ):
		return badField(cmp.Or(placeOf(body, typ), "body"), "must be %s, not %s", jsonKind(typ.Type), typ.Value)
	case errors.As(err, &syntax) && int(syntax.Offset) >= len(body) && strings.Contains(syntax.Error(), "unexpected end"):
		return badField("body", "the JSON document ends in the middle, after %d bytes", len(body))
	case errors.As(err, &syntax) && strings.Contains(syntax.Error(), "after top-level value"):
		return badField("body", "there is more after the JSON document, at byte %d", syntax.Offset-1)
	case errors.As(err, &syntax):
		line, column := position(body, syntax.Offset)
		return badField("body", "not valid JSON at line %d, column %d: %s", line, column, strings.TrimPrefix(syntax.Error(), "json: "))
	}
	return badField("body", "not valid JSON")
}

// placeOf names the value of a wrong type with its places in arrays, which the
// decoder does not tell: to[3].email.
func placeOf(body []byte, typ *json.UnmarshalTypeError) string {
	type level struct {
		array bool
		n     int    // values so far in an array
		key   string // of the value to come in an object
		isKey bool   // an object's key comes next
	}
	var at []level
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.Token()
		if err != nil {
			return typ.Field
		}
		if t == json.Delim(']') || t == json.Delim('}') {
			at = at[:len(at)-1]
			continue
		}
		if len(at) > 0 {
			switch top := &at[len(at)-1]; {
			case top.array:
				top.n++
			case top.isKey:
				top.key, top.isKey = t.(string), false
				continue
			default:
				top.isKey = true
			}
		}
		if d.InputOffset() >= typ.Offset {
			break
		}
		if t == json.Delim('[') || t == json.Delim('{') {
			at = append(at, level{array: t == json.Delim('['), isKey: t == json.Delim('{')})
		}
	}
	place, plain := "", ""
	for _, l := range at {
		if l.array {
			place += fmt.Sprintf("[%d]", l.n-1)
			continue
		}
		place, plain = place+"."+l.key, plain+"."+l.key
	}
	if place = strings.TrimPrefix(place, "."); !strings.EqualFold(strings.TrimPrefix(plain, "."), typ.Field) {
		return typ.Field // what the decoder says is sure
	}
	return place
}

func position(body []byte, offset int64) (line, column int) {
	before := body[:min(max(int(offset)-1, 0), len(body))]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the rest are numbers
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return jsonKind(t.Elem())
	default:
		return "a number"
	}
}

// number is an integer that clients send as a number or as text. Anything
// else becomes notNumber, which is outside of every range that is checked, so
// that the refusal names the field.
type number int

const notNumber number = math.MinInt32

// UnmarshalJSON reads 587 and "587".
func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		v = int64(notNumber)
	}
	*n = number(v)
	return nil
}

// dated tells whether a time can stand in an answer: RFC 3339 knows years of
// four digits, and a time that passes them in UTC would make every list that it
// is in unreadable.
func dated(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}

// describeBody puts the schema of a body into the document, for operations
// that read it themselves.
func describeBody(api huma.API, op *huma.Operation, body any) {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(body), true, "")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

// Page is the query of a list (sendpost.md, a.1). Queries that add to it embed
// it under this name: the framework passes over what is not exported.
type Page struct {
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"entries to answer"`
	Offset int    `query:"offset" default:"0" minimum:"0" doc:"entries to pass over"`
	Search string `query:"search" maxLength:"200" doc:"part of the name, in any case"`
}

type page = Page

func (p *page) of() store.Page { return store.Page{Limit: p.Limit, Offset: p.Offset, Search: p.Search} }

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// missing answers for an id that is unknown or another tenant's.
func missing(status int, kind string, id any) *Error {
	return fail(status, fmt.Sprintf("there is no %s %v; check the id, or list what there is", kind, id))
}

func notFound(kind string, id any) *Error { return missing(http.StatusNotFound, kind, id) }

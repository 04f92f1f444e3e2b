package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
)

// headerList keeps the order in which the request gave its headers.
type headerList []waypost.Header

// UnmarshalJSON reads an object of strings in its order.
func (h *headerList) UnmarshalJSON(b []byte) error {
	var values map[string]string
	if err := json.Unmarshal(b, &values); err != nil {
		return badField("headers", "must be an object whose values are strings")
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	if t, err := d.Token(); err != nil || t == nil {
		return nil //nolint:nilerr // null: no headers
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return badField("headers", "not an object")
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return badField("headers", "must be an object whose values are strings")
		}
		*h = append(*h, waypost.Header{Name: name.(string), Value: value})
	}
	return nil
}

// Schema is an object of strings, whatever the type is made of.
func (headerList) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeString}}
}

// templateID is an id that clients send as text or as a number.
type templateID string

// UnmarshalJSON reads "5" and 5.
func (t *templateID) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		return nil
	}
	if len(text) > 20 || strings.ContainsAny(text, `\{[`) {
		return badField("templateId", "must be the id of a stored template")
	}
	*t = templateID(text)
	return nil
}

// Schema is text, as the documents say.
func (templateID) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

// base64Data is a file as it is decoded from the document: its text is in
// memory once, in the request.
type base64Data struct {
	data  []byte
	given bool // an empty file is "", and has been given
	bad   bool
}

// UnmarshalJSON decodes a string. What is not base64 is noted, so that the
// refusal can name the attachment.
func (d *base64Data) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if d.given = true; b[0] != '"' {
		d.bad = true
		return nil
	}
	text := b[1 : len(b)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // "\/" and line breaks, as some programs write
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		text = []byte(s)
	}
	d.data = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(d.data, text)
	d.data, d.bad = d.data[:n:n], err != nil
	return nil
}

// Schema is base64 text.
func (base64Data) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "byte", ContentEncoding: "base64"}
}

package merge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds what Line gives, in bytes: of 998 characters of four.
const maxLine = 4 * 998

// Variables reads the variables of a recipient, a JSON object; nil for an empty
// text. Numbers keep their digits: a price of 1.50 and an id above 2^53 are
// printed as they came.
func Variables(text []byte) (map[string]any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("custom fields are not a JSON object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("custom fields are not a JSON object: something follows it")
	}
	return v, nil
}

// Line renders the template of one line, such as a subject, as the recipient of
// a message read it: own are the recipient's variables as they are stored, call
// those of the call. It is for those who tell of a message. A template that
// cannot be rendered is given as it is, since no message came of it.
func Line(src string, own []byte, call map[string]any) string {
	if !strings.Contains(src, "{{") && !strings.ContainsAny(src, "\r\n\x00") {
		return src
	}
	t, err := Parse(src)
	if err != nil {
		return src
	}
	vars, err := Variables(own)
	if err != nil {
		return src
	}
	line, err := t.RenderMax(nil, Header, maxLine, vars, call)
	if err != nil {
		return src
	}
	return string(line)
}

// Named gives those variables of a call that a template names: what Line needs
// of them, and a caller should keep.
func Named(src string, call map[string]any) map[string]any {
	if len(call) == 0 || !strings.Contains(src, "{{") {
		return nil
	}
	t, err := Parse(src)
	if err != nil {
		return nil
	}
	var out map[string]any
	for _, name := range t.names {
		if v, ok := call[name]; ok {
			if out == nil {
				out = map[string]any{}
			}
			out[name] = v
		}
	}
	return out
}

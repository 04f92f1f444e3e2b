package suppresslist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// jsonRows are the objects of a JSON document, or of several behind each other.
type jsonRows struct {
	d *json.Decoder
	n int
	// What is open: an array of entries, inside an object or not.
	inArray, inObject bool
	// group is the name of the array in its object: some lists give the reason
	// by it.
	group string
	own   map[string]string // what the open object has itself
}

func newJSONRows(in io.Reader) *jsonRows {
	d := json.NewDecoder(in)
	d.UseNumber()
	return &jsonRows{d: d}
}

func (j *jsonRows) next() (map[string]string, int, error) {
	for {
		fields, err := j.step()
		if err != nil {
			if bad, ok := errors.AsType[*LineError](err); ok {
				return nil, 0, bad
			}
			if errors.Is(err, io.EOF) && !j.inArray && !j.inObject {
				return nil, 0, io.EOF
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, 0, fmt.Errorf("%w: the JSON document breaks off behind entry %d", ErrList, j.n)
			}
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				return nil, 0, fmt.Errorf("%w: not valid JSON behind entry %d: %w", ErrList, j.n, syntax)
			}
			return nil, 0, err
		}
		if fields != nil {
			return fields, j.n, nil
		}
	}
}

// step reads one thing: nil fields when it was none of an entry.
func (j *jsonRows) step() (map[string]string, error) {
	switch {
	case j.inArray && j.d.More():
		return j.element()
	case j.inArray:
		j.inArray, j.group = false, ""
		_, err := j.d.Token() // ]
		return nil, err
	case j.inObject && j.d.More():
		return nil, j.member()
	case j.inObject:
		j.inObject = false
		if _, err := j.d.Token(); err != nil { // }
			return nil, err
		}
		if _, ok := first(j.own, emailNames); !ok {
			return nil, nil
		}
		j.n++
		return j.own, nil
	}
	t, err := j.d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		j.inArray = true
	case json.Delim('{'):
		j.inObject, j.own = true, map[string]string{}
	default:
		return nil, fmt.Errorf("%w: the JSON document is neither a list nor an object", ErrList)
	}
	return nil, nil
}

// element is one entry of an array.
func (j *jsonRows) element() (map[string]string, error) {
	j.n++
	var text json.RawMessage
	if err := j.d.Decode(&text); err != nil {
		return nil, err
	}
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		var address string
		if json.Unmarshal(text, &address) != nil {
			return nil, &LineError{j.n, "is neither an object nor an address"}
		}
		object = map[string]any{"email": address}
	}
	fields := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(object)) { // of Email and email always the same
		fields[fold(name)] = plain(object[name])
	}
	if _, says := fields["reason"]; !says && j.group != "" {
		fields["reason"] = j.group
	}
	return fields, nil
}

// groups are the names of arrays that are reasons at the same time: those of
// SendPost's own call.
var groups = map[string]bool{"hardbounce": true, "manual": true, "unsubscribe": true, "spamcomplaint": true}

// member is one of the outer object's.
func (j *jsonRows) member() error {
	t, err := j.d.Token()
	if err != nil {
		return err
	}
	name, _ := t.(string)
	value, err := j.d.Token()
	if err != nil {
		return err
	}
	switch value {
	case json.Delim('['):
		j.inArray = true
		if name = fold(name); groups[name] {
			j.group = name
		}
	case json.Delim('{'):
		return j.skip()
	default:
		j.own[fold(name)] = plain(value)
	}
	return nil
}

// skip passes over an object that was opened: paging and the like.
func (j *jsonRows) skip() error {
	for depth := 1; depth > 0; {
		t, err := j.d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// plain is a value as text; lists are joined, objects are nothing.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, 0, len(v))
		for _, item := range v {
			parts = append(parts, plain(item))
		}
		return strings.Join(parts, ",")
	}
	return ""
}

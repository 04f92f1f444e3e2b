package merge

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// rootValue stands for the scopes where a value is wanted.
type rootValue struct{}

// mergedRoot returns the scopes as one map.
func (r *run) mergedRoot() map[string]any {
	all := map[string]any{}
	for _, scope := range slices.Backward(r.scopes) {
		switch s := scope.(type) {
		case map[string]any:
			maps.Copy(all, s)
		case map[string]string:
			for k, v := range s {
				all[k] = v
			}
		}
	}
	return all
}

// lookup finds the value of a path, nil if it is missing.
func (r *run) lookup(p *path) (any, error) {
	if err := r.step(len(p.names)); err != nil {
		return nil, err
	}
	v := r.base(p)
	for _, name := range p.names {
		if v == nil {
			return nil, nil
		}
		if s, ok := v.(string); ok { // only its length is read, which takes time
			if err := r.step(len(s) / 64); err != nil {
				return nil, err
			}
		}
		v, _ = r.child(v, name)
	}
	return v, nil
}

func (r *run) base(p *path) any {
	switch p.base {
	case fromContext:
		if p.up <= r.depth {
			return r.contexts[r.depth-p.up]
		}
	case fromRoot:
		return rootValue{}
	case isTrue, isFalse:
		return p.base == isTrue
	case fromIndex, fromKey, fromFirst, fromLast:
		if p.up >= r.nLoops {
			return nil
		}
		l := &r.loops[r.nLoops-1-p.up]
		switch {
		case p.base == fromFirst:
			return l.index == 0
		case p.base == fromLast:
			return l.index == l.count-1
		case p.base == fromKey && l.overMap:
			return l.key
		}
		return l.index
	case fromNothing:
	}
	return nil
}

// child returns the member of v with a name.
func (r *run) child(v any, name string) (any, bool) {
	switch v := v.(type) {
	case rootValue:
		for _, scope := range r.scopes {
			switch scope.(type) {
			case map[string]any, map[string]string:
				if c, ok := r.child(scope, name); ok {
					return c, true
				}
			}
		}
	case map[string]any:
		c, ok := v[name]
		return c, ok
	case map[string]string:
		if c, ok := v[name]; ok {
			return c, true
		}
	case []any:
		if name == "length" {
			return len(v), true
		}
		if i, ok := index(name, len(v)); ok {
			return v[i], true
		}
	case []string:
		if name == "length" {
			return len(v), true
		}
		if i, ok := index(name, len(v)); ok {
			return v[i], true
		}
	case string:
		if name == "length" { // in UTF-16 units, as JavaScript counts
			n := 0
			for _, c := range v {
				n += utf16.RuneLen(c)
			}
			return n, true
		}
	}
	return nil, false
}

// index reads a list index below n, written without leading zeros.
func index(name string, n int) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil && 0 <= i && i < n && (name[0] != '0' || name == "0") && name[0] != '+'
}

// truth says whether a value counts as true in if and unless.
func truth(v any) bool {
	switch v := v.(type) {
	case float64:
		return v != 0 && !math.IsNaN(v)
	case int:
		return v != 0
	case int64:
		return v != 0
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	}
	return !empty(v)
}

// empty says whether with has nothing to work on.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case []string:
		return len(v) == 0
	}
	return false
}

// print writes a value. Objects, and types that encoding/json does not make,
// print nothing.
func (r *run) print(v any, escape bool, depth int) error {
	var digits [32]byte
	switch v := v.(type) {
	case string:
		return r.write(v, escape)
	case bool:
		return r.write(strconv.FormatBool(v), false)
	case json.Number:
		return r.write(v.String(), escape)
	case float64:
		return r.write(string(appendNumber(digits[:0], v)), false)
	case int:
		return r.write(string(strconv.AppendInt(digits[:0], int64(v), 10)), false)
	case int64:
		return r.write(string(strconv.AppendInt(digits[:0], v, 10)), false)
	case []any:
		for i, item := range v {
			if err := r.separate(i); err != nil {
				return err
			}
			if depth == MaxNesting {
				continue
			}
			if err := r.print(item, escape, depth+1); err != nil {
				return err
			}
		}
	case []string:
		for i, item := range v {
			if err := r.separate(i); err != nil {
				return err
			}
			if err := r.write(item, escape); err != nil {
				return err
			}
		}
	}
	return nil
}

// separate pays for the item i of a printed list and writes the comma before.
func (r *run) separate(i int) error {
	if err := r.step(1); err != nil || i == 0 {
		return err
	}
	return r.write(",", false)
}

// appendNumber writes a number as JSON and JavaScript do.
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 { // and not -0
		return append(dst, '0')
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' { // e-07 is written e-7
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// entities are Handlebars' replacements, by byte.
var entities = [256]string{
	'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\'': "&#x27;", '`': "&#x60;", '=': "&#x3D;",
}

// maxEntity is the length of the longest, for the output bound.
const maxEntity = len("&#x27;")

// write adds text to the output, if it fits.
func (r *run) write(s string, escape bool) error {
	room := r.end - len(r.out)
	size := len(s)
	if escape && size <= room && size > room/maxEntity { // it may not fit: count
		for i := range len(s) {
			if e := len(entities[s[i]]); e > 0 {
				size += e - 1
			}
		}
	}
	switch {
	case size > room:
		return errOutput
	case escape:
		r.escape(s)
	case r.mode == Header:
		r.headerText(s)
	default:
		r.out = append(r.out, s...)
	}
	return nil
}

func (r *run) escape(s string) {
	done := 0
	for i := range len(s) {
		if e := entities[s[i]]; e != "" {
			r.out = append(r.out, s[done:i]...)
			r.out = append(r.out, e...)
			done = i + 1
		}
	}
	r.out = append(r.out, s[done:]...)
}

// headerText writes text without CR, LF and NUL.
func (r *run) headerText(s string) {
	for {
		i := strings.IndexAny(s, "\r\n\x00")
		if i < 0 {
			r.out = append(r.out, s...)
			return
		}
		r.out = append(r.out, s[:i]...)
		s = s[i+1:]
	}
}

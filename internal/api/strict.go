package api

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxDepth bounds how deep a JSON document may nest: the deepest that any
// client has a use for are merge variables.
const maxDepth = 100

// maxNoted bounds the keys that are held against each other at a time: more than
// variables of the greatest length can have.
const maxNoted = 400_000

// checkShape refuses what JSON allows and no two readers agree on: an object
// with the same key twice (RFC 8259, section 4), and nesting without end. The
// document is known to be valid JSON.
func checkShape(doc []byte) error {
	s := shape{doc: doc}
	for s.at < len(doc) {
		switch c := doc[s.at]; c {
		case '{', '[':
			if len(s.open) == maxDepth {
				return badField("body", "nests deeper than %d levels", maxDepth)
			}
			s.open = append(s.open, level{object: c == '{', key: c == '{', first: len(s.keys)})
			s.at++
		case '}', ']':
			top := &s.open[len(s.open)-1]
			s.noted -= len(top.seen)
			s.keys = s.keys[:top.first]
			s.open = s.open[:len(s.open)-1]
			s.at++
		case ',':
			top := &s.open[len(s.open)-1]
			top.key = top.object
			s.at++
		case '"':
			text := s.text()
			if n := len(s.open); n > 0 && s.open[n-1].key {
				if err := s.note(text, &s.open[n-1]); err != nil {
					return err
				}
			}
		default:
			s.at++
		}
	}
	return nil
}

// shape is the state of checkShape: the levels that are open, and the keys
// seen so far in those that are objects, outermost first.
type shape struct {
	doc  []byte
	at   int
	open []level
	keys [][]byte

	noted int // keys in the maps of the levels that are open
}

type level struct {
	object bool
	key    bool // the next string is a key
	first  int  // where its keys begin
	seen   map[string]bool
}

// text passes over a string and gives what stands between its quotes.
func (s *shape) text() []byte {
	start := s.at + 1
	for end := start; ; end++ {
		end += bytes.IndexByte(s.doc[end:], '"')
		slashes := end
		for s.doc[slashes-1] == '\\' {
			slashes--
		}
		if (end-slashes)%2 == 0 {
			s.at = end + 1
			return s.doc[start:end]
		}
	}
}

// fewKeys is up to how many keys of an object are compared one by one.
const fewKeys = 16

func (s *shape) note(raw []byte, top *level) error {
	key := raw
	if bytes.IndexByte(raw, '\\') >= 0 {
		var plain string
		_ = json.Unmarshal([]byte(`"`+string(raw)+`"`), &plain) // valid already
		key = []byte(plain)
	}
	twice := top.seen[string(key)]
	if top.seen == nil {
		for _, k := range s.keys[top.first:] {
			twice = twice || bytes.Equal(k, key)
		}
	}
	if twice {
		return badField(clipKey(string(key)), "stands twice in one object; send it once")
	}
	top.key = false
	if top.seen != nil {
		top.seen[string(key)] = true
		if s.noted++; s.noted > maxNoted {
			return badField("body", "has an object of more than %d fields", maxNoted)
		}
		return nil
	}
	if s.keys = append(s.keys, key); len(s.keys)-top.first > fewKeys {
		top.seen = map[string]bool{}
		for _, k := range s.keys[top.first:] {
			top.seen[string(k)] = true
		}
		s.noted += len(top.seen)
		s.keys = s.keys[:top.first]
	}
	return nil
}

// clipKey bounds what an error repeats of a key, and keeps it on one line.
func clipKey(key string) string {
	key = strings.Map(func(r rune) rune {
		if isControl(r) {
			return '?'
		}
		return r
	}, key)
	if len(key) > 60 {
		return strings.ToValidUTF8(key[:60], "") + "…"
	}
	return key
}

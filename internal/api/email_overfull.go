package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// fromSize is the length of a body, in bytes, from which on its lists are
// counted before it is read. What a shorter one can be made of is little.
const fromSize = 128 << 10

// overfull refuses a call whose lists are longer than they may be, before they
// are made: a body of 64 MB holds twenty million empty recipients, which would
// take gigabytes. It passes over what is no JSON, which the decoder tells of.
func overfull(body []byte) error {
	if len(body) < fromSize {
		return nil
	}
	c := counter{doc: body}
	for c.at < len(body) {
		switch b := body[c.at]; b {
		case '{', '[':
			c.value()
			if len(c.open) > maxDepth { // the decoder says so, too
				return nil
			}
			c.open = append(c.open, c.begins(b == '['))
		case '}', ']':
			if len(c.open) == 0 {
				return nil
			}
			c.open = c.open[:len(c.open)-1]
		case ',':
			if top := c.top(); top != nil {
				top.isKey = !top.array
			}
		case '"':
			if !c.text() {
				return nil
			}
		case ' ', '\t', '\r', '\n', ':':
		default:
			c.value()
		}
		if top := c.top(); top != nil && top.most > 0 && top.n > top.most {
			return badField(top.field, "has more than %d entries", top.most)
		}
		c.at++
	}
	return nil
}

// counter walks through a body.
type counter struct {
	doc  []byte
	at   int
	open []countedLevel
}

// countedLevel is an array or object that is open.
type countedLevel struct {
	array bool
	isKey bool   // an object's key comes next
	key   string // of the value to come; only where lists may stand
	n     int    // entries so far; of scalars more than there are
	field string // of a list
	most  int    // entries that it may have, 0: not counted
}

func (c *counter) top() *countedLevel {
	if len(c.open) == 0 {
		return nil
	}
	return &c.open[len(c.open)-1]
}

// value counts an entry of an array, once: what is a number or a word is counted
// by its first byte, and the rest of it is passed over.
func (c *counter) value() {
	if top := c.top(); top != nil && top.array {
		top.n++
	}
	if b := c.doc[c.at]; b != '{' && b != '[' {
		for c.at+1 < len(c.doc) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(c.doc[c.at+1])) {
			c.at++
		}
	}
}

// text passes over a string; not ok when it has no end.
func (c *counter) text() bool {
	start, end := c.at+1, c.at+1
	for {
		i := bytes.IndexByte(c.doc[end:], '"')
		if i < 0 {
			return false
		}
		end += i
		slashes := end
		for slashes > start && c.doc[slashes-1] == '\\' {
			slashes--
		}
		if (end-slashes)%2 == 0 {
			break
		}
		end++
	}
	c.at = end
	switch top := c.top(); {
	case top == nil:
	case top.array:
		top.n++
	case top.isKey:
		top.isKey = false
		top.n++
		top.key = ""
		if len(c.open) <= 3 && end-start <= 100 { // no longer, however it is escaped
			_ = json.Unmarshal(c.doc[start-1:end+1], &top.key) // else the decoder refuses it
		}
	}
	return true
}

// begins gives the level that begins here.
func (c *counter) begins(array bool) countedLevel {
	l := countedLevel{array: array, isKey: !array}
	is := func(name string) bool { return strings.EqualFold(c.top().key, name) }
	switch depth := len(c.open); {
	case depth == 1 && !c.open[0].array:
		for _, list := range []struct {
			name string
			most int
		}{{"to", maxTo}, {"attachments", maxFiles}, {"groups", maxGroups}, {"headers", maxHeaders}} {
			if is(list.name) {
				l.field, l.most = list.name, list.most
			}
		}
	case depth == 3 && c.open[1].field == "to" && array:
		for _, name := range []string{"cc", "bcc"} {
			if is(name) {
				l.field, l.most = fmt.Sprintf("to[%d].%s", c.open[1].n-1, name), maxCopies
			}
		}
	}
	return l
}

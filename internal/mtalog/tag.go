package mtalog

import "strings"

// tag is a syslog tag and its parts: "postfix-far/relay/smtp" is instance postfix-far, process smtp.
type tag struct {
	whole, instance, process string
}

// tags remembers the tags seen lately, each in the slot its letters choose.
type tags struct {
	slots [64]tag
}

// get gives the parts of a tag.
func (ts *tags) get(b []byte) *tag {
	slot := uint(len(b))
	if n := len(b); n > 2 {
		slot += uint(b[n-1])*5 + uint(b[n-2])*3 + uint(b[n/2])
	}
	t := &ts.slots[slot%uint(len(ts.slots))]
	if t.whole != string(b) {
		t.whole = clean(b)
		t.instance, t.process = t.whole, ""
		if i := strings.IndexByte(t.whole, '/'); i >= 0 {
			t.instance = t.whole[:i]
			t.process = t.whole[strings.LastIndexByte(t.whole, '/')+1:]
		}
	}
	return t
}

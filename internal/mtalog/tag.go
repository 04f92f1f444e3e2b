package mtalog

import (
	"bytes"
	"encoding/binary"
	"strings"
)

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

// leads remembers how lines begin behind the host, "postfix/smtp[2217]: ": the same few processes
// write most of a log.
type leads [1024]lead

type lead struct {
	text []byte
	tag  tag
}

// slot is where a lead is kept, by its last letters, which hold the process number.
func (ls *leads) slot(text []byte) *lead {
	const odd = 0x9e3779b97f4a7c15
	n := len(text)
	if n < 8 {
		return &ls[n]
	}
	return &ls[binary.LittleEndian.Uint64(text[n-8:])*odd>>54]
}

// cut gives the tag that b begins with and the text behind it; nil when its lead is not known.
func (ls *leads) cut(b []byte) (*tag, []byte) {
	end := bytes.IndexByte(b, ' ') + 1
	l := ls.slot(b[:end])
	if end == 0 || string(l.text) != string(b[:end]) {
		return nil, nil
	}
	return &l.tag, b[end:]
}

// keep remembers a lead, given without ": ".
func (ls *leads) keep(text []byte, t *tag) {
	var room [128]byte
	whole := append(append(room[:0], text...), ": "...)
	l := ls.slot(whole)
	l.text, l.tag = append(l.text[:0], whole...), *t
}

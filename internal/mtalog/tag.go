package mtalog

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// tag is a syslog tag and its parts: "postfix-far/relay/smtp" is instance postfix-far, process smtp.
type tag struct {
	whole, instance, process string
	manager                  bool // a queue manager: qmgr, oqmgr, nqmgr, or without a process, as RFC 5424 logs have cut it off
}

// tags remembers the tags seen lately, each in the slot its letters choose.
type tags struct {
	slots [64]*tag
}

// get gives the parts of a tag.
func (ts *tags) get(b []byte) *tag {
	slot := uint(len(b))
	if n := len(b); n > 2 {
		slot += uint(b[n-1])*5 + uint(b[n-2])*3 + uint(b[n/2])
	}
	kept := &ts.slots[slot%uint(len(ts.slots))]
	if *kept == nil || (*kept).whole != string(b) {
		t := newTag(clean(b))
		t.instance = ts.instance(t.instance)
		*kept = t
	}
	return *kept
}

// instance gives the name of an instance in the memory of a tag known already,
// if any has it: equal names are then compared by where they stand.
func (ts *tags) instance(name string) string {
	for _, t := range ts.slots {
		if t != nil && t.instance == name {
			return t.instance
		}
	}
	return name
}

func newTag(whole string) *tag {
	t := &tag{whole: whole}
	var more bool
	if t.instance, _, more = strings.Cut(whole, "/"); more {
		t.process = whole[strings.LastIndexByte(whole, '/')+1:]
	}
	t.manager = t.process == "" || strings.HasSuffix(t.process, "qmgr")
	return t
}

// leads remembers how lines begin behind the host, "postfix/smtp[2217]: ": the same few processes
// write most of a log.
type leads [1024]lead

// lead is such a beginning of 9 to 32 bytes, up to its blank and with zeros behind. It is kept as
// words: to look one up takes a few instructions and no loop over its letters.
type lead struct {
	a, b, c, d uint64
	tag        *tag
}

// cut gives the lead that text begins with and its length, which is 0 when it is not known.
func (ls *leads) cut(text []byte) (*lead, int) {
	if len(text) < 32 {
		return nil, 0
	}
	return ls.find((*[32]byte)(text))
}

// keep remembers a lead, given without ": ".
func (ls *leads) keep(text []byte, t *tag) {
	var room [32]byte
	if len(text)+2 > len(room) {
		return
	}
	copy(room[copy(room[:], text):], ": ")
	if l, _ := ls.find(&room); l != nil {
		le := binary.LittleEndian
		*l = lead{le.Uint64(room[0:]), le.Uint64(room[8:]), le.Uint64(room[16:]), le.Uint64(room[24:]), t}
	}
}

// find gives the place of the lead at the start of text, nil when it is none that is remembered,
// and its length when it is the one kept there.
func (ls *leads) find(text *[32]byte) (*lead, int) {
	const blanks, odd = ' ' * ones, 0x9e3779b97f4a7c15
	le := binary.LittleEndian
	a, b, c, d := le.Uint64(text[0:]), le.Uint64(text[8:]), le.Uint64(text[16:]), le.Uint64(text[24:])
	var n int
	if zeroByte(a^blanks) != 0 {
		return nil, 0
	}
	if end := zeroByte(b ^ blanks); end != 0 {
		b &= end ^ (end - 1) // up to the first blank
		c, d, n = 0, 0, 9+bits.TrailingZeros64(end)/8
	} else if end = zeroByte(c ^ blanks); end != 0 {
		c &= end ^ (end - 1)
		d, n = 0, 17+bits.TrailingZeros64(end)/8
	} else if end = zeroByte(d ^ blanks); end != 0 {
		d &= end ^ (end - 1)
		n = 25 + bits.TrailingZeros64(end)/8
	} else {
		return nil, 0
	}
	l := &ls[(b^bits.RotateLeft64(c, 24)^d)*odd>>54]
	if l.a != a || l.b != b || l.c != c || l.d != d {
		return l, 0
	}
	return l, n
}

// beginning is what a line is expected to begin with, of 1 to 48 bytes, as words: a line is compared
// in a few instructions and without a loop.
type beginning struct {
	n           int // 0: nothing is expected
	words, mask [6]uint64
}

// keep expects what b holds, if it is not too long.
func (g *beginning) keep(b []byte) {
	var room, mask [48]byte
	if len(b) > len(room) {
		return
	}
	g.n = copy(room[:], b)
	for i := range b {
		mask[i] = 0xff
	}
	for i := range g.words {
		g.words[i] = binary.LittleEndian.Uint64(room[8*i:])
		g.mask[i] = binary.LittleEndian.Uint64(mask[8*i:])
	}
}

// cut gives the length of the beginning when line begins with it, else 0. A line shorter than 48
// bytes is not looked at.
func (g *beginning) cut(line []byte) int {
	if len(line) < 48 {
		return 0
	}
	x, le := (*[48]byte)(line), binary.LittleEndian
	odd := (le.Uint64(x[0:])^g.words[0])&g.mask[0] | (le.Uint64(x[8:])^g.words[1])&g.mask[1] |
		(le.Uint64(x[16:])^g.words[2])&g.mask[2] | (le.Uint64(x[24:])^g.words[3])&g.mask[3] |
		(le.Uint64(x[32:])^g.words[4])&g.mask[4] | (le.Uint64(x[40:])^g.words[5])&g.mask[5]
	if odd != 0 {
		return 0
	}
	return g.n
}

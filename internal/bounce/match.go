package bounce

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxRules bounds the number of rules: the width of a hit set.
const maxRules = 256

type ruleSet [maxRules / 64]uint64

func (s *ruleSet) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *ruleSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// hits are the rules of which a phrase was found, wanted and unwanted ones.
type hits struct{ any, none ruleSet }

// phrase is a compiled phrase: pieces to be found in order.
type phrase struct {
	pieces      [][]byte
	key         int  // the longest piece, which the automaton looks for
	left, right bool // the ends must be edges of words
	rule        int
	none        bool
}

// gap is how far apart two pieces of a phrase may stand, in bytes.
const gap = 80

func compilePhrase(s string, index int, none bool) (phrase, error) {
	p := phrase{rule: index, none: none}
	s, p.left = strings.CutPrefix(s, "|")
	s, p.right = strings.CutSuffix(s, "|")
	s, start := strings.CutPrefix(s, "^")
	s, end := strings.CutSuffix(s, "$")
	for part := range strings.SplitSeq(s, " * ") {
		f := folder{out: []byte{'\n'}}
		for _, r := range part {
			f.add(r)
		}
		p.pieces = append(p.pieces, f.out[1:])
	}
	if start {
		p.pieces[0] = append([]byte{'\n'}, p.pieces[0]...)
	}
	if last := len(p.pieces) - 1; end {
		p.pieces[last] = append(p.pieces[last], '\n')
	}
	for i, piece := range p.pieces {
		if len(piece) == 0 {
			return p, fmt.Errorf("phrase %q has an empty part", s)
		}
		if len(piece) > len(p.pieces[p.key]) {
			p.key = i
		}
	}
	return p, nil
}

// compile makes a judge of rules in their order.
func compile(rules []rule) (*Judge, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("bounce rules: %d rules, at most %d are possible", len(rules), maxRules)
	}
	j := &Judge{rules: rules}
	ids := make(map[string]bool)
	for i := range rules {
		r := &rules[i]
		if ids[r.id] {
			return nil, fmt.Errorf("bounce rules: two rules are called %s", r.id)
		}
		ids[r.id] = true
		r.index, r.phrased = i, len(r.any) > 0
		for n, s := range slices.Concat(r.any, r.none) {
			p, err := compilePhrase(s, i, n >= len(r.any))
			if err != nil {
				return nil, fmt.Errorf("bounce rule %s: %w", r.id, err)
			}
			j.phrases = append(j.phrases, p)
		}
	}
	keys := make([][]byte, len(j.phrases))
	for i, p := range j.phrases {
		keys[i] = p.pieces[p.key]
	}
	var err error
	j.auto, err = newAutomaton(keys)
	return j, err
}

// scan finds the phrases of all rules in one pass over a folded text.
func (j *Judge) scan(text []byte) *hits {
	var h hits
	var triedBuf [32]uint64
	tried := triedBuf[:]
	if need := len(j.phrases)/64 + 1; need > len(tried) {
		tried = make([]uint64, need)
	}
	state := uint16(0)
	for i, c := range text {
		state = j.auto.step(state, c)
		for _, id := range j.auto.out[state] {
			p := &j.phrases[id]
			if len(p.pieces) == 1 {
				if p.edges(text, i+1-len(p.pieces[0]), i+1) {
					h.add(p)
				}
			} else if bit := uint64(1) << (id % 64); tried[id/64]&bit == 0 {
				tried[id/64] |= bit
				if p.in(text) {
					h.add(p)
				}
			}
		}
	}
	return &h
}

func (h *hits) add(p *phrase) {
	if p.none {
		h.none.add(p.rule)
	} else {
		h.any.add(p.rule)
	}
}

func (p *phrase) edges(text []byte, start, end int) bool {
	if p.left && start > 0 && wordByte(text[start-1]) {
		return false
	}
	return !p.right || end == len(text) || !wordByte(text[end])
}

// in looks for all pieces in order, each at most gap bytes behind the one
// before.
func (p *phrase) in(text []byte) bool {
	for from := 0; ; {
		i := bytes.Index(text[from:], p.pieces[0])
		if i < 0 {
			return false
		}
		start := from + i
		if end, ok := p.rest(text, start+len(p.pieces[0])); ok && p.edges(text, start, end) {
			return true
		}
		from = start + 1
	}
}

func (p *phrase) rest(text []byte, end int) (int, bool) {
	for _, piece := range p.pieces[1:] {
		i := bytes.Index(text[end:min(len(text), end+gap+len(piece))], piece)
		if i < 0 {
			return 0, false
		}
		end += i + len(piece)
	}
	return end, true
}

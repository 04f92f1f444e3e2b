package bounce

import (
	"errors"
	"math"
)

// automaton finds many words in one pass (Aho and Corasick, 1975). Bytes that
// are in no word share one column of the transition table, which keeps it
// small.
type automaton struct {
	column [256]uint16
	width  int
	next   []uint16   // state*width + column
	out    [][]uint16 // by state: the words that end there
}

func (a *automaton) step(state uint16, c byte) uint16 {
	return a.next[int(state)*a.width+int(a.column[c])]
}

var errTooManyPhrases = errors.New("bounce rules: the phrases need more than 65,535 states")

func newAutomaton(words [][]byte) (automaton, error) {
	a := automaton{width: 1} // column 0: every other byte
	for _, w := range words {
		for _, c := range w {
			if a.column[c] == 0 {
				a.column[c] = uint16(a.width)
				a.width++
			}
		}
	}
	if len(words) > math.MaxUint16 {
		return a, errTooManyPhrases
	}
	a.next, a.out = make([]uint16, a.width), make([][]uint16, 1)
	for id, w := range words {
		state := 0
		for _, c := range w {
			at := state*a.width + int(a.column[c])
			if a.next[at] == 0 {
				if len(a.out) > math.MaxUint16 {
					return a, errTooManyPhrases
				}
				a.next[at] = uint16(len(a.out))
				a.out = append(a.out, nil)
				a.next = append(a.next, make([]uint16, a.width)...)
			}
			state = int(a.next[at])
		}
		a.out[state] = append(a.out[state], uint16(id))
	}
	a.link()
	return a, nil
}

// link turns the tree into an automaton without failure steps: breadth first,
// a missing transition becomes that of the longest proper suffix.
func (a *automaton) link() {
	fail := make([]uint16, len(a.out))
	queue := make([]uint16, 0, len(a.out))
	for _, s := range a.next[:a.width] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		a.out[s] = append(a.out[s], a.out[fail[s]]...)
		for col := range a.width {
			at := int(s)*a.width + col
			other := a.next[int(fail[s])*a.width+col]
			if child := a.next[at]; child != 0 {
				fail[child] = other
				queue = append(queue, child)
			} else {
				a.next[at] = other
			}
		}
	}
}

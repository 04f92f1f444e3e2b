package merge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Mode says where the output goes.
type Mode uint8

// The modes.
const (
	// HTML escapes {{x}} the way Handlebars does: & < > " ' ` =.
	HTML Mode = iota
	// Text writes all values as they are.
	Text
	// Header is Text without CR, LF and NUL, in values and in the template.
	Header
)

// Render appends the output to dst, up to DefaultMaxOutput bytes, and returns
// the extended slice. scopes are searched in order; each is a map as from
// encoding/json (map[string]any) or a map[string]string, others are ignored.
// On error, always an *Error that wraps ErrBudget, the result is nil.
func (t *Template) Render(dst []byte, mode Mode, scopes ...any) ([]byte, error) {
	return t.RenderMax(dst, mode, DefaultMaxOutput, scopes...)
}

// RenderMax is Render with an output bound of maxOutput bytes, not counting
// what dst already holds.
func (t *Template) RenderMax(dst []byte, mode Mode, maxOutput int, scopes ...any) ([]byte, error) {
	r := run{mode: mode, scopes: scopes, out: dst, end: len(dst) + maxOutput, steps: MaxSteps}
	r.contexts[0] = rootValue{}
	if err := r.body(t.body); err != nil {
		return nil, errorAt(t.src, r.at, ErrBudget, err.Error())
	}
	return r.out, nil
}

var (
	errSteps  = fmt.Errorf("the template takes more than %d steps with this data", MaxSteps)
	errOutput = errors.New("the output becomes too large")
)

// run is one rendering. Its recursion is as deep as the template's nesting.
type run struct {
	mode   Mode
	scopes []any
	out    []byte
	end    int // length out may not pass
	steps  int // left
	at     int // offset of the part being run, for errors

	contexts [MaxNesting + 1]any // the values of this, outermost first
	depth    int                 // index of the current one
	loops    [MaxNesting]loop
	nLoops   int
}

// loop is what @index and its like show.
type loop struct {
	index, count int
	key          string // of a map
	overMap      bool
}

// step takes n steps from the budget.
func (r *run) step(n int) error {
	if r.steps -= n; r.steps < 0 {
		return errSteps
	}
	return nil
}

func (r *run) body(nodes []node) error {
	for i := range nodes {
		n := &nodes[i]
		r.at = n.at
		err := r.step(1)
		if err == nil {
			switch n.kind {
			case textNode, commentNode:
				err = r.write(n.text, false)
			case valueNode:
				err = r.value(&n.path, r.mode == HTML)
			case rawNode:
				err = r.value(&n.path, false)
			case blockNode:
				err = r.block(n)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) value(p *path, escape bool) error {
	v, err := r.lookup(p)
	if err != nil {
		return err
	}
	return r.print(v, escape, 0)
}

// block runs the first branch that applies.
func (r *run) block(n *node) error {
	for i := range n.branches {
		b := &n.branches[i]
		r.at = b.at
		if err := r.step(1); err != nil {
			return err
		}
		v, err := r.lookup(&b.path)
		if err != nil {
			return err
		}
		done := true
		switch b.kind {
		case elseBranch:
			err = r.body(b.body)
		case ifBranch, unlessBranch:
			if done = truth(v) == (b.kind == ifBranch); done {
				err = r.body(b.body)
			}
		case withBranch:
			switch done = !empty(v); {
			case done && b.nests():
				err = r.within(v, b.body)
			case done:
				err = r.body(b.body)
			}
		case eachBranch:
			done, err = r.each(v, b)
		}
		if done || err != nil {
			return err
		}
	}
	return nil
}

// within runs a body with v as this.
func (r *run) within(v any, body []node) error {
	r.depth++
	r.contexts[r.depth] = v
	err := r.body(body)
	r.contexts[r.depth] = nil
	r.depth--
	return err
}

// each runs a branch once per item, and reports whether there was one.
func (r *run) each(v any, b *branch) (ran bool, err error) {
	count, keys, item := r.items(v)
	if keys != nil { // they were sorted
		if err := r.step(count); err != nil {
			return true, err
		}
	}
	r.nLoops++
	defer func() { r.nLoops-- }()
	for i := range count {
		r.at = b.at
		if err := r.step(1); err != nil {
			return true, err
		}
		l := loop{index: i, count: count}
		if keys != nil {
			l.key, l.overMap = keys[i], true
		}
		r.loops[r.nLoops-1] = l
		if err := r.within(item(i), b.body); err != nil {
			return true, err
		}
	}
	return count > 0, nil
}

// items returns what each runs over, with the sorted keys of an object. The
// count is 0 for all other values.
func (r *run) items(v any) (count int, keys []string, item func(i int) any) {
	switch v := v.(type) {
	case []any:
		return len(v), nil, func(i int) any { return v[i] }
	case []string:
		return len(v), nil, func(i int) any { return v[i] }
	case map[string]any:
		keys = slices.Sorted(maps.Keys(v))
		return len(v), keys, func(i int) any { return v[keys[i]] }
	case map[string]string:
		keys = slices.Sorted(maps.Keys(v))
		return len(v), keys, func(i int) any { return v[keys[i]] }
	case rootValue:
		return r.items(r.mergedRoot())
	}
	return 0, nil, nil
}

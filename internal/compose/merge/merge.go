package merge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a template (ecosystem.md "Templates").
const (
	// MaxNesting is how deep blocks may lie in each other.
	MaxNesting = 32
	// MaxNodes bounds the texts, values, blocks and branches of a template.
	MaxNodes = 10_000
	// MaxSteps bounds the work of one Render: each part that is run, each
	// turn of a loop and each name looked up is a step.
	MaxSteps = 100_000
	// DefaultMaxOutput is Render's output bound in bytes.
	DefaultMaxOutput = 50 << 20
	// maxPath bounds the names of one path, and the ".." in front.
	maxPath = 32
)

// ErrBudget is wrapped by the error of a Render that took too many steps or
// wrote too much.
var ErrBudget = errors.New("template exceeds its budget")

// Error says what is wrong with a template and where.
type Error struct {
	// Line and Column count from 1; Column counts characters, not bytes.
	Line, Column int
	// Msg says what is wrong there. It may quote a few characters of the
	// template, never of the data.
	Msg string

	cause error
}

func (e *Error) Error() string {
	return fmt.Sprintf("template line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// Unwrap returns ErrBudget or nil.
func (e *Error) Unwrap() error { return e.cause }

// errorAt makes an Error for a byte offset.
func errorAt(src string, at int, cause error, msg string) *Error {
	before := src[:at]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &Error{Line: line + 1, Column: column + 1, Msg: msg, cause: cause}
}

// Template is a parsed template. It does not change and may be used by
// several goroutines.
type Template struct {
	src   string
	body  []node
	names []string
}

// Static reports that the template is plain text: Render in the modes HTML
// and Text returns the source as it is. In mode Header it still removes line
// ends.
func (t *Template) Static() bool {
	return len(t.body) == 0 && t.src == "" || len(t.body) == 1 && t.body[0].kind == textNode && t.body[0].text == t.src
}

// Variables returns the top-level names the template uses, sorted. Names
// looked up in the items of each and with are not among them.
func (t *Template) Variables() []string { return slices.Clone(t.names) }

type nodeKind uint8

const (
	textNode    nodeKind = iota
	commentNode          // only until the white space is settled
	valueNode            // {{x}}
	rawNode              // {{{x}}}
	blockNode
)

// node is one part of a template.
type node struct {
	kind     nodeKind
	at       int // byte offset in the source
	text     string
	path     path
	branches []branch // of a block: tried in order, the first that applies runs

	open, close strip // of the tag, or of a block's first and last tag
	// original is the text before any white space was taken from it.
	original                    string
	leftStripped, rightStripped bool
}

// strip records the ~ marks of a tag: before it and after it.
type strip struct{ before, after bool }

type branchKind uint8

const (
	ifBranch branchKind = iota
	unlessBranch
	eachBranch
	withBranch
	elseBranch
)

var branchNames = map[string]branchKind{"if": ifBranch, "unless": unlessBranch, "each": eachBranch, "with": withBranch}

func (k branchKind) String() string {
	for name, kind := range branchNames {
		if kind == k {
			return name
		}
	}
	return "else"
}

// branch is {{#if x}}body or {{else if x}}body or {{else}}body.
type branch struct {
	kind branchKind
	at   int
	path path
	body []node
	tag  strip
}

// nests says whether the body of the branch is one level of .. deeper than
// the block. {{#with this}} is not, as in Handlebars.
func (b *branch) nests() bool {
	this := b.path.base == fromContext && b.path.up == 0 && len(b.path.names) == 0
	return b.kind == eachBranch || b.kind == withBranch && !this
}

// base says where a path starts.
type base uint8

const (
	fromContext base = iota // up levels above the current value
	fromRoot                // @root
	fromIndex               // @index of the loop up levels above
	fromKey
	fromFirst
	fromLast
	fromNothing // an unknown @name, null or undefined
	isTrue      // {{#if true}}
	isFalse
)

// path is a parsed a.b.c.
type path struct {
	base  base
	up    int
	names []string
}

package merge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parse reads a template. The error is an *Error.
func Parse(src string) (*Template, error) {
	p := &parser{src: src, names: map[string]struct{}{}}
	p.stack = append(p.stack, open{})
	if err := p.parse(); err != nil {
		return nil, err
	}
	body := settleSpace(p.stack[0].body)
	return &Template{src: src, body: body, names: slices.Sorted(maps.Keys(p.names))}, nil
}

// open is a block whose end has not come yet. The first of a stack is the
// template itself.
type open struct {
	block node // branches without the last one's body
	body  []node
}

func (o *open) last() *branch { return &o.block.branches[len(o.block.branches)-1] }

type parser struct {
	src      string
	pos      int // next byte to read
	tag      int // where the current tag begins
	stack    []open
	nodes    int
	contexts int // each and with bodies around the current position
	names    map[string]struct{}
}

func (p *parser) errorf(at int, format string, args ...any) error {
	return errorAt(p.src, at, nil, fmt.Sprintf(format, args...))
}

func (p *parser) parse() error {
	for p.pos < len(p.src) {
		at := strings.Index(p.src[p.pos:], "{{")
		if at < 0 {
			return p.finish(p.text(len(p.src)))
		}
		at += p.pos
		escapes := trailingBackslashes(p.src[p.pos:at])
		if err := p.text(at - min(escapes, 1)); err != nil {
			return err
		}
		p.pos, p.tag = at, at
		var err error
		if escapes == 1 {
			err = p.text(p.literalEnd())
		} else {
			err = p.readTag()
		}
		if err != nil {
			return err
		}
	}
	return p.finish(nil)
}

// finish reports a block that is still open at the end.
func (p *parser) finish(err error) error {
	if top := &p.stack[len(p.stack)-1]; err == nil && len(p.stack) > 1 {
		return p.errorf(top.block.at, "{{#%s}} has no {{/%[1]s}}", top.block.branches[0].kind)
	}
	return err
}

// trailingBackslashes counts 0, 1 or 2 (or more): none, \{{ and \\{{.
func trailingBackslashes(s string) int {
	n := len(s) - len(strings.TrimRight(s, `\`))
	return min(n, 2)
}

// literalEnd returns the end of the text that \{{ began: the next {{ with
// its backslashes.
func (p *parser) literalEnd() int {
	from := p.pos + 2
	next := strings.Index(p.src[from:], "{{")
	if next < 0 {
		return len(p.src)
	}
	next += from
	return next - trailingBackslashes(p.src[from:next])
}

// text adds the text up to end.
func (p *parser) text(end int) error {
	text := p.src[p.pos:end]
	start := p.pos
	p.pos = end
	if text == "" {
		return nil
	}
	return p.add(node{kind: textNode, at: start, text: text, original: text})
}

func (p *parser) add(n node) error {
	if err := p.count(); err != nil {
		return err
	}
	top := &p.stack[len(p.stack)-1]
	top.body = append(top.body, n)
	return nil
}

func (p *parser) count() error {
	if p.nodes++; p.nodes > MaxNodes {
		return p.errorf(p.tag, "more than %d parts", MaxNodes)
	}
	return nil
}

// peek returns the byte n after the current position, 0 at the end.
func (p *parser) peek(n int) byte {
	if p.pos+n < len(p.src) {
		return p.src[p.pos+n]
	}
	return 0
}

// skip moves over s if it is next.
func (p *parser) skip(s string) bool {
	if !strings.HasPrefix(p.src[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

func (p *parser) skipSpace() {
	for isSpace(p.peek(0)) {
		p.pos++
	}
}

// readTag reads the tag at the current position.
func (p *parser) readTag() error {
	if p.skip("{{{{") {
		return p.errorf(p.tag, "{{{{ blocks are not supported")
	}
	p.pos += 2
	var s strip
	s.before = p.skip("~")
	switch c := p.peek(0); c {
	case '!':
		return p.comment(s)
	case '{':
		p.pos++
		return p.value(rawNode, "}", s)
	case '&':
		p.pos++
		return p.value(rawNode, "", s)
	case '#':
		p.pos++
		return p.openBlock(s)
	case '/':
		p.pos++
		return p.closeBlock(s)
	case '^':
		p.pos++
		if p.skipSpace(); p.peek(0) != '}' && p.peek(0) != '~' {
			return p.errorf(p.tag, "{{^ blocks are not supported; use {{#unless}}")
		}
		return p.elseTag(s)
	case '>':
		return p.errorf(p.tag, "partials are not supported")
	case '*':
		return p.errorf(p.tag, "decorators are not supported")
	}
	p.skipSpace()
	if p.word() == "else" && (isSpace(p.peek(4)) || p.peek(4) == '}' || p.peek(4) == '~') {
		p.pos += len("else")
		return p.elseTag(s)
	}
	return p.value(valueNode, "", s)
}

// end reads the end of a tag. brace is "}" for {{{x}}}.
func (p *parser) end(s *strip, brace string) error {
	p.skipSpace()
	at := p.pos
	if p.skip(brace) {
		s.after = p.skip("~")
		if p.skip("}}") {
			return nil
		}
	}
	switch p.pos = at; {
	case p.pos >= len(p.src):
		return p.errorf(p.tag, "{{ is not closed by }}")
	case brace != "" && p.peek(0) == '}':
		return p.errorf(at, "{{{ must be closed by }}}")
	case p.word() != "" || p.peek(0) == '[':
		return p.errorf(p.tag, "a tag holds one name; helpers are not supported (a name with spaces is written [first name])")
	default:
		return p.unexpected(at)
	}
}

// value reads the rest of {{x}}, {{&x}} or {{{x}}}.
func (p *parser) value(kind nodeKind, brace string, s strip) error {
	p.skipSpace()
	q, err := p.path()
	if err != nil {
		return err
	}
	if err := p.end(&s, brace); err != nil {
		return err
	}
	p.note(q)
	return p.add(node{kind: kind, at: p.tag, path: q, open: s, close: s})
}

// comment reads {{! to }} or {{!-- to --}}.
func (p *parser) comment(s strip) error {
	rest := p.src[p.pos+1:]
	mark := ""
	if strings.HasPrefix(rest, "--") {
		mark = "--"
	}
	for end := 0; ; end++ {
		at := strings.Index(rest[end:], cmp.Or(mark, "}}"))
		if at < 0 {
			return p.errorf(p.tag, "the comment is not closed by %s}}", mark)
		}
		end += at
		after := rest[end+len(mark):]
		s.after = mark == "" && end > 0 && rest[end-1] == '~' || strings.HasPrefix(after, "~}}")
		if strings.HasPrefix(strings.TrimPrefix(after, "~"), "}}") {
			p.pos = len(p.src) - len(after) + strings.Index(after, "}}") + 2
			return p.add(node{kind: commentNode, at: p.tag, open: s, close: s})
		}
	}
}

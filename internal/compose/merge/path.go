package merge

import (
	"strings"
	"unicode/utf8"
)

// nameEnd holds the characters that cannot be part of a plain name.
const nameEnd = " \t\r\n\v\f!\"#%&'()*+,./;<=>@[\\]^`{|}~"

// word returns the plain name at the current position, "" if there is none.
func (p *parser) word() string {
	rest := p.src[p.pos:]
	if end := strings.IndexAny(rest, nameEnd); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// path reads a path.
func (p *parser) path() (path, error) {
	var out path
	start := p.pos
	data := p.skip("@")
	for first := true; ; first = false {
		if err := p.segment(&out, first && !data); err != nil {
			return path{}, err
		}
		if len(out.names) > maxPath || out.up > maxPath {
			return path{}, p.errorf(start, "path of more than %d names", maxPath)
		}
		if !p.skip(".") && !p.skip("/") {
			break
		}
	}
	if data {
		return p.dataPath(out, start)
	}
	return out, nil
}

// segment reads one part of a path: a name, [a name], this, . or ..
func (p *parser) segment(out *path, mayBeDot bool) error {
	start := p.pos
	if p.skip("[") {
		return p.bracket(out, start)
	}
	w := p.word()
	switch {
	case w == "this" || w == "" && strings.HasPrefix(p.src[start:], ".."):
		if len(out.names) > 0 {
			return p.errorf(start, "this and .. can only begin a path")
		}
		if w == "" {
			p.pos += 2
			out.up++
			return nil
		}
	case w == "" && mayBeDot && p.skip("."):
		// {{.Name}} is the same as {{Name}}; {{.}} and {{./x}} begin at this.
		if w = p.word(); w == "" && p.pos < len(p.src) && p.src[p.pos] == '[' {
			return p.segment(out, false)
		}
		if w != "" {
			out.names = append(out.names, w)
		}
	case w == "":
		return p.unexpected(start)
	default:
		out.names = append(out.names, w)
	}
	p.pos += len(w)
	return nil
}

// bracket reads the rest of [any name]; \] and \\ stand for ] and \.
func (p *parser) bracket(out *path, start int) error {
	var name strings.Builder
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		p.pos++
		switch {
		case c == ']':
			out.names = append(out.names, name.String())
			return nil
		case c == '\\' && p.pos < len(p.src) && (p.src[p.pos] == ']' || p.src[p.pos] == '\\'):
			c = p.src[p.pos]
			p.pos++
		}
		name.WriteByte(c)
	}
	return p.errorf(start, "[ is not closed by ]")
}

var dataNames = map[string]base{"root": fromRoot, "index": fromIndex, "key": fromKey, "first": fromFirst, "last": fromLast}

// dataPath turns the path after @ into one that starts at a loop's data.
func (p *parser) dataPath(out path, start int) (path, error) {
	if len(out.names) == 0 {
		return path{}, p.errorf(start, "@ needs one of root, index, key, first, last")
	}
	from, ok := dataNames[out.names[0]]
	if !ok {
		from = fromNothing
	}
	out.base, out.names = from, out.names[1:]
	return out, nil
}

// argument reads the path of a block tag, where true, false, null and
// undefined are values.
func (p *parser) argument() (path, error) {
	switch w := p.word(); w {
	case "true", "false", "null", "undefined":
		if strings.IndexByte("./", p.peek(len(w))) < 0 {
			p.pos += len(w)
			literals := map[string]base{"true": isTrue, "false": isFalse}
			if b, ok := literals[w]; ok {
				return path{base: b}, nil
			}
			return path{base: fromNothing}, nil
		}
	}
	return p.path()
}

// note adds the top-level name that a path looks up to Variables.
func (p *parser) note(q path) {
	atRoot := q.base == fromRoot || q.base == fromContext && q.up == p.contexts
	if atRoot && len(q.names) > 0 {
		p.names[q.names[0]] = struct{}{}
	}
}

// unexpected is the error for a character that begins no path.
func (p *parser) unexpected(at int) error {
	if at >= len(p.src) {
		return p.errorf(p.tag, "{{ is not closed by }}")
	}
	switch c, _ := utf8.DecodeRuneInString(p.src[at:]); c {
	case '}':
		return p.errorf(at, "a name is missing before }")
	case '(':
		return p.errorf(at, "helpers are not supported")
	case '"', '\'':
		return p.errorf(at, "text in quotes is not supported")
	default:
		return p.errorf(at, "unexpected %q in a tag; is }} missing before it?", c)
	}
}

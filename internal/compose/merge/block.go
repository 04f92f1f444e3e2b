package merge

// openBlock reads the rest of {{#if x}}.
func (p *parser) openBlock(s strip) error {
	p.skipSpace()
	b, err := p.branch(s)
	if err != nil {
		return err
	}
	if len(p.stack) > MaxNesting {
		return p.errorf(p.tag, "blocks are nested more than %d deep", MaxNesting)
	}
	if err := p.count(); err != nil {
		return err
	}
	p.stack = append(p.stack, open{block: node{kind: blockNode, at: p.tag, branches: []branch{b}, open: b.tag}})
	p.enter(&b)
	return nil
}

// branch reads "if x}}" after {{# or {{else.
func (p *parser) branch(s strip) (branch, error) {
	at, word := p.pos, p.word()
	kind, ok := branchNames[word]
	if !ok {
		switch c := p.peek(0); {
		case word != "":
			return branch{}, p.errorf(at, "%.40q is no block; there are if, unless, each and with, and no helpers", word)
		case c == '>' || c == '*':
			return branch{}, p.errorf(at, "partials and decorators are not supported")
		default:
			return branch{}, p.unexpected(at)
		}
	}
	p.pos += len(word)
	p.skipSpace()
	if p.peek(0) == '}' || p.peek(0) == '~' {
		return branch{}, p.errorf(at, "%s needs a name after it", word)
	}
	q, err := p.argument()
	if err != nil {
		return branch{}, err
	}
	if p.skipSpace(); p.word() == "as" {
		return branch{}, p.errorf(p.pos, "block parameters (as |x|) are not supported")
	}
	if err := p.end(&s, ""); err != nil {
		return branch{}, err
	}
	p.note(q)
	return branch{kind: kind, at: p.tag, path: q, tag: s}, nil
}

// elseTag reads the rest of {{else}}, {{else if x}} or {{^}}.
func (p *parser) elseTag(s strip) error {
	top := &p.stack[len(p.stack)-1]
	if len(p.stack) == 1 {
		return p.errorf(p.tag, "{{else}} outside a block")
	}
	if top.last().kind == elseBranch {
		return p.errorf(p.tag, "a second {{else}} in the {{#%s}} of line %d", top.block.branches[0].kind, p.line(top.block.at))
	}
	// The condition of a further branch is looked up outside the first.
	p.leave(top.last())
	next := branch{kind: elseBranch, at: p.tag}
	p.skipSpace()
	var err error
	if c := p.peek(0); c == '}' || c == '~' {
		err = p.end(&s, "")
		next.tag = s
	} else {
		next, err = p.branch(s)
	}
	if err != nil {
		return err
	}
	if err := p.count(); err != nil {
		return err
	}
	top.last().body, top.body = top.body, nil
	top.block.branches = append(top.block.branches, next)
	p.enter(&next)
	return nil
}

// closeBlock reads the rest of {{/if}}.
func (p *parser) closeBlock(s strip) error {
	p.skipSpace()
	at, word := p.pos, p.word()
	p.pos += len(word)
	if word == "" {
		return p.unexpected(at)
	}
	if err := p.end(&s, ""); err != nil {
		return err
	}
	if len(p.stack) == 1 {
		return p.errorf(p.tag, "{{/%.20s}} ends nothing", word)
	}
	top := &p.stack[len(p.stack)-1]
	if name := top.block.branches[0].kind.String(); name != word {
		return p.errorf(p.tag, "{{/%.20s}} cannot end the {{#%s}} of line %d", word, name, p.line(top.block.at))
	}
	p.leave(top.last())
	top.last().body = top.body
	top.block.close = s
	done := top.block
	p.stack = p.stack[:len(p.stack)-1]
	parent := &p.stack[len(p.stack)-1]
	parent.body = append(parent.body, done)
	return nil
}

func (p *parser) enter(b *branch) {
	if b.nests() {
		p.contexts++
	}
}

func (p *parser) leave(b *branch) {
	if b.nests() {
		p.contexts--
	}
}

func (p *parser) line(at int) int { return errorAt(p.src, at, nil, "").Line }

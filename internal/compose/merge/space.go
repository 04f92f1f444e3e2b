package merge

import (
	"slices"
	"strings"
)

// This file takes white space away as Handlebars does: what a ~ asks for, and
// the whole line of a block tag or comment that stands alone on it.

const spaces = " \t\r\n\v\f"

func isSpace(c byte) bool { return c != 0 && strings.IndexByte(spaces, c) >= 0 }

// settleSpace applies white space control to a template's body and drops what
// prints nothing.
func settleSpace(body []node) []node {
	stripBody(body, true)
	return compact(body)
}

// stripBody recurses at most MaxNesting deep.
func stripBody(body []node, root bool) {
	for i := range body {
		n := &body[i]
		if n.kind == textNode {
			continue
		}
		if n.kind == blockNode {
			stripBlock(n)
		}
		prev, next := endsLine(body, i, root), startsLine(body, i, root)
		if n.close.after {
			omitRight(body, i+1, true)
		}
		if n.open.before {
			omitLeft(body, i-1, true)
		}
		switch {
		case n.kind == commentNode && prev && next:
			omitRight(body, i+1, false)
			omitLeft(body, i-1, false)
		case n.kind == blockNode:
			first, last := n.branches[0].body, n.branches[len(n.branches)-1].body
			if prev && startsLine(first, -1, false) {
				omitRight(first, 0, false)
				omitLeft(body, i-1, false)
			}
			if next && endsLine(last, len(last), false) {
				omitRight(body, i+1, false)
				omitLeft(last, len(last)-1, false)
			}
		}
	}
}

// stripBlock settles the inside of a block: its bodies, and the else tags
// between them.
func stripBlock(n *node) {
	for i := range n.branches {
		stripBody(n.branches[i].body, false)
	}
	for i := range n.branches {
		b := &n.branches[i]
		after := n.close.before // the mark of the tag that ends this body
		if i+1 < len(n.branches) {
			after = n.branches[i+1].tag.before
		}
		if b.tag.after {
			omitRight(b.body, 0, true)
		}
		if after {
			omitLeft(b.body, len(b.body)-1, true)
		}
	}
	for i := range len(n.branches) - 1 {
		before, after := n.branches[i].body, n.branches[i+1].body
		if endsLine(before, len(before), false) && startsLine(after, -1, false) {
			omitLeft(before, len(before)-1, false)
			omitRight(after, 0, false)
		}
	}
}

// endsLine says whether a tag at body[i] has only white space before it on
// its line.
func endsLine(body []node, i int, root bool) bool {
	if i == 0 {
		return root
	}
	n := &body[i-1]
	if n.kind != textNode {
		return false
	}
	rest := strings.TrimRight(n.original, spaces)
	return strings.Contains(n.original[len(rest):], "\n") || rest == "" && root && i == 1
}

// startsLine says whether a tag at body[i] has only white space after it on
// its line.
func startsLine(body []node, i int, root bool) bool {
	if i+1 >= len(body) {
		return root
	}
	n := &body[i+1]
	if n.kind != textNode {
		return false
	}
	rest := strings.TrimLeft(n.original, spaces)
	return strings.Contains(n.original[:len(n.original)-len(rest)], "\n") || rest == "" && root && i+2 == len(body)
}

// omitRight cuts white space from the start of the text body[i]: all of it,
// or the rest of the line.
func omitRight(body []node, i int, all bool) {
	if i >= len(body) || body[i].kind != textNode || !all && body[i].rightStripped {
		return
	}
	n := &body[i]
	text := n.text
	if all {
		text = strings.TrimLeft(text, spaces)
	} else {
		text = strings.TrimLeft(text, " \t")
		if cut, ok := strings.CutPrefix(text, "\r\n"); ok {
			text = cut
		} else {
			text = strings.TrimPrefix(text, "\n")
		}
	}
	n.rightStripped = len(text) != len(n.text)
	n.text = text
}

// omitLeft cuts white space from the end of the text body[i]: all of it, or
// the indentation of the line.
func omitLeft(body []node, i int, all bool) {
	if i < 0 || body[i].kind != textNode || !all && body[i].leftStripped {
		return
	}
	n := &body[i]
	cut := " \t"
	if all {
		cut = spaces
	}
	text := strings.TrimRight(n.text, cut)
	n.leftStripped = len(text) != len(n.text)
	n.text = text
}

func compact(body []node) []node {
	body = slices.DeleteFunc(body, func(n node) bool {
		return n.kind == commentNode || n.kind == textNode && n.text == ""
	})
	for i := range body {
		for j := range body[i].branches {
			b := &body[i].branches[j]
			b.body = compact(b.body)
		}
	}
	return body
}

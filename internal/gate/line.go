package gate

import (
	"bytes"
	"strconv"
	"strings"
)

// lines watches what a client says before the server reads it: command lines
// must end with CR LF (RFC 5321, section 2.3.8). A server that takes a bare LF
// for the end of a line disagrees with others about where a command, or a mail,
// begins. Bodies are not its matter: their readers refuse a bare CR or LF with
// an answer of their own. From STARTTLS on it sees what is encrypted, and looks
// no longer.
type lines struct {
	state   lineState
	greeted bool
	cr      bool   // the byte before was a CR
	line    []byte // the command line so far, as much of it as could be a BDAT
	skip    uint64 // bytes of a BDAT chunk to come
	end     int    // how many bytes of endOfData the body ended with
}

type lineState int

const (
	inCommands lineState = iota
	inBody               // after 354, until its final dot
	inChunk              // of BDAT (RFC 3030)
	encrypted
)

const endOfData = "\r\n.\r\n"

// longestBDAT is more than a BDAT command has.
const longestBDAT = 64

// replied notes what the server's answer means for what the client says next.
func (l *lines) replied(answer []byte) {
	switch {
	case l.state == encrypted:
	case !l.greeted:
		l.greeted = true
	case bytes.HasPrefix(answer, []byte("220")): // to STARTTLS (RFC 3207)
		l.state = encrypted
	case bytes.HasPrefix(answer, []byte("354")):
		l.state, l.end = inBody, len("\r\n")
	}
}

// read takes what the client said and tells whether its lines are whole.
func (l *lines) read(p []byte) bool {
	for len(p) > 0 {
		switch l.state {
		case encrypted:
			return true
		case inChunk:
			n := min(l.skip, uint64(len(p)))
			p = p[n:]
			if l.skip -= n; l.skip == 0 {
				l.state = inCommands
			}
		case inBody:
			p = l.body(p)
		case inCommands:
			var ok bool
			if p, ok = l.command(p); !ok {
				return false
			}
		}
	}
	return true
}

// command reads up to the end of a command line.
func (l *lines) command(p []byte) (rest []byte, ok bool) {
	for i, c := range p {
		if l.cr != (c == '\n') {
			return nil, false
		}
		if l.cr = c == '\r'; c == '\n' {
			l.chunk()
			l.line = l.line[:0]
			return p[i+1:], true
		}
		if len(l.line) < longestBDAT {
			l.line = append(l.line, c)
		}
	}
	return nil, true
}

// chunk begins to pass over the bytes that follow a BDAT command, which a
// server reads whether or not it wants them.
func (l *lines) chunk() {
	words := strings.Fields(string(l.line))
	if len(words) < 2 || len(words) > 3 || !strings.EqualFold(words[0], "BDAT") || len(words) == 3 && !strings.EqualFold(words[2], "LAST") {
		return
	}
	if n, err := strconv.ParseUint(words[1], 10, 32); err == nil && n > 0 {
		l.state, l.skip = inChunk, n
	}
}

// body passes over a body and its final dot.
func (l *lines) body(p []byte) (rest []byte) {
	for i, c := range p {
		switch c {
		case endOfData[l.end]:
			l.end++
		case '\r':
			l.end = 1
		default:
			l.end = 0
		}
		if l.end == len(endOfData) {
			l.state = inCommands
			return p[i+1:]
		}
	}
	return nil
}

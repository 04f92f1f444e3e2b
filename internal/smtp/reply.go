package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what a server may say in one reply. RFC 5321 section 4.5.3.1.5 asks
// for 512 octets a line; real servers send more.
const (
	maxLine   = 4096     // bytes of one line without its line end
	maxReply  = 64 << 10 // bytes of all lines of one reply
	maxString = 1000     // bytes of Reply.String
)

// Enhanced is an enhanced status code such as "5.1.1" (RFC 3463), "" when the
// reply had none.
type Enhanced string

// Reply is what a server answered to one command (RFC 5321 section 4.2).
type Reply struct {
	Code     int      // three digits, 200 to 599
	Enhanced Enhanced // RFC 2034
	// Text holds the lines joined by "\n" without codes and without control
	// characters. It is valid UTF-8 and at most 64 KB.
	Text string
}

// Positive reports whether the code is 2yz or 3yz.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// String is the reply on one line: "550 5.1.1 no such user". It holds no control
// characters and at most 1,000 bytes.
func (r Reply) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(r.Code))
	if r.Enhanced != "" {
		b.WriteByte(' ')
		b.WriteString(string(r.Enhanced))
	}
	if r.Text != "" {
		b.WriteByte(' ')
		b.WriteString(r.line())
	}
	return bound(b.String(), maxString)
}

// line is Text on one line, bounded and clean even when the Reply was built by hand.
func (r Reply) line() string {
	return bound(clean([]byte(bound(r.Text, 2*maxString))), maxString)
}

// bound cuts s to at most n bytes at a rune border.
func bound(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "..."
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}

// garbageError is an answer that is not an SMTP reply.
type garbageError struct {
	why  string
	head string // the first bytes, for the hint and for the message
}

func (e *garbageError) Error() string {
	if e.head == "" {
		return e.why
	}
	return fmt.Sprintf("%s: %q", e.why, e.head)
}

func garbage(why string, line []byte) error {
	return &garbageError{why: why, head: string(line[:min(len(line), 60)])}
}

// newReplyReader returns a reader whose buffer is the limit of a line.
func newReplyReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, maxLine+2) }

// readReply reads one reply, with all lines of a multi-line one. The reader must
// come from newReplyReader. An answer that breaks the grammar or the limits is a
// *garbageError; the stream is then of no use any more.
func readReply(r *bufio.Reader) (Reply, error) {
	var rep Reply
	var joined []byte // text of a multi-line reply
	total := 0
	for n := 0; ; n++ {
		line, err := readLine(r)
		if err != nil {
			return Reply{}, err
		}
		if total += len(line); total > maxReply {
			return Reply{}, garbage("reply of more than 64 KB", nil)
		}
		code, more, text, ok := splitLine(line)
		if !ok {
			return Reply{}, garbage("not an SMTP reply", line)
		}
		if n > 0 && code != rep.Code {
			return Reply{}, garbage(fmt.Sprintf("reply changes its code from %d to %d", rep.Code, code), nil)
		}
		rep.Code = code
		if enh, rest := cutEnhanced(text); enh != "" && (rep.Enhanced == "" || rep.Enhanced == enh) {
			rep.Enhanced, text = enh, rest
		}
		if n == 0 && !more {
			rep.Text = clean(text)
			return rep, nil
		}
		if n > 0 {
			joined = append(joined, '\n')
		}
		joined = append(joined, clean(text)...)
		if !more {
			rep.Text = string(joined)
			return rep, nil
		}
	}
}

// readLine returns one line without its end; a lone LF is accepted as the end.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, garbage("reply line of more than 4 KB", line)
	case errors.Is(err, io.EOF) && len(line) > 0:
		if line[0] < '2' || line[0] > '5' {
			return nil, garbage("not an SMTP reply", line)
		}
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// splitLine takes "250-text" apart; more says that another line follows.
func splitLine(line []byte) (code int, more bool, text []byte, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, false, nil, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, nil, true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil, false
	}
	return code, line[3] == '-', line[4:], true
}

// cutEnhanced splits a leading class.subject.detail off text (RFC 2034 section 4).
func cutEnhanced(text []byte) (Enhanced, []byte) {
	if len(text) < 5 || (text[0] != '2' && text[0] != '4' && text[0] != '5') || text[1] != '.' {
		return "", text
	}
	i := 2
	for part := range 2 {
		start := i
		for i < len(text) && i-start < 3 && digit(text[i]) {
			i++
		}
		if i == start {
			return "", text
		}
		if part == 0 {
			if i >= len(text) || text[i] != '.' {
				return "", text
			}
			i++
		}
	}
	if i < len(text) && text[i] != ' ' {
		return "", text
	}
	return Enhanced(text[:i]), text[min(i+1, len(text)):]
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// clean makes text printable: control and format characters become spaces or
// vanish, bytes that are not UTF-8 become U+FFFD.
func clean(text []byte) string {
	plain := true
	for _, b := range text {
		if b < ' ' || b > '~' {
			plain = false
			break
		}
	}
	if plain {
		return string(text)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r == utf8.RuneError:
			return r
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(text), "\uFFFD"))
}

package dkim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// maxFields bounds the header fields of a message to sign.
const maxFields = 1000

// signedFields are the header fields that go into a signature, in the order
// of the h= tag. Those with over are named once more than present.
var signedFields = [...]struct {
	name string
	over bool
}{
	{"From", true},
	{"To", true},
	{"Cc", true},
	{"Subject", true},
	{"Date", true},
	{"Message-ID", true},
	{"Reply-To", true},
	{"MIME-Version", true},
	{"Content-Type", true},
	{"List-Unsubscribe", true},
	{"List-Unsubscribe-Post", true},
	{"Sender", false},
	{"In-Reply-To", false},
	{"References", false},
	{"Content-Transfer-Encoding", false},
	{"List-Id", false},
	{"List-Help", false},
	{"List-Subscribe", false},
	{"List-Post", false},
	{"List-Owner", false},
	{"List-Archive", false},
	{"Feedback-ID", false},
}

// field is one header field of a message: raw is name, colon and value with
// its folds, without the final CRLF.
type field struct {
	raw   []byte
	colon int
}

func (f field) is(name string) bool {
	return f.colon == len(name) && bytes.EqualFold(f.raw[:f.colon], []byte(name))
}

// Reasons to refuse a message, for errors.Is.
var (
	// ErrLineEnds: a CR without LF or an LF without CR.
	ErrLineEnds = errors.New("message has a line end other than CRLF")
	// ErrHeader: the header does not follow RFC 5322.
	ErrHeader = errors.New("message header is malformed")
	// ErrFrom: no From field, or more than one.
	ErrFrom = errors.New("message must have one From field")
)

// splitMessage checks the line ends and cuts the message into header fields,
// appended to fields, and the body.
func splitMessage(fields []field, message []byte) ([]field, []byte, error) {
	if err := checkLineEnds(message); err != nil {
		return nil, nil, err
	}
	first := len(fields)
	for pos := 0; ; {
		end := bytes.Index(message[pos:], crlf)
		if end < 0 {
			return nil, nil, fmt.Errorf("%w: no empty line after the header", ErrHeader)
		}
		line := message[pos : pos+end]
		next := pos + end + 2
		switch {
		case end == 0:
			return fields, message[next:], nil
		case !isSpace(line[0]):
			colon, ok := nameLength(line)
			if !ok {
				return nil, nil, fmt.Errorf("%w: field %d is not a name, a colon and a value", ErrHeader, len(fields)-first+1)
			}
			if len(fields)-first == maxFields {
				return nil, nil, fmt.Errorf("%w: more than %d fields", ErrHeader, maxFields)
			}
			fields = append(fields, field{line, colon})
		case len(fields) == first:
			return nil, nil, fmt.Errorf("%w: it starts with a folded line", ErrHeader)
		default:
			last := &fields[len(fields)-1]
			last.raw = last.raw[:len(last.raw)+2+end]
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return nil, nil, fmt.Errorf("%w: NUL in field %d", ErrHeader, len(fields)-first)
		}
		pos = next
	}
}

// nameLength returns the length of the field name before the colon.
func nameLength(line []byte) (int, bool) {
	for i, c := range line {
		if c == ':' {
			return i, i > 0
		}
		if c <= ' ' || c > '~' {
			break
		}
	}
	return 0, false
}

func checkLineEnds(message []byte) error {
	lines := bytes.Count(message, crlf)
	if lines == bytes.Count(message, crlf[:1]) && lines == bytes.Count(message, crlf[1:]) {
		return nil
	}
	line := 1
	for i, c := range message {
		switch {
		case c == '\n' && (i == 0 || message[i-1] != '\r'):
			return fmt.Errorf("%w: LF without CR at byte %d, line %d", ErrLineEnds, i, line)
		case c == '\n':
			line++
		case c == '\r' && (i+1 == len(message) || message[i+1] != '\n'):
			return fmt.Errorf("%w: CR without LF at byte %d, line %d", ErrLineEnds, i, line)
		}
	}
	return nil
}

// canonicalHeader returns the h= names and the relaxed form of the signed
// fields. Where a name occurs several times the lowest field comes first (RFC
// 6376 section 5.4.2).
func canonicalHeader(fields []field) (names []string, header []byte, err error) {
	size, from := 0, 0
	for _, f := range fields {
		size += len(f.raw) + len(crlf)
		if f.is("From") {
			from++
		}
	}
	if from != 1 {
		return nil, nil, fmt.Errorf("%w, found %d", ErrFrom, from)
	}
	names = make([]string, 0, 32)
	header = make([]byte, 0, size+1024) // room for the signature's own field
	for _, s := range signedFields {
		for _, f := range slices.Backward(fields) {
			if f.is(s.name) {
				names = append(names, s.name)
				header = append(appendRelaxed(header, f.raw, f.colon), crlf...)
			}
		}
		if s.over {
			names = append(names, s.name)
		}
	}
	return names, header, nil
}

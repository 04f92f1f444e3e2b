package dkim

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	// maxSigners bounds the signatures of one message: two algorithms and
	// two selectors during a rotation.
	maxSigners = 4
	// maxNameLength is the length of a DNS name, which
	// selector._domainkey.domain must not pass.
	maxNameLength = 253
	// lineLength is the longest line of a DKIM-Signature field in bytes,
	// without CRLF. Only a domain or selector that does not fit passes it.
	lineLength = 77
)

// Signer is a key with the place where its record is published:
// Selector._domainkey.Domain. Both are ASCII (A-labels).
type Signer struct {
	Domain, Selector string
	Key              Key
}

// Sign signs a message with s; see the function Sign.
func (s Signer) Sign(dst, message []byte, now time.Time) ([]byte, error) {
	return Sign(dst, message, now, s)
}

// Sign appends the message to dst with one DKIM-Signature field per signer in
// front, the first signer's on top, and returns the extended slice. It is
// [Fields] for a message in one piece; dst and message must not overlap.
func Sign(dst, message []byte, now time.Time, signers ...Signer) ([]byte, error) {
	dst, err := Fields(slices.Grow(dst, len(message)+fieldRoom*len(signers)), [][]byte{message}, now, signers...)
	if err != nil {
		return nil, err
	}
	return append(dst, message...), nil
}

// Fields appends to dst the DKIM-Signature fields that go in front of a
// message, one per signer, and returns the extended slice. The message may come
// in pieces: the first holds the whole header and its empty line, and none ends
// between CR and LF. No piece is changed or kept. now becomes the t= tag
// (seconds). The message needs CRLF line ends, an empty line after the header
// and one From field: ErrLineEnds, ErrHeader and ErrFrom say which is missing.
// On error the result is nil.
func Fields(dst []byte, message [][]byte, now time.Time, signers ...Signer) ([]byte, error) {
	if err := checkSigners(signers, now); err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	if len(message) == 0 {
		return nil, fmt.Errorf("sign message: %w: the message is empty", ErrHeader)
	}
	var stack [48]field
	fields, body, err := splitMessage(stack[:0], message[0])
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	for _, piece := range message[1:] {
		if err := checkLineEnds(piece); err != nil {
			return nil, fmt.Errorf("sign message: a later piece: %w", err)
		}
	}
	names, header, err := canonicalHeader(fields)
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	bodyHash := hashBody(body, message[1:]...)
	dst = slices.Grow(dst, fieldRoom*len(signers))
	for _, s := range signers {
		if dst, err = s.appendField(dst, header, names, bodyHash, now); err != nil {
			return nil, fmt.Errorf("sign message for %s: %w", s.Domain, err)
		}
	}
	return dst, nil
}

// fieldRoom is about the size of a DKIM-Signature field: 512 bytes of base64
// for RSA-3072, the rest for tags and names.
const fieldRoom = 1024

func checkSigners(signers []Signer, now time.Time) error {
	if len(signers) == 0 || len(signers) > maxSigners {
		return fmt.Errorf("%d signers, must be 1 to %d", len(signers), maxSigners)
	}
	if now.Unix() <= 0 {
		return errors.New("signing time is not set")
	}
	for _, s := range signers {
		if s.Key.p == nil {
			return fmt.Errorf("no DKIM key for %.60q", s.Domain)
		}
		if !isDNSName(s.Domain) {
			return fmt.Errorf("DKIM domain %.60q is not a DNS name", s.Domain)
		}
		if !isDNSName(s.Selector) {
			return fmt.Errorf("DKIM selector %.60q of %s is not a DNS name", s.Selector, s.Domain)
		}
		if n := len(s.Selector) + len("._domainkey.") + len(s.Domain); n > maxNameLength {
			return fmt.Errorf("record name of DKIM selector %.60q is %d bytes long, DNS allows %d", s.Selector, n, maxNameLength)
		}
	}
	return nil
}

// isDNSName accepts dot-separated labels of 1 to 63 letters, digits, hyphens
// and underscores: nothing that could end a tag or a header line.
func isDNSName(s string) bool {
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			if label++; label > 63 {
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return label > 0
}

// appendField appends the finished DKIM-Signature field with its CRLF. header
// is the canonical form of the signed fields; its spare capacity is used.
func (s Signer) appendField(dst, header []byte, names []string, bodyHash [sha256.Size]byte, now time.Time) ([]byte, error) {
	start := len(dst)
	w := folder{buf: append(dst, "DKIM-Signature:"...), start: start}
	w.tag("v=1;")
	w.tag("a=", string(s.Key.p.alg), "-sha256;")
	w.tag("c=relaxed/relaxed;")
	w.tag("d=", s.Domain, ";")
	w.tag("s=", s.Selector, ";")
	var digits [20]byte
	w.tag("t=", string(strconv.AppendInt(digits[:0], now.Unix(), 10)), ";")
	w.names(names)
	var encoded [base64Size]byte
	w.tag("bh=", string(base64.StdEncoding.AppendEncode(encoded[:0], bodyHash[:])), ";")
	if !w.room(20) {
		w.fold() // never fold between b= and its value: verifiers cut there
		w.buf = append(w.buf, "b="...)
	} else {
		w.tag("b=")
	}

	header = appendRelaxed(header, w.buf[start:], len("DKIM-Signature"))
	signature, err := s.Key.p.sign(sha256.Sum256(header))
	if err != nil {
		return nil, err
	}
	w.fill(base64.StdEncoding.AppendEncode(encoded[:0], signature))
	return append(w.buf, crlf...), nil
}

// base64Size holds an RSA-4096 signature in base64.
const base64Size = 4 * (maxRSABits/8 + 2) / 3

// folder writes a header field and breaks its lines before they reach
// lineLength.
type folder struct {
	buf   []byte
	start int // where the current line starts in buf
}

// room says whether n more bytes fit on the line.
func (w *folder) room(n int) bool { return len(w.buf)-w.start+n <= lineLength }

func (w *folder) fold() {
	w.buf = append(w.buf, "\r\n "...)
	w.start = len(w.buf) - 1
}

// tag writes a space and the parts as one unbroken word.
func (w *folder) tag(parts ...string) {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	if w.room(n) {
		w.buf = append(w.buf, ' ')
	} else {
		w.fold()
	}
	for _, p := range parts {
		w.buf = append(w.buf, p...)
	}
}

// names writes the h= tag, breaking lines after a colon.
func (w *folder) names(names []string) {
	w.tag("h=", names[0])
	for _, name := range names[1:] {
		w.buf = append(w.buf, ':')
		if !w.room(len(name) + 1) { // its colon or semicolon
			w.fold()
		}
		w.buf = append(w.buf, name...)
	}
	w.buf = append(w.buf, ';')
}

// fill writes base64, breaking lines anywhere.
func (w *folder) fill(text []byte) {
	for len(text) > 0 {
		n := min(len(text), lineLength-(len(w.buf)-w.start))
		if n <= 0 {
			w.fold()
			continue
		}
		w.buf = append(w.buf, text[:n]...)
		text = text[n:]
	}
}

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
)

// MaxTranscript bounds the stored form of a transcript, in bytes.
const MaxTranscript = 4 << 10

// The stored form of a transcript begins with its form's number, flags and
// Took. The address follows in 6 or 18 bytes, or as text when it is none of
// those; then, as the flags say, TLS and cipher; then the steps to the end: name, code
// with the mark of failure, milliseconds, text. Numbers are varints, and texts
// that nearly every attempt has are numbers, too: an attempt on a session that
// was open already takes some 50 bytes.
const (
	transcriptForm = 1

	flagReused = 1 << 0
	flagTLS    = 1 << 1
	flagIPv4   = 1 << 2
	flagIPv6   = 1 << 3
	flagRemote = 1 << 4 // as text
)

// phrases are texts stored as their place in this list. New ones go to its end:
// the places are in databases.
var phrases = []string{
	"",
	"resolve", "connect", "banner", "ehlo", "starttls", "tls", "auth", "rset", "mail", "rcpt", "data", "body", "final", "quit",
	"TLS 1.3", "TLS 1.2",
	"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"2.1.0 Ok", "2.1.5 Ok", "End data with <CR><LF>.<CR><LF>", "2.0.0 Ready to start TLS", "2.7.0 Authentication successful", // Postfix
	"2.0.0 Ok", "OK", "Ok", "ok", "Accepted", "Start mail input; end with <CRLF>.<CRLF>", "Enter message, ending with \".\" on a line by itself", // others
}

var phraseAt = func() map[string]uint64 {
	m := make(map[string]uint64, len(phrases))
	for i, s := range phrases {
		m[s] = uint64(i)
	}
	return m
}()

// The longest text of a step that went well, in bytes; the shorter ones are
// tried when a transcript would be too long with it. A failed step keeps up to
// failedText, of which the last one is never cut further.
var stepTexts = [...]int{300, 100, 24}

const (
	failedText = 1000
	mostSteps  = 40 // the last ones
)

// EncodeTranscript gives the stored form of a transcript but for the number of
// its attempt: at most MaxTranscript bytes, however long the server's replies.
func EncodeTranscript(t *waypost.Transcript) []byte {
	var out []byte
	for _, most := range stepTexts {
		if out = encodeTranscript(t, most); len(out) <= MaxTranscript {
			break
		}
	}
	return out
}

func encodeTranscript(t *waypost.Transcript, most int) []byte {
	steps := t.Steps[max(0, len(t.Steps)-mostSteps):]
	out := append(make([]byte, 0, 64+16*len(steps)), transcriptForm, 0)
	out = binary.AppendUvarint(out, uint64(max(t.Took, 0).Milliseconds()))
	if t.Reused {
		out[1] |= flagReused
	}
	out = appendRemote(out, t.Remote)
	if t.TLS != "" {
		out[1] |= flagTLS
		out = appendText(appendText(out, t.TLS, most), t.Cipher, most)
	}
	last := 0
	for i := range steps {
		if steps[i].Failed {
			last = i
		}
	}
	for i := range steps {
		s := &steps[i]
		failed, room := uint64(0), most
		if s.Failed {
			failed = 1
			if i == last || most == stepTexts[0] {
				room = failedText
			}
		}
		out = appendText(out, s.Name, 24)
		out = binary.AppendUvarint(out, uint64(max(s.Code, 0))<<1|failed)
		out = binary.AppendUvarint(out, uint64(max(s.Took, 0).Milliseconds()))
		out = appendText(out, s.Text, room)
	}
	return out
}

func appendRemote(out []byte, remote string) []byte {
	if remote == "" {
		return out
	}
	at, err := netip.ParseAddrPort(remote)
	switch {
	case err != nil || at.Addr().Zone() != "":
		out[1] |= flagRemote
		return appendText(out, remote, 80)
	case at.Addr().Is4():
		out[1] |= flagIPv4
	default:
		out[1] |= flagIPv6
	}
	return binary.BigEndian.AppendUint16(append(out, at.Addr().AsSlice()...), at.Port())
}

// appendText writes the place of a phrase, or the length of another text with
// the text, cut to a length at the border of a character. The lowest bit tells
// which.
func appendText(out []byte, s string, most int) []byte {
	if at, ok := phraseAt[s]; ok {
		return binary.AppendUvarint(out, at<<1)
	}
	if len(s) > most {
		const mark = "…"
		cut := most - len(mark)
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + mark
	}
	return append(binary.AppendUvarint(out, uint64(len(s))<<1|1), s...)
}

// DecodeTranscript reads the stored form of an attempt's transcript. One that
// cannot be read, as a later release may have written it, says so in its only
// step: the rest of the message's way is not to be lost for it.
func DecodeTranscript(attempt int, stored []byte) waypost.Transcript {
	t, err := decodeTranscript(stored)
	if err != nil {
		t = waypost.Transcript{Steps: []waypost.TranscriptStep{{Failed: true, Text: err.Error()}}}
	}
	t.Attempt = attempt
	return t
}

func decodeTranscript(stored []byte) (waypost.Transcript, error) {
	var t waypost.Transcript
	if len(stored) < 3 || stored[0] != transcriptForm {
		return t, errors.New("the stored transcript is of a form that this release does not know")
	}
	if len(stored) > MaxTranscript {
		return t, fmt.Errorf("the stored transcript is too long: %d bytes", len(stored))
	}
	flags := stored[1]
	r := transcriptReader{rest: stored[2:]}
	t.Reused, t.Took = flags&flagReused != 0, r.millis()
	switch {
	case flags&flagRemote != 0:
		t.Remote = r.text()
	case flags&flagIPv4 != 0:
		t.Remote = r.address(4)
	case flags&flagIPv6 != 0:
		t.Remote = r.address(16)
	}
	if flags&flagTLS != 0 {
		t.TLS, t.Cipher = r.text(), r.text()
	}
	for !r.bad && len(r.rest) > 0 {
		var s waypost.TranscriptStep
		s.Name = r.text()
		code := r.number(1<<16 - 1)
		s.Code, s.Failed = int(code>>1), code&1 != 0
		s.Took, s.Text = r.millis(), r.text()
		t.Steps = append(t.Steps, s)
	}
	if r.bad || len(t.Steps) > mostSteps {
		return waypost.Transcript{}, errors.New("the stored transcript is damaged")
	}
	return t, nil
}

// transcriptReader takes values off the front; bad is set by one that cannot
// be.
type transcriptReader struct {
	rest []byte
	bad  bool
}

func (r *transcriptReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *transcriptReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 || v > most {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *transcriptReader) millis() time.Duration {
	return time.Duration(r.number(uint64(1<<62/time.Millisecond))) * time.Millisecond
}

func (r *transcriptReader) text() string {
	v := r.number(2*MaxTranscript + 1)
	if v&1 == 0 {
		if v>>1 < uint64(len(phrases)) {
			return phrases[v>>1]
		}
		r.bad = true
		return ""
	}
	return strings.ToValidUTF8(string(r.take(int(v>>1))), "\uFFFD")
}

func (r *transcriptReader) address(size int) string {
	ip, ok := netip.AddrFromSlice(slices.Clone(r.take(size)))
	port := r.take(2)
	if !ok || r.bad {
		r.bad = true
		return ""
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port)).String()
}

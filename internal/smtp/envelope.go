package smtp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const maxPath = 512 // bytes of an address; RFC 5321 section 4.5.3.1.3 asks servers for 256

// admit refuses what must not or cannot be written, before anything is.
func (c *Client) admit(env *Envelope, body [][]byte) *Error {
	if bad := badPath(env.From); bad != "" {
		return local(StageMail, 553, "5.1.7", "sender address "+bad, ErrBadAddress)
	}
	if bad := badPath(env.To); bad != "" || env.To == "" {
		if env.To == "" {
			bad = "is empty"
		}
		return local(StageRcpt, 553, "5.1.3", "recipient address "+bad, ErrBadAddress)
	}
	if c.needsUTF8(env) && !c.ext.SMTPUTF8 {
		return local(StageMail, 553, "5.6.7", ErrNeedsSMTPUTF8.Error(), ErrNeedsSMTPUTF8)
	}
	if size := env.size(body); c.ext.Size > 0 && int64(size) > c.ext.Size {
		return local(StageMail, 552, "5.3.4",
			fmt.Sprintf("message of %d bytes is over the relay's limit of %d", size, c.ext.Size), ErrTooLarge)
	}
	if slices.ContainsFunc(body, bareNewline) {
		return &Error{Stage: StageData, Class: ClassDataFailed, Permanent: true, Err: ErrBareNewline}
	}
	return nil
}

func (env *Envelope) size(body [][]byte) int {
	if env.Size > 0 {
		return env.Size
	}
	n := 0
	for _, piece := range body {
		n += len(piece)
	}
	return n
}

func (c *Client) needsUTF8(env *Envelope) bool {
	return env.SMTPUTF8 || eightBit(env.From) || eightBit(env.To)
}

// badPath says why an address cannot stand between angle brackets, "" when it can.
func badPath(addr string) string {
	switch {
	case len(addr) > maxPath:
		return fmt.Sprintf("is longer than %d bytes", maxPath)
	case hostile(addr):
		return "has a blank, control character or angle bracket"
	}
	return ""
}

// mailLine is the MAIL command with the parameters the server understands.
func (c *Client) mailLine(env *Envelope, body [][]byte) string {
	var b strings.Builder
	b.WriteString("MAIL FROM:<")
	b.WriteString(env.From)
	b.WriteByte('>')
	if c.ext.sizeParam { // RFC 1870
		b.WriteString(" SIZE=")
		b.WriteString(strconv.Itoa(env.size(body)))
	}
	if c.ext.EightBitMIME && slices.ContainsFunc(body, eightBit[[]byte]) { // RFC 6152
		b.WriteString(" BODY=8BITMIME")
	}
	if c.needsUTF8(env) {
		b.WriteString(" SMTPUTF8")
	}
	if c.ext.DSN { // RFC 3461, D-44
		b.WriteString(" RET=HDRS")
		if id := xtext(env.ENVID); id != "" && len(id) <= 100 {
			b.WriteString(" ENVID=")
			b.WriteString(id)
		}
	}
	return b.String()
}

// rcptLine is the RCPT command. An original recipient with 8-bit characters is
// left out: rfc822 as its type has no way to write it.
func (c *Client) rcptLine(env *Envelope) string {
	line := "RCPT TO:<" + env.To + ">"
	if c.ext.DSN {
		line += " NOTIFY=FAILURE"
		if env.ORCPT != "" && len(env.ORCPT) <= maxPath && !eightBit(env.ORCPT) {
			line += " ORCPT=rfc822;" + xtext(env.ORCPT)
		}
	}
	return line
}

// xtext encodes a parameter value (RFC 3461 section 4). Control characters come
// out as +HH, so the result is safe in a command whatever it was made from.
func xtext(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if ch := s[i]; ch > ' ' && ch <= '~' && ch != '+' && ch != '=' {
			b.WriteByte(ch)
		} else {
			b.WriteByte('+')
			b.WriteByte(hex[ch>>4])
			b.WriteByte(hex[ch&15])
		}
	}
	return b.String()
}

func eightBit[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return true
		}
	}
	return false
}

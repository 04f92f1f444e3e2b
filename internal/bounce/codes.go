package bounce

import "strings"

// codes are the numbers of a reply that conditions look at.
type codes struct {
	code      int    // SMTP reply code, 0 without
	status    string // the most exact enhanced status code, "" without
	temporary bool   // 4.y.z, or 4yz without an enhanced code
}

// StatedCodes reads the codes with which a reply begins, as a mail server's log
// quotes it: "550 5.1.1 no such user", also behind "host mx.example[192.0.2.1]
// said: ". A number elsewhere in a text may be anything and is not read. 0 and
// "" are for what is not there.
func StatedCodes(text string) (code int, enhanced string) {
	if _, reply, quoted := strings.Cut(text, " said: "); quoted {
		text = reply
	}
	if len(text) >= 3 && text[0] >= '2' && text[0] <= '5' && digits(text[:3]) && (len(text) == 3 || text[3] == ' ' || text[3] == '-') {
		code = int(text[0]-'0')*100 + int(text[1]-'0')*10 + int(text[2]-'0')
		text = strings.TrimLeft(text[3:], " -")
	}
	return code, enhancedAt(text)
}

// codesOf reads the codes of a reply: its own, or those inside its text when
// they are missing or, for the enhanced code, inexact (D-45).
func codesOf(r Reply) codes {
	c := codes{code: r.Code}
	if e := enhancedAt(r.Enhanced); e == r.Enhanced {
		c.status = e
	}
	if c.code == 0 {
		c.code = codeIn(r.Text)
	}
	if inexact(c.status) {
		if e := enhancedIn(r.Text); e != "" && (c.status == "" || !inexact(e)) {
			c.status = e
		}
	}
	if c.status != "" {
		c.temporary = c.status[0] == '4'
	} else {
		c.temporary = c.code >= 400 && c.code < 500
	}
	return c
}

// inexact tells of a missing enhanced code and of x.0.0.
func inexact(e string) bool { return e == "" || strings.HasSuffix(e, ".0.0") }

// enhancedAt reads an enhanced status code of class 2, 4 or 5 at the start of
// s (RFC 3463, section 2); an IP address is none.
func enhancedAt(s string) string {
	if len(s) < 5 || s[1] != '.' || (s[0] != '2' && s[0] != '4' && s[0] != '5') {
		return ""
	}
	subject := run(s[2:])
	i := 2 + subject
	if subject == 0 || subject > 3 || i >= len(s) || s[i] != '.' {
		return ""
	}
	detail := run(s[i+1:])
	end := i + 1 + detail
	if detail == 0 || detail > 3 {
		return ""
	}
	if end < len(s) && wordByte(s[end]) || end+1 < len(s) && s[end] == '.' && digit(s[end+1]) {
		return ""
	}
	return s[:end]
}

func run(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

// enhancedIn finds the first enhanced code in a text that is not x.0.0, or
// the first of all.
func enhancedIn(s string) string {
	first := ""
	for i := 0; i+5 <= len(s); i++ {
		dot := strings.IndexByte(s[i+1:], '.')
		if dot < 0 {
			break
		}
		i += dot
		if i > 0 && (wordByte(s[i-1]) || s[i-1] == '.' || s[i-1] == '/') {
			continue
		}
		e := enhancedAt(s[i:])
		if e == "" || e[0] == '2' {
			continue
		}
		if !inexact(e) {
			return e
		}
		if first == "" {
			first = e
		}
	}
	return first
}

// codeIn finds the first number that can be an SMTP reply code of class 4 or 5
// and stands alone.
func codeIn(s string) int {
	for i := 0; i+3 <= len(s); i++ {
		if s[i] != '4' && s[i] != '5' || s[i+1] > '7' || !digits(s[i+1:i+3]) {
			continue
		}
		if i > 0 && (wordByte(s[i-1]) || s[i-1] == '.' || s[i-1] == '/' || s[i-1] == '=') {
			continue
		}
		if i+3 < len(s) && (wordByte(s[i+3]) || s[i+3] == '.') {
			continue
		}
		return int(s[i]-'0')*100 + int(s[i+1]-'0')*10 + int(s[i+2]-'0')
	}
	return 0
}

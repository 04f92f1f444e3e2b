package bounce

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// fold appends the form of s that phrases are matched against:
//
//	\n BODY \n STAGE
//
// in lower case without accents, whitespace runs as one space, bytes that are
// no UTF-8 read as Latin-1. The codes of continuation lines are left out, and
// so are mail addresses (each becomes "@") and the names of mail hosts: nobody
// is judged by a name such as spam@example.com. BODY is without the leading
// "host ... said:" and codes and without trailing punctuation; STAGE is Postfix's "(in
// reply to ...)" or empty.
func fold(dst []byte, s string) []byte {
	f := folder{out: append(dst, '\n')}
	for i := 0; i < len(s); {
		if n := f.continuation(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 {
				r = rune(s[i]) // Latin-1
			}
		}
		i += n
		switch {
		case r == '@' && f.dropLocalPart():
			for i < len(s) && domainByte(s[i]) {
				i++
			}
			f.out = append(f.out, '@')
		case r == '[':
			f.dropHost(i < len(s) && s[i] >= '0' && s[i] <= '9')
			f.out = append(f.out, '[')
		default:
			f.add(r)
		}
	}
	return f.finish()
}

type folder struct {
	out  []byte
	code string // reply code of a continuation line left out
}

func (f *folder) add(r rune) {
	switch {
	case r > ' ' && r < 0x7f:
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		f.out = append(f.out, byte(r))
	case r <= ' ' || r == 0x7f || unicode.IsSpace(r):
		if last := f.out[len(f.out)-1]; last != ' ' && last != '\n' {
			f.out = append(f.out, ' ')
		}
	case r == utf8.RuneError:
		f.out = append(f.out, '?')
	default:
		r = unicode.ToLower(r)
		if plain, ok := plainLetters[r]; ok {
			f.out = append(f.out, plain...)
			return
		}
		f.out = utf8.AppendRune(f.out, r)
	}
}

// continuation gives the length of the codes of a continuation line at the
// start of s, such as "550-5.1.1 ", and of the last line after those.
func (f *folder) continuation(s string) int {
	if last := f.out[len(f.out)-1]; last != ' ' && last != '\n' {
		return 0
	}
	if len(s) < 4 || (s[0] != '4' && s[0] != '5') || !digits(s[1:3]) {
		return 0
	}
	if s[3] != '-' && (s[3] != ' ' || f.code != s[:3]) {
		return 0
	}
	f.code = s[:3]
	n := 4
	if e := enhancedAt(s[n:]); e != "" {
		n += len(e)
	}
	return n
}

// dropLocalPart takes the local part of an address off the output. It answers
// false when there is none.
func (f *folder) dropLocalPart() bool {
	i := len(f.out)
	for i > 0 && localByte(f.out[i-1]) {
		i--
	}
	if i == len(f.out) {
		return false
	}
	f.out = f.out[:i]
	return true
}

// dropHost takes off a host name that stands right before the bracket of its
// address: "mx.example[192.0.2.1" (Postfix) or "host mx.example [192.0.2.1"
// (Exim).
func (f *folder) dropHost(address bool) {
	if !address {
		return
	}
	end := len(bytes.TrimRight(f.out, " "))
	i := end
	for i > 0 && domainByte(f.out[i-1]) {
		i--
	}
	if i == end || bytes.IndexByte(f.out[i:end], '.') < 0 {
		return
	}
	if end < len(f.out) && !bytes.HasSuffix(f.out[:i], []byte("host ")) {
		return
	}
	f.out = f.out[:i]
}

func (f *folder) finish() []byte {
	start := 1
	if body := f.out[1:]; bytes.HasPrefix(body, []byte("host [")) {
		if i := bytes.Index(body, []byte("] said: ")); i >= 0 && i < 64 {
			start += i + len("] said: ")
		}
	}
	start += leadingCodes(f.out[start:])
	start--
	f.out[start] = '\n'

	end := len(f.out)
	if i := bytes.LastIndex(f.out[start:], []byte(" (in reply to ")); i >= 0 {
		end = start + i
	}
	stage := len(f.out) - end
	body := bytes.TrimRight(f.out[start+1:end], " .!;:,")
	cut := start + 1 + len(body)
	f.out = append(f.out, '\n') // room, when nothing was trimmed
	copy(f.out[cut+1:], f.out[end:end+stage])
	f.out[cut] = '\n'
	return f.out[start : cut+1+stage]
}

// leadingCodes gives the length of "550 5.1.1 ", "smtp; 550 " and the like.
func leadingCodes(b []byte) int {
	n := 0
	if bytes.HasPrefix(b, []byte("smtp; ")) {
		n = len("smtp; ")
	}
	if n < len(b) && b[n] == '#' {
		n++
	}
	if len(b) >= n+3 && digits(string(b[n:n+3])) && (len(b) == n+3 || !digit(b[n+3])) {
		n += 3
	}
	n += spaces(b[n:], " -:#")
	if e := enhancedAt(string(b[n:min(len(b), n+12)])); e != "" {
		n += len(e)
	}
	return n + spaces(b[n:], " :")
}

func spaces(b []byte, set string) int {
	return len(b) - len(bytes.TrimLeft(b, set))
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func digits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c) || c >= utf8.RuneSelf
}

func domainByte(c byte) bool { return wordByte(c) || c == '.' || c == '-' || c == '_' }

func localByte(c byte) bool {
	return domainByte(c) || c == '+' || c == '=' || c == '~' || c == '%' || c == '&' || c == '*' || c == '\''
}

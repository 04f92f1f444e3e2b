package compose

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textLinks finds the http and https URLs of a plain text, as mail programs do:
// without the punctuation of the sentence around them. What programs disagree
// on (an underscore or asterisk at the end) is taken in, because what is left
// behind would cling to the token.
func textLinks(text []byte) []link {
	var links []link
	for from := 0; len(links) < maxLinks; {
		n := bytes.Index(text[from:], []byte("://"))
		if n < 0 {
			break
		}
		start, ok := schemeStart(text[from : from+n])
		if !ok {
			from += n + 3
			continue
		}
		start += from
		end := textEnd(text, start, from+n+3)
		if url := string(text[start:end]); trackable(url) {
			links = append(links, link{start, end, url})
		}
		from = max(end, from+n+3)
	}
	return links
}

// schemeStart finds where the scheme at the end of a text begins; not ok unless
// it is http or https, at the start of a word.
func schemeStart(before []byte) (int, bool) {
	for _, scheme := range []string{"https", "http"} {
		i := len(before) - len(scheme)
		if i < 0 || !strings.EqualFold(string(before[i:]), scheme) {
			continue
		}
		if i > 0 && (alphanumeric(before[i-1]) || strings.IndexByte("+-.", before[i-1]) >= 0 && i > 1 && alphanumeric(before[i-2])) {
			return 0, false
		}
		return i, true
	}
	return 0, false
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// textEnd finds the end of the URL that begins at start and whose scheme ends
// at i.
func textEnd(text []byte, start, i int) int {
	for i < len(text) {
		c := text[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '`' {
				break
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || !ofURL(r) {
			break
		}
		i += size
	}
	return start + len(trimSentence(text[start:i]))
}

// ofURL tells whether people write a character beyond ASCII into URLs. Those
// of scripts that put no blank between a URL and the next word end it.
func ofURL(r rune) bool {
	if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai) {
		return false
	}
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) || unicode.IsSymbol(r)
}

// trimSentence takes from the end what belongs to the sentence: punctuation,
// and brackets that were opened before the URL.
func trimSentence(url []byte) []byte {
	for len(url) > 0 {
		last := url[len(url)-1]
		switch last {
		case '.', ',', ';', ':', '!', '?', '\'':
		case ')', ']', '}':
			open := strings.IndexByte(")]}", last)
			if bytes.Count(url, []byte{last}) <= bytes.Count(url, []byte{"([{"[open]}) {
				return url
			}
		default:
			return url
		}
		url = url[:len(url)-1]
	}
	return url
}

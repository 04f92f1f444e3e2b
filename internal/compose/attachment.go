package compose

import (
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
)

// encodeAttachment writes a whole part: Content-* fields, empty line, base64.
// With html, one that has a Content-ID is an inline part of the HTML.
func encodeAttachment(a *waypost.Attachment, html bool) ([]byte, error) {
	disposition := "attachment"
	if a.ContentID != "" && html {
		disposition = "inline"
	}
	media, params := contentType(a)
	var f fields
	f.name("Content-Type")
	f.word(media)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		f.param(name, params[name])
	}
	f.end()
	f.line("Content-Transfer-Encoding", base64Encoding)
	if a.ContentID != "" {
		id := strings.TrimSuffix(strings.TrimPrefix(a.ContentID, "<"), ">")
		if id == "" || len(id) > 250 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) {
			return nil, &HeaderError{"Content-ID", "must be printable ASCII without blanks and angle brackets, of at most 250 characters"}
		}
		f.line("Content-ID", "<"+id+">")
	}
	f.name("Content-Disposition")
	f.word(disposition)
	if name := strings.TrimSpace(clean(a.Filename)); name != "" {
		f.param("filename", name)
	}
	f.end()
	f.end()
	return appendBase64(f.buf, a.Data), nil
}

// contentType finds the media type: as given, by the extension, by the data.
// Composite types become application/octet-stream, because a multipart or a
// message may not be base64 (RFC 2046, section 5.2.1).
func contentType(a *waypost.Attachment) (string, map[string]string) {
	media, params, err := mime.ParseMediaType(a.ContentType)
	if err != nil || !mediaType(media) {
		given := byExtension[strings.ToLower(path.Ext(a.Filename))]
		if given == "" {
			given = mime.TypeByExtension(path.Ext(a.Filename))
		}
		if given == "" {
			given = http.DetectContentType(a.Data)
		}
		if media, params, err = mime.ParseMediaType(given); err != nil || !mediaType(media) {
			return "application/octet-stream", nil
		}
		if strings.HasPrefix(media, "text/") { // the charset is anyone's guess
			delete(params, "charset")
			if utf8.Valid(a.Data) {
				params["charset"] = "utf-8"
			}
		}
	}
	if strings.HasPrefix(media, "multipart/") || strings.HasPrefix(media, "message/") {
		return "application/octet-stream", nil
	}
	delete(params, "name")
	delete(params, "boundary")
	maps.DeleteFunc(params, func(name, value string) bool { return !token(name) || len(name) > 40 || len(value) > 250 })
	return media, params
}

// mediaType accepts type/subtype of a length that fits on a line.
func mediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && len(s) <= 128 && token(major) && token(minor)
}

// token is RFC 2045's, section 5.1.
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// param writes a parameter: quoted when it is short and plain, else in the
// form of RFC 2231 with continuations. The value is clean.
func (f *fields) param(name, value string) {
	f.buf = append(f.buf, ';')
	value = clean(value)
	switch {
	case len(name)+len(value) <= 60 && ascii(value) && !strings.ContainsAny(value, `"\%`) && !strings.Contains(value, "=?"):
		f.word(name + `="` + value + `"`)
		return
	case len(name)+3*len(value) <= 60:
		f.word(name + "*=utf-8''" + string(appendPercent(nil, value)))
		return
	}
	for i := 0; value != ""; i++ {
		key := name + "*" + strconv.Itoa(i) + "*="
		if i > 0 {
			f.buf = append(f.buf, ';')
		} else {
			key += "utf-8''"
		}
		encoded := []byte(key)
		for value != "" {
			_, size := utf8.DecodeRuneInString(value)
			if len(encoded)+3*size > foldAt-2 {
				break
			}
			encoded = appendPercent(encoded, value[:size])
			value = value[size:]
		}
		f.word(string(encoded))
	}
}

// appendPercent leaves letters, digits and a few marks of attribute-char
// (RFC 2231, section 7).
func appendPercent(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if qSafe(c) && c != '*' && c != '/' || c == '.' || c == '_' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

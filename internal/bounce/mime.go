package bounce

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"

	"github.com/emersion/go-message/charset"
)

// The bounds of what is looked at in one mail.
const (
	maxDepth  = 6
	maxParts  = 64
	maxFields = 200
	maxField  = 4 << 10 // bytes; a longer field is not unfolded further
)

// part is one leaf of a mail. Reports come from broken software, so nothing
// about the structure is an error.
type part struct {
	media string // lower case, "text/plain" when missing
	body  []byte // without transfer encoding; text in UTF-8
}

// header holds the fields of a header by lower-case name, unfolded; of equal
// names the first one.
type header map[string]string

// splitHeader reads a header section off the start of data.
func splitHeader(data []byte) (header, []byte) {
	h := make(header)
	last := ""
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			return h, rest
		}
		data = rest
		if line[0] == ' ' || line[0] == '\t' {
			if last != "" && len(h[last]) < maxField {
				h[last] += " " + string(bytes.TrimSpace(line))
			}
			continue
		}
		last = ""
		name, value, ok := bytes.Cut(line, []byte(":"))
		if i := bytes.Index(line, []byte("boundary=")); i == 0 && h["content-type"] != "" { // badly folded
			h["content-type"] += " " + string(line)
			continue
		}
		if !ok || bytes.ContainsAny(name, " \t") || len(h) >= maxFields {
			continue
		}
		key := strings.ToLower(string(name))
		if _, dup := h[key]; !dup {
			h[key], last = string(bytes.TrimSpace(value)), key
		}
	}
	return h, nil
}

// mediaType reads Content-Type, and the boundary even of a malformed one.
func mediaType(h header) (media string, params map[string]string) {
	value := h["content-type"]
	media, params, err := mime.ParseMediaType(value)
	if err == nil {
		return media, params
	}
	media, _, _ = strings.Cut(value, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	params = make(map[string]string)
	for _, key := range []string{"boundary", "charset", "report-type"} {
		if v, ok := behind(value, key+"="); ok {
			if unquoted, ok := strings.CutPrefix(v, `"`); ok {
				v, _, _ = strings.Cut(unquoted, `"`)
			} else if end := strings.IndexAny(v, "; \t"); end >= 0 {
				v = v[:end]
			}
			params[key] = v
		}
	}
	if !strings.Contains(media, "/") {
		media = "text/plain"
	}
	return media, params
}

// behind gives what follows a name in a text, in any case of its letters. The
// text is not folded whole: that of broken UTF-8 has another length.
func behind(text, name string) (string, bool) {
	for i := 0; i+len(name) <= len(text); i++ {
		if strings.EqualFold(text[i:i+len(name)], name) {
			return text[i+len(name):], true
		}
	}
	return "", false
}

// leaves appends the leaves of a mail or part in their order.
func leaves(out []part, h header, body []byte, depth int) []part {
	if len(out) >= maxParts {
		return out
	}
	media, params := mediaType(h)
	boundary := params["boundary"]
	if strings.HasPrefix(media, "multipart/") && boundary != "" && depth < maxDepth {
		sections := splitSections(body, boundary)
		for _, section := range sections {
			sub, rest := splitHeader(section)
			out = leaves(out, sub, rest, depth+1)
		}
		if len(sections) > 0 {
			return out
		}
		media = "text/plain"
	}
	body = decodeTransfer(h["content-transfer-encoding"], body)
	if strings.HasPrefix(media, "text/") || strings.HasPrefix(media, "message/") {
		body = decodeCharset(params["charset"], body)
	}
	return append(out, part{media: media, body: body})
}

// splitSections cuts a multipart body at its delimiter lines.
func splitSections(body []byte, boundary string) [][]byte {
	var sections [][]byte
	delimiter := []byte("--" + boundary)
	start := -1
	for at := 0; at < len(body) && len(sections) < maxParts; {
		end := bytes.IndexByte(body[at:], '\n')
		if end < 0 {
			end = len(body)
		} else {
			end += at + 1
		}
		if rest, ok := bytes.CutPrefix(body[at:end], delimiter); ok {
			rest = bytes.TrimSpace(rest)
			if len(rest) == 0 || string(rest) == "--" {
				if start >= 0 {
					sections = append(sections, body[start:at])
				}
				start = end
				if len(rest) > 0 {
					return sections
				}
			}
		}
		at = end
	}
	if start >= 0 && start < len(body) {
		sections = append(sections, body[start:])
	}
	return sections
}

func decodeTransfer(encoding string, body []byte) []byte {
	var r io.Reader
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		r = quotedprintable.NewReader(bytes.NewReader(body))
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body))
	default:
		return body
	}
	if decoded, _ := io.ReadAll(r); len(decoded) > 0 { // what could be read of a broken one
		return decoded
	}
	return body
}

func decodeCharset(name string, body []byte) []byte {
	switch strings.ToLower(name) {
	case "", "utf-8", "us-ascii":
		if !bytes.Contains(body, []byte("\x1b$B")) {
			return body
		}
		name = "iso-2022-jp" // unlabelled, but its escapes are nothing else
	}
	r, err := charset.Reader(name, bytes.NewReader(body))
	if err != nil {
		return body
	}
	if decoded, err := io.ReadAll(io.LimitReader(r, 4*MaxReport)); err == nil {
		return decoded
	}
	return body
}

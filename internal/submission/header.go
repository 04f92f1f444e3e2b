package submission

import (
	"errors"
	"mime"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/textproto"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
)

var words = &mime.WordDecoder{CharsetReader: charset.Reader}

// dropped are the fields that are left out: those that the composer writes
// itself, and those that only mail servers may write.
var dropped = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "subject": true, "date": true, "sender": true, "mime-version": true,
	"return-path": true, "received": true, "received-spf": true, "delivered-to": true, "authentication-results": true,
	"dkim-signature": true, "domainkey-signature": true,
	"x-sendpost-message-uuid": true, "x-sendpost-account-id": true, "x-sendpost-subaccount-id": true,
	"x-sendpost-tpsp-id": true, "x-sendpost-tpsp-type": true,
}

func isDropped(lower string) bool {
	return dropped[lower] || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "resent-") || strings.HasPrefix(lower, "arc-")
}

// readHead reads the header of a mail. Of From and Subject there is one.
func readHead(h *textproto.Header) (*head, error) {
	out := &head{trackOpens: true, trackClicks: true}
	seen := map[string]int{}
	for f := h.Fields(); f.Next(); {
		name, raw := f.Key(), strings.TrimSpace(f.Value())
		lower := strings.ToLower(name)
		if !utf8.ValidString(raw) {
			return nil, errFault("the field %s is not valid UTF-8", name)
		}
		control := controlOf(lower)
		key := lower
		if control != "" {
			key = "x-sendpost-" + control
		}
		if seen[key]++; seen[key] > 1 && (control != "" || lower == "from" || lower == "subject" || lower == "to" || lower == "cc") {
			return nil, errFault("the field %s stands twice", name)
		}
		if err := out.field(name, lower, control, raw); err != nil {
			return nil, err
		}
	}
	switch {
	case out.from.Email == "":
		return nil, errFault("the message has no From")
	case utf8.RuneCountInString(out.subject) > maxSubject:
		return nil, errFault("the subject has more than %d characters", maxSubject)
	case len(out.custom) > maxHeaders:
		return nil, errFault("the message has more than %d header fields of its own", maxHeaders)
	case len(out.to)+len(out.cc) > maxShown:
		return nil, errFault("To and Cc have more than %d addresses; send such mail in parts, or by Bcc", maxShown)
	}
	return out, nil
}

// field notes one field.
func (h *head) field(name, lower, control, raw string) error {
	var err error
	switch {
	case control != "":
		if err := controls[control](h, decodeWords(raw)); err != nil {
			return errFault("%s %v", name, err)
		}
		return nil
	case lower == "from":
		return h.setFrom(raw)
	case lower == "to":
		h.to, err = addresses("To", raw)
		return err
	case lower == "cc":
		h.cc, err = addresses("Cc", raw)
		return err
	case lower == "subject":
		h.subject = decodeWords(raw)
		return nil
	case isDropped(lower):
		return nil
	}
	own := waypost.Header{Name: name, Value: raw}
	if lower != "message-id" && lower != "references" && lower != "in-reply-to" && lower != "reply-to" {
		own.Value = decodeWords(raw)
	}
	if err := compose.CheckHeaders([]waypost.Header{own}); err != nil {
		if lower == "message-id" { // it gets one of ours
			return nil
		}
		return errFault("%v", err)
	}
	h.custom = append(h.custom, own)
	return nil
}

func (h *head) setFrom(raw string) error {
	list, err := addresses("From", raw)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return errFault("From must be one address; %d are given", len(list))
	}
	h.from = list[0]
	return nil
}

// addresses reads a list of addresses; groups without members, as
// "undisclosed-recipients:;", are none.
func addresses(field, raw string) ([]waypost.Address, error) {
	if raw == "" || strings.HasSuffix(strings.ReplaceAll(raw, " ", ""), ":;") && strings.Count(raw, ":") == 1 && !strings.Contains(raw, "@") {
		return nil, nil
	}
	p := mail.AddressParser{WordDecoder: words}
	list, err := p.ParseList(raw)
	if err != nil {
		return nil, errFault("the addresses of %s cannot be read: %v", field, strings.TrimPrefix(err.Error(), "mail: "))
	}
	out := make([]waypost.Address, len(list))
	for i, a := range list {
		if err := waypost.CheckEmail(a.Address); err != nil {
			return nil, errFault("%s: %v", field, err)
		}
		name := strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, a.Name)
		if utf8.RuneCountInString(name) > 256 {
			return nil, errFault("%s: a name has more than 256 characters", field)
		}
		out[i] = waypost.Address{Name: name, Email: a.Address}
	}
	return out, nil
}

// decodeWords reads encoded words; what cannot be read stays as it is.
func decodeWords(s string) string {
	if out, err := words.DecodeHeader(s); err == nil {
		return out
	}
	return s
}

// partHeader is the header of a part, or of the mail.
type partHeader struct{ *textproto.Header }

var errMedia = errors.New("the media type cannot be read")

// media gives the media type with its parameters; text/plain when there is none.
func (h partHeader) media() (string, map[string]string, error) {
	value := strings.TrimSpace(h.Get("Content-Type"))
	if value == "" {
		return "text/plain", map[string]string{}, nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil {
		return "", nil, errMedia
	}
	return media, params, nil
}

// disposition tells whether a part says that it is an attachment, and its name.
func (h partHeader) disposition(params map[string]string) (attached bool, filename string) {
	kind, own, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	attached = err == nil && kind != "inline"
	filename = params["name"]
	if err == nil && own["filename"] != "" {
		filename = own["filename"]
	}
	return attached, cleanName(decodeWords(filename))
}

// cleanName keeps the last element of a path, without control characters.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "_"))
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	for len(s) > 255 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

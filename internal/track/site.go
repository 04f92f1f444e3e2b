package track

import "strings"

// Root is the path below which a Tracker answers.
const Root = "/track/tpsp/"

// The paths of tracking URLs, each followed by its token (D-27).
const (
	openPath        = Root + "open/"
	clickPath       = Root + "click/"
	unsubscribePath = Root + "unsubscribe/"
	openFile        = "/1.png"
)

// Site is where the tracking URLs of a message point.
type Site struct {
	Keys *Keys
	Base string // scheme and host, such as https://track.example.com, without a final slash
}

// AppendURL appends the tracking URL of a token. It has no character that HTML
// or an attribute value needs escaped, when the base has none.
func (s *Site) AppendURL(dst []byte, t *Token) []byte {
	dst = append(dst, s.Base...)
	switch t.Kind {
	case Open:
		dst = append(dst, openPath...)
	case Click:
		dst = append(dst, clickPath...)
	case Unsubscribe:
		dst = append(dst, unsubscribePath...)
	}
	dst = s.Keys.Append(dst, t)
	if t.Kind == Open {
		dst = append(dst, openFile...)
	}
	return dst
}

// Tracking tells whether an http or https URL is a tracking URL already, of
// whatever host: those of a message that is sent on must not be wrapped again.
func Tracking(url string) bool {
	_, after, ok := strings.Cut(url, "://")
	if !ok {
		return false
	}
	slash := strings.IndexByte(after, '/')
	return slash >= 0 && strings.HasPrefix(after[slash:], Root)
}

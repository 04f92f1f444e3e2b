package smtp

import (
	"slices"
	"strconv"
	"strings"
)

// parseExtensions reads the text of an EHLO reply: a greeting, then one
// extension a line.
func parseExtensions(text string) Extensions {
	var x Extensions
	_, rest, more := cutLine(text)
	for more {
		var line string
		line, rest, more = cutLine(rest)
		x.add(strings.TrimSpace(line))
	}
	return x
}

func (x *Extensions) add(line string) {
	if line == "" {
		return
	}
	x.Raw = append(x.Raw, line)
	word, args, _ := strings.Cut(line, " ")
	switch word = strings.ToUpper(word); word {
	case "PIPELINING":
		x.Pipelining = true
	case "SIZE":
		x.sizeParam = true
		if n, err := strconv.ParseInt(strings.TrimSpace(args), 10, 64); err == nil && n > 0 {
			x.Size = n
		}
	case "SMTPUTF8":
		x.SMTPUTF8 = true
	case "8BITMIME":
		x.EightBitMIME = true
	case "DSN":
		x.DSN = true
	case "STARTTLS":
		x.StartTLS = true
	case "AUTH":
		x.addAuth(args)
	default:
		// The form of the drafts before RFC 2554, still printed by old servers.
		if first, ok := strings.CutPrefix(word, "AUTH="); ok {
			x.addAuth(first + " " + args)
		}
	}
}

func (x *Extensions) addAuth(mechanisms string) {
	for m := range strings.FieldsSeq(strings.ToUpper(mechanisms)) {
		if !x.offers(m) {
			x.Auth = append(x.Auth, m)
		}
	}
}

// offers reports whether the server listed the mechanism.
func (x *Extensions) offers(mechanism string) bool {
	return slices.Contains(x.Auth, mechanism)
}

func cutLine(s string) (line, rest string, more bool) { return strings.Cut(s, "\n") }

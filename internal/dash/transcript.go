package dash

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
)

// said is the SMTP conversation of an attempt, to be unfolded.
type said struct {
	ID    string // of its element: it stays open while the page is read again
	Facts string // to whom, how encrypted, on which session
	Steps []probeStep
	Copy  string // all of it as text
}

// stageNames are what the stages of an attempt are called where the connection
// test calls them otherwise, or knows one step for several.
var stageNames = map[string]string{
	"resolve": "dns", "rset": "RSET", "data": "DATA", "body": "Message", "final": "Reply to the message",
}

func saidIn(t *waypost.Transcript) *said {
	if t == nil {
		return nil
	}
	out := &said{ID: "said-" + strconv.Itoa(t.Attempt)}
	var facts []string
	add := func(format, value string) {
		if value != "" {
			facts = append(facts, fmt.Sprintf(format, value))
		}
	}
	add("with %s", t.Remote)
	add("%s", strings.TrimSpace(t.TLS+" "+t.Cipher))
	if t.Remote != "" && t.TLS == "" {
		facts = append(facts, "not encrypted")
	}
	if t.Reused {
		facts = append(facts, "on a session that was open already")
	}
	add("%s in all", spell(t.Took))
	out.Facts = strings.Join(facts, " · ")
	var all strings.Builder
	fmt.Fprintf(&all, "attempt %d %s\n", t.Attempt, out.Facts)
	for i := range t.Steps {
		s := &t.Steps[i]
		one := probeStep{Name: orElse(stageNames[s.Name], s.Name), OK: !s.Failed, Code: s.Code, Text: s.Text, MS: s.Took.Milliseconds()}
		out.Steps = append(out.Steps, one)
		failed := ""
		if s.Failed {
			failed = "FAILED "
		}
		fmt.Fprintf(&all, "%-10s %6d ms  %s%s\n", s.Name, one.MS, failed, strings.TrimPrefix(fmt.Sprintf("%d %s", s.Code, s.Text), "0 "))
	}
	out.Copy = all.String()
	return out
}

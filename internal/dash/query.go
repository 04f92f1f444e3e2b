package dash

import (
	"fmt"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// queryHelp says what the query of messages understands.
const queryHelp = `to:, from:, status:, tag:, subject:, queue:, since: and until:, each with a word or "several words"`

// statusChoices are the statuses that messages are filtered by.
var statusChoices = []option{
	{"", "any"},
	{string(waypost.StatusQueued), "waiting"},
	{string(waypost.StatusSent), "sent, no more known"},
	{string(waypost.StatusDelivered), "delivered"},
	{string(waypost.StatusSoftBounced), "soft bounce"},
	{string(waypost.StatusHardBounced), "hard bounce"},
	{string(waypost.StatusDropped), "dropped"},
}

// statusWords are other words that people write for a status.
var statusWords = map[string]waypost.MessageStatus{
	"waiting": waypost.StatusQueued, "soft": waypost.StatusSoftBounced, "hard": waypost.StatusHardBounced,
	"softbounce": waypost.StatusSoftBounced, "hardbounce": waypost.StatusHardBounced,
	"softbounced": waypost.StatusSoftBounced, "hardbounced": waypost.StatusHardBounced,
}

// term is one part of a query: a value with its key, "" for a bare word.
type term struct{ key, value string }

// terms splits a query at spaces. A value in quotes keeps its spaces; the last
// quote may be missing.
func terms(text string) []term {
	var out []term
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var t term
		if i := strings.IndexAny(text, ": \t\""); i > 0 && text[i] == ':' && isWord(text[:i]) {
			t.key, text = strings.ToLower(text[:i]), text[i+1:]
		}
		if strings.HasPrefix(text, `"`) {
			t.value, text, _ = strings.Cut(text[1:], `"`)
		} else if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
			t.value, text = text[:i], text[i:]
		} else {
			t.value, text = text, ""
		}
		if t.key != "" || t.value != "" {
			out = append(out, t)
		}
	}
	return out
}

func isWord(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// readQuery puts a typed query into a search. What is wrong with it, in a
// sentence, comes back; "" when nothing is. A bare word is a recipient when it
// has an @, and part of the subject otherwise; only who may read subjects may
// ask for one.
func readQuery(text string, s *store.Search, subjects bool) (wrong string) {
	var words []string
	seen := map[string]bool{}
	for _, t := range terms(text) {
		if t.key == "" {
			if strings.Contains(t.value, "@") {
				t.key = "to"
			} else {
				words = append(words, t.value)
				continue
			}
		}
		if seen[t.key] {
			return fmt.Sprintf("%s: is given twice.", t.key)
		}
		seen[t.key] = true
		if t.value == "" {
			return fmt.Sprintf("Say what %s: is.", t.key)
		}
		if wrong := readTerm(t, s); wrong != "" {
			return wrong
		}
	}
	if len(words) > 0 {
		if s.Subject != "" {
			words = append([]string{s.Subject}, words...)
		}
		s.Subject = strings.Join(words, " ")
	}
	if s.Subject != "" && !subjects {
		return "Subjects are not shown to viewers, and not searched for them; find messages by to:, from:, status:, tag: or queue:."
	}
	return ""
}

func readTerm(t term, s *store.Search) (wrong string) {
	switch t.key {
	case "to":
		s.Recipient = waypost.FoldEmail(t.value)
	case "from":
		s.Sender = waypost.FoldEmail(t.value)
	case "tag", "group":
		s.Tag = t.value
	case "subject":
		s.Subject = t.value
	case "queue":
		s.Queue = waypost.QueueID(t.value)
	case "status":
		var ok bool
		if s.Status, ok = waypost.ParseMessageStatus(t.value); ok {
			return ""
		}
		plain := strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(t.value))
		if s.Status, ok = statusWords[plain]; !ok {
			if s.Status, ok = waypost.ParseMessageStatus(plain); !ok {
				return "A status is queued, sent, delivered, softBounced, hardBounced or dropped."
			}
		}
	case "since", "until":
		day, err := time.Parse(time.DateOnly, t.value)
		switch {
		case err != nil:
			return "Write a day as 2026-01-31."
		case t.key == "since":
			s.From = day
		default:
			s.To = day.AddDate(0, 0, 1)
		}
	default:
		return fmt.Sprintf("There is no %s:; there are %s.", clip(t.key, 40), queryHelp)
	}
	return ""
}

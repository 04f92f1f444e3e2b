package dash

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func TestReadQuery(t *testing.T) {
	day := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]store.Search{
		"":               {},
		"to:A@Example.C": {MessageQuery: store.MessageQuery{Recipient: "a@example.c"}},
		"a@example.com":  {MessageQuery: store.MessageQuery{Recipient: "a@example.com"}},
		` from:x@y.z status:dropped  tag:"two words" `: {Sender: "x@y.z", Status: waypost.StatusDropped, Tag: "two words"},
		`subject:"your order" queue:4bX:1`:             {Subject: "your order", Queue: "4bX:1"},
		`your order`:                                   {Subject: "your order"},
		`Status:hard-bounced`:                          {Status: waypost.StatusHardBounced},
		`status:softBounced`:                           {Status: waypost.StatusSoftBounced},
		`status:"soft bounce"`:                         {Status: waypost.StatusSoftBounced},
		`status:waiting since:2026-01-31 until:2026-01-31`: {
			Status: waypost.StatusQueued, MessageQuery: store.MessageQuery{From: day, To: day.AddDate(0, 0, 1)},
		},
		`subject:"no end`: {Subject: "no end"},
		`10:30 meeting`:   {Subject: "10:30 meeting"},
		`tag:a"b`:         {Tag: `a"b`},
	} {
		var s store.Search
		if wrong := readQuery(text, &s, true); wrong != "" || s != want {
			t.Errorf("%q: %+v %q, want %+v", text, s, wrong, want)
		}
	}
	for text, want := range map[string]string{
		"state:dropped":       "There is no state:",
		"status:gone":         "A status is",
		"to:":                 "Say what to: is",
		`tag:""`:              "Say what tag: is",
		"to:a@b to:c@d":       "twice",
		"a@b c@d":             "twice",
		"since:yesterday":     "Write a day",
		"until:2026-02-30":    "Write a day",
		"tag:x status: queue": "Say what status: is",
	} {
		var s store.Search
		if wrong := readQuery(text, &s, true); !strings.Contains(wrong, want) {
			t.Errorf("%q: %q, want %q", text, wrong, want)
		}
	}
	for _, text := range []string{"subject:order", "order"} {
		if wrong := readQuery(text, &store.Search{}, false); !strings.Contains(wrong, "viewers") {
			t.Errorf("a viewer asks for %q: %q", text, wrong)
		}
	}
}

// FuzzReadQuery: whatever is typed is read or refused, and what is read back
// from quoted terms is what was written.
func FuzzReadQuery(f *testing.F) {
	for _, s := range []string{`to:a@b status:sent`, `subject:"a b" tag:`, `"`, `:::`, "a\tb:\"", `x:"y"z:"w"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s store.Search
		_ = readQuery(text, &s, true)
		total := 0
		for _, term := range terms(text) {
			total += len(term.key) + len(term.value)
			if !isWord(term.key) && term.key != "" {
				t.Fatalf("the key %q", term.key)
			}
		}
		if total > len(text) {
			t.Fatalf("%q gave %d bytes", text, total)
		}
		if strings.Contains(text, `"`) || text == "" {
			return
		}
		var quoted store.Search
		if wrong := readQuery(`tag:"`+text+`"`, &quoted, true); wrong != "" || quoted.Tag != text {
			t.Fatalf("the tag %q is read as %q: %s", text, quoted.Tag, wrong)
		}
	})
}

package bounce

import "testing"

func TestStatedCodes(t *testing.T) {
	for text, want := range map[string]struct {
		code     int
		enhanced string
	}{
		"550 5.1.1 no such user": {550, "5.1.1"},
		"550-5.1.1 no such user": {550, "5.1.1"},
		"452 mailbox full":       {452, ""},
		"250 2.0.0 Ok: queued":   {250, "2.0.0"},
		"5.2.2 mailbox full":     {0, "5.2.2"},
		"host mx.example[192.0.2.1] said: 550 5.7.1 refused (in reply to RCPT TO command)": {550, "5.7.1"},
		"mailbox of 500 MB is full": {0, ""},
		"5501 unknown":              {0, ""},
		"750 what":                  {0, ""},
		"550":                       {550, ""},
		"":                          {0, ""},
	} {
		if code, enhanced := StatedCodes(text); code != want.code || enhanced != want.enhanced {
			t.Errorf("%q: %d %q, want %d %q", text, code, enhanced, want.code, want.enhanced)
		}
	}
}

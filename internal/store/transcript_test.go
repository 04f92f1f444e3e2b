package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
)

// usualTranscript is an attempt on a session that was open already.
func usualTranscript() waypost.Transcript {
	step := func(name string, code int, text string, ms time.Duration) waypost.TranscriptStep {
		return waypost.TranscriptStep{Name: name, Code: code, Text: text, Took: ms * time.Millisecond}
	}
	return waypost.Transcript{
		Took: 31 * time.Millisecond, Remote: "192.0.2.7:587", TLS: "TLS 1.3", Cipher: "TLS_AES_256_GCM_SHA384", Reused: true,
		Steps: []waypost.TranscriptStep{
			step("mail", 250, "2.1.0 Ok", 4), step("rcpt", 250, "2.1.5 Ok", 0), step("data", 354, "End data with <CR><LF>.<CR><LF>", 0),
			step("final", 250, "2.0.0 Ok: queued as 4cGkXw2kQVz9sD", 12),
		},
	}
}

func TestTranscriptRoundTrip(t *testing.T) {
	f := func(name string, change func(*waypost.Transcript), most int) {
		t.Helper()
		want := usualTranscript()
		change(&want)
		stored := EncodeTranscript(&want)
		want.Attempt = 3
		if diff := cmp.Diff(want, DecodeTranscript(3, stored)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(stored) > most {
			t.Errorf("%s takes %d bytes, more than %d", name, len(stored), most)
		}
	}
	f("a usual one", func(*waypost.Transcript) {}, 75)
	f("IPv6", func(tr *waypost.Transcript) { tr.Remote = "[2001:db8::1]:25" }, 87)
	f("an address with a zone", func(tr *waypost.Transcript) { tr.Remote = "[fe80::1%eth0]:25" }, 90)
	f("not an address", func(tr *waypost.Transcript) { tr.Remote = "pipe" }, 80)
	f("no TLS, new session", func(tr *waypost.Transcript) { tr.TLS, tr.Cipher, tr.Reused = "", "", false }, 75)
	f("nothing came about", func(tr *waypost.Transcript) {
		*tr = waypost.Transcript{Took: 30 * time.Second, Steps: []waypost.TranscriptStep{
			{Name: "resolve", Text: "[192.0.2.7]"}, {Name: "connect", Failed: true, Text: "connection refused", Took: time.Hour},
		}}
	}, 60)
	f("a failed step is kept whole", func(tr *waypost.Transcript) {
		tr.Steps[1] = waypost.TranscriptStep{Name: "rcpt", Failed: true, Code: 550, Text: strings.Repeat("5.1.1 é ", 110)}
	}, 1100)
	f("no steps", func(tr *waypost.Transcript) { *tr = waypost.Transcript{} }, 3)
}

// TestTranscriptBound: whatever a server says, the stored form keeps its bound,
// the end of the conversation and the whole of what failed last.
func TestTranscriptBound(t *testing.T) {
	said := strings.Repeat("ü", 500)
	for _, n := range []int{1, 12, 40, 500} {
		for _, failed := range []string{"none", "last", "all"} {
			tr := waypost.Transcript{Remote: strings.Repeat("r", 5000), TLS: said, Cipher: said}
			for i := range n {
				tr.Steps = append(tr.Steps, waypost.TranscriptStep{
					Name: fmt.Sprintf("step %d %s", i, said), Code: 599, Text: said, Took: 1000 * time.Hour,
					Failed: failed == "all" || failed == "last" && i == n-1,
				})
			}
			stored := EncodeTranscript(&tr)
			got, err := decodeTranscript(stored)
			if err != nil || len(stored) > MaxTranscript || len(got.Steps) != min(n, mostSteps) {
				t.Fatalf("%d steps, failed %s: %d bytes, %d steps, %v", n, failed, len(stored), len(got.Steps), err)
			}
			last := got.Steps[len(got.Steps)-1]
			if !strings.HasPrefix(last.Name, fmt.Sprintf("step %d", n-1)) {
				t.Errorf("%d steps: the last is %q", n, last.Name)
			}
			if whole := last.Text == said; whole != (failed != "none") {
				t.Errorf("%d steps, failed %s: the last says %d of %d bytes", n, failed, len(last.Text), len(said))
			}
		}
	}
}

// TestTranscriptUnreadable: what cannot be read says so.
func TestTranscriptUnreadable(t *testing.T) {
	tr := usualTranscript()
	good := EncodeTranscript(&tr)
	later := slices.Clone(good)
	later[0] = 9
	for name, stored := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "of a later form": later, "with a phrase of later": append(slices.Clone(good), 0x7e, 0, 0, 0),
		"too long": append(slices.Clone(good), make([]byte, MaxTranscript)...),
	} {
		got := DecodeTranscript(2, stored)
		if got.Attempt != 2 || len(got.Steps) != 1 || !got.Steps[0].Failed || !strings.Contains(got.Steps[0].Text, "transcript") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzTranscript: bytes of a database never cost more than their length, and
// what is read is written again to the same.
func FuzzTranscript(f *testing.F) {
	tr := usualTranscript()
	f.Add(EncodeTranscript(&tr))
	f.Add([]byte{transcriptForm, flagRemote | flagTLS, 0, 1, 0, 3, 'x'})
	f.Fuzz(func(t *testing.T, stored []byte) {
		got, err := decodeTranscript(stored)
		if err != nil {
			return
		}
		again := EncodeTranscript(&got)
		twice, err := decodeTranscript(again)
		if err != nil || len(again) > MaxTranscript {
			t.Fatalf("%d bytes, %v", len(again), err)
		}
		if third := EncodeTranscript(&twice); !bytes.Equal(third, again) {
			t.Fatalf("%x is written again as %x", again, third)
		}
	})
}

package queue

import (
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
)

// transcriptOf is what an attempt keeps of its SMTP transaction; nil when the
// attempt ended before anything of one happened.
func transcriptOf(t *smtp.Transaction, attempt int, took time.Duration) *waypost.Transcript {
	if len(t.Steps) == 0 {
		return nil
	}
	out := waypost.Transcript{
		Attempt: attempt, Took: took, Remote: t.RemoteAddr, Reused: t.Reused,
		Steps: make([]waypost.TranscriptStep, len(t.Steps)),
	}
	if t.TLS != nil {
		out.TLS, out.Cipher = t.TLS.Version, t.TLS.Cipher
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		out.Steps[i] = waypost.TranscriptStep{
			Name: s.Name, Failed: !s.OK, Code: s.Code, Text: s.Text, Took: time.Duration(s.MS) * time.Millisecond,
		}
	}
	return &out
}

package seed

import (
	"time"

	"github.com/waypost-mail/waypost"
)

func step(name string, code int, text string, ms time.Duration) waypost.TranscriptStep {
	return waypost.TranscriptStep{Name: name, Code: code, Text: text, Took: ms * time.Millisecond}
}

// said is what a Postfix answered in an attempt: the first one opens a session.
func said(attempt int, took time.Duration, last ...waypost.TranscriptStep) *waypost.Transcript {
	t := &waypost.Transcript{
		Attempt: attempt, Took: took, Remote: "192.0.2.11:587", TLS: "TLS 1.3", Cipher: "TLS_AES_256_GCM_SHA384", Reused: attempt > 1,
	}
	if attempt == 1 {
		t.Steps = []waypost.TranscriptStep{
			step("resolve", 0, "[192.0.2.11]", 2), step("connect", 0, "192.0.2.11:587", 21), step("banner", 220, "mail-hel.acme-shop.example ESMTP Postfix", 24),
			step("ehlo", 250, "mail-hel.acme-shop.example PIPELINING SIZE 52428800 STARTTLS ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 CHUNKING", 22),
			step("starttls", 220, "2.0.0 Ready to start TLS", 22), step("tls", 0, "TLS 1.3 TLS_AES_256_GCM_SHA384 mail-hel.acme-shop.example", 47),
			step("ehlo", 250, "mail-hel.acme-shop.example PIPELINING SIZE 52428800 AUTH PLAIN LOGIN ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 CHUNKING", 21),
			step("auth", 235, "2.7.0 Authentication successful", 31),
		}
	}
	t.Steps = append(t.Steps, step("mail", 250, "2.1.0 Ok", 22))
	t.Steps = append(t.Steps, last...)
	return t
}

// saidSent is an attempt that went well.
func saidSent(attempt int) *waypost.Transcript {
	return said(attempt, 74*time.Millisecond, step("rcpt", 250, "2.1.5 Ok", 0), step("data", 354, "End data with <CR><LF>.<CR><LF>", 0),
		step("final", 250, "2.0.0 Ok: queued as 4bXk2L0kzPz9rxy", 38))
}

// saidNo is an attempt whose recipient was refused.
func saidNo(attempt int, took time.Duration, code int, text string) *waypost.Transcript {
	t := said(attempt, took, step("rcpt", code, text, 608), step("data", 554, "5.5.1 Error: no valid recipients", 0))
	for i := range t.Steps {
		t.Steps[i].Failed = t.Steps[i].Code >= 400
	}
	return t
}

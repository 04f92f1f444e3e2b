// Package smtptest is a scripted SMTP server for tests and for the built-in
// benchmark. It is small and its own implementation because it must be able to
// misbehave: a [Script] has one field for each thing that can go wrong.
//
// A [Server] listens on loopback, plays the script on every connection, and
// records what it received. It imports nothing of ours.
package smtptest

import (
	"crypto/tls"
	"slices"
	"strings"
)

// Script says what the server answers. The zero value is a well-behaved server
// with PIPELINING, 8BITMIME, SMTPUTF8, SIZE, DSN and ENHANCEDSTATUSCODES. A reply
// is one or more whole lines without the last line end ("550 5.1.1 no such
// user", "250-one\r\n250 two"); "" is the default reply.
type Script struct {
	Banner string
	// EHLO lists the extension lines; nil is the default list. STARTTLS and AUTH
	// are added when TLS and Username are set.
	EHLO      []string
	EHLOReply string // the whole reply instead

	TLS           *tls.Config // offers STARTTLS
	ImplicitTLS   bool        // TLS from the first byte instead
	StartTLSReply string
	StartTLSExtra string // bytes sent in clear right after the reply to STARTTLS

	Username, Password string   // what AUTH must present; "" offers no AUTH
	AuthMechs          []string // default PLAIN LOGIN
	AuthLine           string   // the whole extension line, such as "AUTH=LOGIN"
	AuthReply          string   // instead of 235 or 535
	PlainChallenge     bool     // overlook the initial response of AUTH PLAIN

	Mail     string
	MailFunc func(from string) string
	Rcpt     func(rcpt string) string
	Data     string
	// DataAnyway answers 354 even when no recipient was accepted.
	DataAnyway bool
	Final      func(env Envelope, data []byte) string
	Rset, Quit string

	// CutAt closes the connection at a stage instead of answering, HangAt stops
	// answering there until the client goes away. Stages: banner, ehlo, starttls,
	// tls, auth, rset, mail, rcpt, data, body (after 354, reading nothing more),
	// final (after the final dot), quit.
	CutAt, HangAt string
	// CutAfter and HangAfter say how many messages of a connection are played
	// well before CutAt and HangAt apply.
	CutAfter int
	// CloseAfter closes the connection right after the reply to so many messages.
	CloseAfter int

	// LateReplies holds the answers of a pipelined group back until DATA, then
	// sends them in one write.
	LateReplies bool
	// LosePipelined forgets commands that came together with the one before.
	LosePipelined bool
	// Discard keeps counters only, for benchmarks.
	Discard bool
}

// Envelope is what MAIL and RCPT said.
type Envelope struct {
	From     string
	To       []string // accepted recipients only
	MailArgs string   // parameters behind the address, as sent
	RcptArgs []string
}

// Message is one received message. Data has dot-stuffing undone and CRLF kept.
type Message struct {
	Envelope
	Data    []byte
	TLS     bool
	User    string // authenticated as
	Session int    // number of the connection, from 1
}

var defaultEHLO = []string{
	"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES",
}

// Extensions is the default list without the named ones; use it for a server
// that lacks something.
func Extensions(without ...string) []string {
	return slices.DeleteFunc(slices.Clone(defaultEHLO), func(line string) bool {
		word, _, _ := strings.Cut(line, " ")
		return slices.Contains(without, word)
	})
}

func (s *Script) ehlo(secure bool) string {
	if s.EHLOReply != "" {
		return s.EHLOReply
	}
	lines := []string{"scripted server"}
	if s.EHLO == nil {
		lines = append(lines, defaultEHLO...)
	}
	lines = append(lines, s.EHLO...)
	if s.TLS != nil && !secure {
		lines = append(lines, "STARTTLS")
	}
	switch {
	case s.AuthLine != "":
		lines = append(lines, s.AuthLine)
	case s.Username != "":
		mechs := s.AuthMechs
		if mechs == nil {
			mechs = []string{"PLAIN", "LOGIN"}
		}
		lines = append(lines, "AUTH "+strings.Join(mechs, " "))
	}
	return Multiline(250, lines...)
}

// Multiline makes the reply of several lines.
func Multiline(code int, lines ...string) string {
	var b strings.Builder
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(codeText(code) + sep + line)
	}
	return b.String()
}

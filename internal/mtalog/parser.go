package mtalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// MaxLine is the longest line in bytes that is looked at; a longer one says nothing.
const MaxLine = 64 << 10

// UUIDHeader is the header field that carries the message UUID (spec: agent set-up, header_checks).
const UUIDHeader = "X-Sendpost-Message-UUID"

// Parser reads the lines of one MTA. It remembers the last timestamp and the tags it has seen, so
// one Parser serves one goroutine.
type Parser interface {
	// Parse reads a whole log line without its newline. It answers false when the line says
	// nothing about a message. It does not keep line.
	Parse(line []byte, f *Fact) bool
	// ParseMessage reads the text of a log entry whose time and tag ("postfix/smtp", the journal's
	// SYSLOG_IDENTIFIER) are known from elsewhere.
	ParseMessage(tag string, t time.Time, text []byte, f *Fact) bool
}

// Options of a parser. The zero value is good.
type Options struct {
	Location *time.Location   // zone of timestamps that name none; nil is time.Local
	Now      func() time.Time // the traditional format has no year: it gets the latest that is at most a day after Now; nil is time.Now
}

var parsers = map[string]func(Options) Parser{
	"exim":      func(o Options) Parser { return &exim{clock: clock{loc: o.Location, now: o.Now}} },
	"opensmtpd": func(o Options) Parser { return &opensmtpd{clock: clock{loc: o.Location, now: o.Now}} },
	"postfix":   func(o Options) Parser { return newPostfix(o) },
}

// New gives the parser of the named MTA, or an error that lists the names.
func New(mta string, o Options) (Parser, error) {
	build, ok := parsers[mta]
	if !ok {
		return nil, fmt.Errorf("mta %q has no log parser: use one of %s", mta, strings.Join(MTAs(), ", "))
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return build(o), nil
}

// MTAs lists the names New knows, sorted.
func MTAs() []string {
	return slices.Sorted(maps.Keys(parsers))
}

package main

import (
	"fmt"
	"strings"
	"time"
)

// The sender and the size of texts.
const (
	senderDomain = "bench.example"
	senderEmail  = "news@" + senderDomain
	senderName   = "The Bench"
	subject      = "What the benchmark has to say"

	minText = 100
	maxText = 4 << 20
)

// work is a run of messages, numbered first to first+n-1. Every contender gets
// the same texts; each text holds its message's number, so that no two are
// alike and nothing can be signed once for all.
type work struct {
	first, n, size int
	timed          bool // the clock runs
}

// recipient is who gets message i.
func recipient(i int) string { return fmt.Sprintf("reader%07d@customers.example", i) }

// number is what stands in the text of message i, as wide as numberField.
func number(i int) string { return fmt.Sprintf("%010d", i) }

// numberField is the placeholder of the number in a template.
const numberField = "{{number}}"

// text is a text of size bytes once its number is filled in and its lines end
// with CRLF. Its own lines end with LF.
func text(size int, number string) string {
	var b strings.Builder
	b.WriteString("Dear reader " + number + ",\n")
	left := size - len("Dear reader ,\r\n") - len(fmt.Sprintf("%010d", 0))
	words := strings.Fields(vocabulary)
	state := uint32(1)
	for left > 0 {
		var line strings.Builder
		for line.Len() < 60 {
			state = state*1664525 + 1013904223 // Knuth and Lewis: words in no order
			line.WriteString(words[state>>16%uint32(len(words))] + " ")
		}
		l := strings.TrimSpace(line.String())
		if left-len(l)-2 < 3 { // the last line takes what is left
			l = (l + strings.Repeat(".", 80))[:max(left-2, 0)]
		}
		b.WriteString(l + "\n")
		left -= len(l) + 2
	}
	return b.String()
}

const vocabulary = `a letter that says little and says it at some length is what people who
write about mail send to each other while they wait for numbers from machines which neither
read nor answer but hand everything on to the next one in good order and in due time`

// mail is message i as an injector over SMTP sends it.
func (w work) mail(body string, i int, now time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d.%s@%s>\r\n", senderName, senderEmail,
		recipient(i), subject, now.Format(time.RFC1123Z), now.UnixNano(), number(i), senderDomain)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n")
	b.WriteString(strings.ReplaceAll(strings.Replace(body, numberField, number(i), 1), "\n", "\r\n"))
	return []byte(b.String())
}

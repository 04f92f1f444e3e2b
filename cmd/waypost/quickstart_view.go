package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
)

// quickView writes for a person at a terminal. Colour is used on a terminal only,
// and not when NO_COLOR is set.
type quickView struct {
	w      io.Writer
	colour bool
}

func newQuickView(w io.Writer) *quickView {
	v := &quickView{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		v.colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return v
}

const (
	green  = "32"
	red    = "31"
	yellow = "33"
)

func (v *quickView) paint(colour, s string) string {
	if !v.colour || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func (v *quickView) line(format string, args ...any) { fmt.Fprintf(v.w, format+"\n", args...) }

// part says that something was started.
func (v *quickView) part(name, format string, args ...any) {
	v.line("  %-14s %s", name, fmt.Sprintf(format, args...))
}

// entry shows one thing that happened to a message, since after the first mail
// was sent.
func (v *quickView) entry(since time.Duration, t *api.Timeline, e *api.TimelineEntry) {
	what, colour := e.TypeName, ""
	switch {
	case e.Kind == "attempt" && e.Code == 0: // no reply at all
		what, colour = fmt.Sprintf("attempt %d failed", e.Attempt), yellow
	case e.Kind == "attempt":
		what, colour = fmt.Sprintf("attempt %d refused", e.Attempt), yellow
	case e.Kind == "deferral":
		what, colour = "deferral", yellow
	case e.Kind == "evidence":
		what += " again"
	case e.Type == int(waypost.CSDelivered):
		colour = green
	case waypost.EventType(e.Type).Final():
		colour = red
	}
	to := t.Recipient
	if local, ok := strings.CutSuffix(to, "@"+quickRecipients); ok {
		to = local
	}
	v.line("  %s  %-12s %s %s", offset(since), to, v.paint(colour, fmt.Sprintf("%-17s", what)), saying(t, e))
}

func offset(d time.Duration) string { return fmt.Sprintf("%7s", fmt.Sprintf("+%.2fs", d.Seconds())) }

// saying says who said what, and what comes of it.
func saying(t *api.Timeline, e *api.TimelineEntry) string {
	text := shorten(e.Text)
	switch {
	case e.Type == int(waypost.CSProcessed):
		return "the API accepted it"
	case e.Visit != nil:
		return visitSaying(e)
	case e.Kind == "attempt" && t.Waiting != nil && t.Waiting.Attempts == e.Attempt:
		return fmt.Sprintf("mail server: %s; next attempt in %.1fs", text, max(0, time.Until(t.Waiting.Due).Seconds()))
	case e.Source == string(waypost.SourceRelay) && e.Type != int(waypost.CSDropped):
		return "mail server: " + text
	case e.Source == string(waypost.SourceAgent):
		return "agent: " + text
	}
	return text
}

// shorten leaves a log's explanation away around the reply itself.
func shorten(text string) string {
	if _, said, ok := strings.Cut(text, " said: "); ok {
		text = said
	}
	if before, _, ok := strings.Cut(text, " (in reply to "); ok {
		text = before
	}
	const most = 100
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}

// table aligns all columns but the last; the first row is its head.
func (v *quickView) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if last := len(row) - 1; i == last {
				colour := ""
				if n > 0 {
					colour = map[bool]string{true: green, false: red}[cell == "ok"]
				}
				b.WriteString(v.paint(colour, cell))
			} else {
				fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
			}
		}
		v.line("  %s", b.String())
	}
}

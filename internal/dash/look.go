package dash

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
)

// funcs are the functions of templates.
func (d *Dash) funcs() template.FuncMap {
	return template.FuncMap{
		"asset": assetURL, "icon": icon, "chip": makeChip, "suppressed": suppressChip, "input": makeInput, "choice": makeChoice,
		"number": numberOf, "percent": percent, "spell": spell, "ago": ago, "age": func(t, now time.Time) string { return rough(now.Sub(t)) }, "capital": capital, "until": until, "due": due,
		"stamp": stampOf, "clip": clip, "dict": dict, "options": options, "plural": pluralOf, "initials": initials,
		"link": link, "bytes": bytesOf, "size": func(n any) string { return sizeOf(integer(n)) }, "ms": millis, "gauge": gauge, "shades": func() [heatLevels + 1]int { return [heatLevels + 1]int{0, 1, 2, 3, 4, 5} }, "sparkline": sparkline, "join": strings.Join,
	}
}

// chip is a state: a mark and a word, in a colour that says the same.
type chip struct {
	Kind string // "ok", "warn", "bad", "info" or "quiet"
	Icon string
	Text string
	More string // on hover
}

var chipIcons = map[string]string{"ok": "check", "warn": "alert", "bad": "cross", "info": "dot", "quiet": "ring"}

func makeChip(kind, text string, more ...string) chip {
	return chip{kind, chipIcons[kind], text, strings.Join(more, " ")}
}

// number writes 12,345.
func number[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "−", s[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// percent writes a share of 0 to 1: 97.4 %, and more digits where it is small.
func percent(share float64) string {
	switch p := share * 100; {
	case math.IsNaN(p) || math.IsInf(p, 0):
		return "–"
	case p == 0 || p >= 99.995:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	case p < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
}

// spell writes a duration for people: 2 h 5 min.
func spell(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	two := func(a int, au string, b int, bu string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, au)
		}
		return fmt.Sprintf("%d %s %d %s", a, au, b, bu)
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 48*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return two(int(d.Hours())/24, "days", int(d.Hours())%24, "h")
}

// rough writes a duration by its largest unit: 2 h.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// ago says how long something is past.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch age := now.Sub(t); {
	case age < 5*time.Second:
		return "just now"
	default:
		return rough(age) + " ago"
	}
}

// until says how far something is ahead, or that it is due.
func until(t, now time.Time) string {
	if t.Sub(now) < time.Second {
		return "now"
	}
	return "in " + rough(t.Sub(now))
}

// due says when something is due, or by how much it is overdue.
func due(t, now time.Time) string {
	if late := now.Sub(t); late > time.Minute {
		return "is overdue by " + rough(late)
	}
	return "is due " + until(t, now)
}

// stampOf is a time for the template "time": UTC, which the script writes in
// the reader's zone, keeping UTC for the hover.
func stampOf(t time.Time, style ...string) template.HTML {
	if t.IsZero() {
		return `<span class="quiet">never</span>`
	}
	u := t.UTC()
	text, mode := u.Format("2006-01-02 15:04:05"), "full"
	if len(style) > 0 {
		switch mode = style[0]; mode {
		case "day":
			text = u.Format("2006-01-02")
		case "clock":
			text = u.Format("15:04:05")
		case "short":
			text = u.Format("2 Jan 15:04")
		}
	}
	// Nothing in it comes from outside: digits and words of ours.
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-mode="%s" title="%s UTC">%s</time>`, //nolint:gosec // see above
		u.Format("2006-01-02T15:04:05.000Z"), template.HTMLEscapeString(mode), u.Format("2006-01-02 15:04:05.000"), text))
}

// clip shortens a text to some bytes, at the end of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

func bytesOf(n int) string {
	switch {
	case n < 1024:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/1024)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func millis(d time.Duration) string { return number(d.Milliseconds()) + " ms" }

func plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// initials are one or two letters for a person without a picture.
func initials(p *waypost.Person) string {
	name := p.Name
	if name == "" {
		name = p.Email
	}
	var out []rune
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '.' || r == '@' }) {
		out = append(out, []rune(strings.ToUpper(word))[0])
		if len(out) == 2 {
			break
		}
	}
	return string(out)
}

// dict gives a template named values: name and value in turn.
func dict(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			out[name] = pairs[i+1]
		}
	}
	return out
}

// options makes choices: value and label in turn.
func options(pairs ...string) []option {
	var out []option
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, option{pairs[i], pairs[i+1]})
	}
	return out
}

// numberOf and pluralOf are for templates, which do not know types.
func numberOf(n any) string {
	switch n := n.(type) {
	case int:
		return number(n)
	case int64:
		return number(n)
	}
	return fmt.Sprint(n)
}

func pluralOf(n any, one, many string) string {
	switch n := n.(type) {
	case int:
		return plural(n, one, many)
	case int64:
		return plural(n, one, many)
	}
	return fmt.Sprint(n, " ", many)
}

// link makes the address of a page: a path, and names and values of its query
// in turn; empty ones are left out.
func link(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "0" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// capital begins a text with a capital letter.
func capital(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// integer is for templates, which do not know types.
func integer(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case uint64:
		return int64(min(n, math.MaxInt64)) //nolint:gosec // bounded
	}
	return 0
}

package sqlite

import (
	"strconv"
	"strings"
)

// inOrder spells the placeholders $1, $2, … of a query as ?, when each stands
// in it once and in this order, which means the same. The driver asks SQLite
// for the name of every placeholder at every execution, and SQLite walks the
// names that come before it: without names, neither costs anything. Any other
// query stays as it is.
func inOrder(query string) string {
	var b strings.Builder
	b.Grow(len(query))
	for n, rest := 1, query; ; n++ {
		at := placeholder(rest)
		if at < 0 {
			b.WriteString(rest)
			return b.String()
		}
		end := at + 1
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		if rest[at+1:end] != strconv.Itoa(n) {
			return query
		}
		b.WriteString(rest[:at])
		b.WriteByte('?')
		rest = rest[end:]
	}
}

// placeholder is where the first placeholder with a number stands; -1 when
// there is none. A query that quotes a dollar sign before a digit has none that
// can be told apart: no query here does.
func placeholder(query string) int {
	for from := 0; ; {
		at := strings.IndexByte(query[from:], '$')
		if at < 0 {
			return -1
		}
		if at += from; at+1 < len(query) && query[at+1] >= '0' && query[at+1] <= '9' {
			return at
		}
		from = at + 1
	}
}

package suppresslist

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table is a CSV file.
type table struct {
	csv   *csv.Reader
	names []string // folded, of each column; "" for one that says nothing to us
	first []string // the first record when it is no header
}

// The names that a field may have, folded, by what it holds. Of several in one
// entry the first that is not empty counts: a postal address may stand beside
// that of the mailbox.
var (
	emailNames   = []string{"email", "emailaddress", "recipientemail", "subscriberemail", "contactemail", "recipient", "mail", "address"}
	textNames    = []string{"error", "smtperror", "diagnosticcode", "bouncereason", "text", "description", "details"}
	createdNames = []string{
		"created", "createdat", "createdon", "createdtime", "suppressedat", "addedat", "dateadded", "timestamp", "lastupdatetime", "lastupdated", "date", "time",
	}
	expiresNames = []string{"expires", "expiresat", "expiry"}
)

// first finds a field by its names, and whether there is one at all.
func first(fields map[string]string, names []string) (value string, ok bool) {
	for _, n := range names {
		v, there := fields[n]
		if ok = ok || there; v != "" {
			return v, true
		}
	}
	return "", ok
}

// fold takes case, blanks and punctuation from the name of a field.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

func newTable(in *bufio.Reader) (*table, error) {
	t := &table{csv: csv.NewReader(in)}
	t.csv.Comma = separator(in)
	t.csv.FieldsPerRecord = -1
	t.csv.LazyQuotes = true
	t.csv.TrimLeadingSpace = true
	head, err := t.csv.Read()
	if err != nil {
		return nil, broken(err)
	}
	for _, name := range head {
		t.names = append(t.names, fold(name))
	}
	if slices.ContainsFunc(t.names, func(n string) bool { return slices.Contains(emailNames, n) }) {
		return t, nil
	}
	at := slices.IndexFunc(head, func(s string) bool { return strings.Contains(s, "@") })
	if at < 0 {
		return nil, fmt.Errorf("%w: no column of addresses; name one email, or put one address on each line", ErrList)
	}
	t.first, t.names = head, make([]string, at+2)
	t.names[at], t.names[at+1] = "email", "reason"
	return t, nil
}

// separator is the one that the first line has most of.
func separator(in *bufio.Reader) rune {
	line, _ := in.Peek(2 << 10) // as much as there is
	line, _, _ = bytes.Cut(line, []byte("\n"))
	best, most := ',', 0
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

func broken(err error) error {
	if at, ok := errors.AsType[*csv.ParseError](err); ok && !errors.Is(err, ErrList) {
		return fmt.Errorf("%w: line %d: %w", ErrList, at.StartLine, at.Err)
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file is empty", ErrList)
	}
	return err
}

func (t *table) next() (map[string]string, int, error) {
	record, line := t.first, 1
	if t.first = nil; record == nil {
		var err error
		if record, err = t.csv.Read(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, 0, io.EOF
			}
			return nil, 0, broken(err)
		}
		line, _ = t.csv.FieldPos(0)
	}
	fields := map[string]string{}
	for i, value := range record {
		if i < len(t.names) && t.names[i] != "" {
			if !utf8.ValidString(value) {
				return nil, 0, &LineError{line, "is not UTF-8"}
			}
			fields[t.names[i]] = strings.TrimSpace(value)
		}
	}
	return fields, line, nil
}

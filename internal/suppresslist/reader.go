package suppresslist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/waypost-mail/waypost"
)

// MaxEntry bounds one entry of a list, in bytes.
const MaxEntry = 256 << 10

// Entry is one address of a list.
type Entry struct {
	Line    int    // of a CSV file, or the number of the entry in JSON; from 1
	Email   string // as written, without blanks around it
	Reason  waypost.SuppressionReason
	Text    string    // the reply behind a bounce, or whatever the list says
	Created time.Time // zero: the list does not say
	Expires time.Time // zero: never
}

// LineError is an entry that makes no sense. Those behind it can be read.
type LineError struct {
	Line int
	Msg  string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// ErrList is the cause when a file is no list at all, or breaks off.
var ErrList = errors.New("not a list of suppressions")

// Format is who made a list.
type Format string

// The formats that are told apart.
const (
	Waypost  Format = "waypost"
	SendPost Format = "sendpost"
	Postmark Format = "postmark"
	Mailgun  Format = "mailgun"
	SES      Format = "ses"
	SendGrid Format = "sendgrid"
	Plain    Format = "plain" // columns that are understood, of no known service
)

// Reader reads a list. It is not safe for concurrent use.
type Reader struct {
	meter  *meter
	rows   rows
	format Format
	given  waypost.SuppressionReason
	sure   bool // given is the caller's word, not a guess
}

// rows is a syntax: it gives the fields of one entry after the other, by their
// folded names.
type rows interface {
	next() (fields map[string]string, line int, err error)
}

// NewReader begins a list. Reason is for entries that do not tell theirs; nil
// lets the format decide, and "added by hand" where it cannot. The error wraps
// ErrList, or is of the reader below.
func NewReader(in io.Reader, reason *waypost.SuppressionReason) (*Reader, error) {
	r := &Reader{meter: &meter{in: in}, format: Plain}
	if reason != nil {
		r.given, r.sure = *reason, true
	}
	buffered := bufio.NewReaderSize(r.meter, 4<<10)
	if mark, _ := buffered.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(3) // was peeked
	}
	for {
		c, err := buffered.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("%w: the file is empty", ErrList)
			}
			return nil, err
		}
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			continue
		}
		_ = buffered.UnreadByte() // was read
		if c == '[' || c == '{' {
			r.rows = newJSONRows(buffered)
			return r, nil
		}
		table, err := newTable(buffered)
		if err != nil {
			return nil, err
		}
		r.rows = table
		return r, nil
	}
}

// Format tells who made the list, as far as what was read so far shows it.
func (r *Reader) Format() Format { return r.format }

// Next gives the next entry: io.EOF at the end, a *LineError for one to pass
// over, and any other error when nothing more can be read.
func (r *Reader) Next() (Entry, error) {
	r.meter.used = 0
	fields, line, err := r.rows.next()
	if err != nil {
		return Entry{}, err
	}
	if f := formatOf(fields); r.format == Plain && f != Plain {
		r.format = f
	}
	e, err := r.entry(fields)
	e.Line = line
	if err != nil {
		return Entry{}, &LineError{line, err.Error()}
	}
	return e, nil
}

// meter bounds what is read for one entry.
type meter struct {
	in   io.Reader
	used int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.used > MaxEntry {
		return 0, fmt.Errorf("%w: an entry is longer than %d bytes; a quote or bracket may be missing", ErrList, MaxEntry)
	}
	n, err := m.in.Read(p[:min(len(p), 32<<10)])
	m.used += n
	return n, err
}

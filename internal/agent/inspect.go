package agent

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// ParseFile reads a whole log, gzipped or not, and writes its events to w as
// lines of JSON, as they would be sent. "-" reads in.
func ParseFile(ctx context.Context, name, mta string, in io.Reader, w io.Writer) (Counts, error) {
	parser, err := mtalog.New(mta, mtalog.Options{})
	if err != nil {
		return Counts{}, err
	}
	c := NewCorrelator(CorrelatorOptions{LocalIP: ownAddress()})
	out := bufio.NewWriter(w)
	var f mtalog.Fact
	var b []byte
	var enc encoder
	print := func() error {
		items := c.Take()
		for i := range items {
			b = append(enc.append(b[:0], &items[i]), '\n')
			if _, err := out.Write(b); err != nil {
				return fmt.Errorf("write events: %w", err)
			}
		}
		return nil
	}
	now := time.Now()
	err = eachLine(ctx, name, in, func(line []byte) error {
		if parser.Parse(line, &f) {
			c.Observe(&f, now)
		}
		return print()
	})
	if err != nil {
		return c.Counts(), err
	}
	c.Flush()
	return c.Counts(), errors.Join(print(), out.Flush())
}

// eachLine calls f with the lines of a file, without their newlines. Lines
// longer than [mtalog.MaxLine] are left out.
func eachLine(ctx context.Context, name string, in io.Reader, f func(line []byte) error) error {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("unzip %s: %w", name, err)
		}
		in = z
	}
	r := bufio.NewReaderSize(in, mtalog.MaxLine+1)
	for ctx.Err() == nil {
		line, err := r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			line = nil
			_, err = r.ReadSlice('\n')
		}
		if len(line) > 0 {
			if err := f(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log %s: %w", name, err)
		}
	}
	return ctx.Err()
}

// CheckLine explains what the agent sees in one log line.
func CheckLine(line, mta string) (string, error) {
	parser, err := mtalog.New(mta, mtalog.Options{})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	form := formOf([]byte(line))
	if form == "" {
		form = "unknown; expected traditional syslog, RFC 3339 or RFC 5424"
	}
	fmt.Fprintf(&b, "format     %s\n", form)
	var f mtalog.Fact
	if !parser.Parse([]byte(line), &f) {
		b.WriteString("meaning    none: the line says nothing about the fate of a message\n")
		return b.String(), nil
	}
	fmt.Fprintf(&b, "meaning    %s\ntime       %s\nprocess    %s\nqueue id   %s (instance %s)\n",
		f.Kind, f.Time.UTC().Format(time.RFC3339Nano), f.Tag, f.Queue, f.Instance)
	for _, v := range [][2]string{
		{"sender", f.Sender},
		{"message-id", f.MessageID},
		{"header", f.HeaderValue},
		{"recipient", f.Recipient},
		{"before alias", f.OrigTo},
		{"relay", f.Relay},
		{"status", f.StatusWord},
		{"enhanced", f.Enhanced},
		{"text", f.Description},
		{"goes on as", string(f.Next)},
		{"came from", string(f.Prev)},
	} {
		if v[1] != "" {
			fmt.Fprintf(&b, "%-10s %s\n", v[0], v[1])
		}
	}
	if f.Code != 0 {
		fmt.Fprintf(&b, "%-10s %d\n", "reply code", f.Code)
	}
	u, how := uuidIn(&f)
	switch {
	case how != unknown:
		fmt.Fprintf(&b, "message    %s, by its %s\n", u, how)
	case f.Kind == mtalog.Outcome:
		b.WriteString("message    not on this line: found by the queue id, see waypost-agent explain " + string(f.Queue) + "\n")
	default:
		b.WriteString("message    none of Waypost's named here\n")
	}
	return b.String(), nil
}

// uuidIn gives the message that a line names by itself.
func uuidIn(f *mtalog.Fact) (waypost.UUID, method) {
	if rp, ok := waypost.FindReturnPath(f.Sender); ok {
		return rp.UUID, byReturnPath
	}
	if f.Kind == mtalog.Header {
		if u, err := waypost.ParseUUID(f.HeaderValue); err == nil {
			return u, byHeader
		}
	}
	if u, ok := uuidOfMessageID(f.MessageID); ok {
		return u, byMessageID
	}
	return waypost.UUID{}, unknown
}

// Explain writes the log lines behind a queue id or a message's UUID, and the
// events made of them. It looks through the log and its archives.
func Explain(ctx context.Context, what, mta, logPath string, w io.Writer) error {
	files, err := archives(logPath)
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("no log at %s", logPath), err)
	}
	slices.Reverse(files)
	x := explainer{queues: map[string]bool{}, uuids: map[waypost.UUID]bool{}}
	if u, err := waypost.ParseUUID(what); err == nil {
		x.uuids[u] = true
	} else {
		x.queues[what] = true
	}
	for grown := -1; grown != len(x.queues)+len(x.uuids); { // links may lead back as well as on
		grown = len(x.queues) + len(x.uuids)
		if err := x.pass(ctx, files, mta, x.learn); err != nil {
			return err
		}
	}
	c := NewCorrelator(CorrelatorOptions{LocalIP: ownAddress()})
	lines := 0
	err = x.pass(ctx, files, mta, func(line []byte, f *mtalog.Fact) error {
		c.Observe(f, time.Now())
		x.events(c.Take())
		if !x.about(f) {
			return nil
		}
		lines++
		_, err := fmt.Fprintf(w, "%s\n", bytes.ToValidUTF8(line, []byte("?")))
		return err
	})
	if err != nil {
		return fmt.Errorf("explain %s: %w", what, err)
	}
	if lines == 0 {
		return fmt.Errorf("nothing about %s in %s and its archives", what, logPath)
	}
	c.Flush()
	x.events(c.Take())
	if len(x.found) == 0 {
		x.found = []byte("no event: no outcome yet, or no line names a message of Waypost\n")
	}
	if _, err := w.Write(x.found); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// explainer grows a set of queue ids and messages that belong together.
type explainer struct {
	queues map[string]bool
	uuids  map[waypost.UUID]bool
	enc    encoder
	found  []byte // events, a line each
}

func (x *explainer) pass(ctx context.Context, files []archive, mta string, f func([]byte, *mtalog.Fact) error) error {
	parser, err := mtalog.New(mta, mtalog.Options{})
	if err != nil {
		return err
	}
	var fact mtalog.Fact
	for _, a := range files {
		err := eachLine(ctx, a.path, nil, func(line []byte) error {
			if !parser.Parse(line, &fact) {
				return nil
			}
			return f(line, &fact)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const maxExplained = 1000 // queue ids that belong together; more is a mistake

func (x *explainer) about(f *mtalog.Fact) bool {
	if x.queues[string(f.Queue)] || f.Kind == mtalog.Fresh && f.Prev != "" && x.queues[string(f.Prev)] {
		return true
	}
	u, how := uuidIn(f)
	return how != unknown && x.uuids[u]
}

func (x *explainer) learn(_ []byte, f *mtalog.Fact) error {
	if !x.about(f) || len(x.queues) > maxExplained {
		return nil
	}
	if f.Queue != "" {
		x.queues[strings.Clone(string(f.Queue))] = true
	}
	if u, how := uuidIn(f); how != unknown {
		x.uuids[u] = true
	}
	if f.Next != "" && f.Kind == mtalog.Notification {
		x.queues[strings.Clone(string(f.Next))] = true
	}
	return nil
}

// events keeps those of the events that belong to the set.
func (x *explainer) events(events []Event) {
	for i := range events {
		e := &events[i]
		if x.uuids[e.UUID] || x.queues[string(e.Item.QueueID)] {
			x.found = append(x.enc.append(append(x.found, "event "...), e), '\n')
		}
	}
}

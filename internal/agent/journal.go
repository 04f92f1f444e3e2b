package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// feed is where log lines come from: a file, or the journal.
type feed interface {
	// Read gives the next whole lines, good until the next call; nothing when
	// there are no more for now.
	Read() ([]byte, error)
	Position() Position                  // behind the lines given so far
	Place() (string, int64)              // for people: what is read, and how far
	Lag() int64                          // bytes written but not read, as far as known
	Stats() TailStats                    //
	Open() bool                          // there is something to read from
	Wait(context.Context, time.Duration) // until there may be more, at most so long
	Close()
}

// journal reads the mail facility of systemd's journal by way of journalctl,
// so that the agent needs no C library. Each entry becomes a line as rsyslog
// would have written it, and the place is the journal's own cursor. When
// journalctl ends it is started again behind the last entry, after a pause that
// doubles.
type journal struct {
	program string
	exim    bool // its entries are lines of its main log
	pause   time.Duration
	stop    context.CancelFunc
	wg      sync.WaitGroup
	chunks  chan chunk
	next    *chunk // received by Wait
	cursor  string // behind the chunk given last
	read    int64

	mu      sync.Mutex
	err     error // of the last run
	started time.Time
	skipped int64
}

// chunk is some lines and the cursor of the last of them.
type chunk struct {
	lines  []byte
	cursor string
}

// The bounds of the journal: one entry as JSON, and the lines handed on together.
const (
	maxEntry     = 1 << 20
	maxChunk     = 128 << 10
	journalPause = time.Second
	settled      = 5 * time.Second // a run of this length counts as success
)

// followJournal starts behind a cursor; without one at the journal's end, or at its
// beginning. pause is the first wait after journalctl ended.
func followJournal(mta string, p *Position, fromStart bool, pause time.Duration) *journal {
	ctx, stop := context.WithCancel(context.Background())
	j := &journal{program: "journalctl", exim: mta == "exim", pause: pause, stop: stop, chunks: make(chan chunk)}
	if p != nil {
		j.cursor = p.Cursor
	}
	j.wg.Go(func() { j.run(ctx, j.cursor, fromStart) })
	return j
}

// run keeps journalctl running.
func (j *journal) run(ctx context.Context, cursor string, fromStart bool) {
	pause := j.pause
	for ctx.Err() == nil {
		began, from := time.Now(), cursor
		err := j.once(ctx, &cursor, fromStart)
		if ctx.Err() != nil {
			return
		}
		j.mu.Lock()
		j.err, j.started = err, time.Time{}
		j.mu.Unlock()
		if cursor != from || time.Since(began) > settled {
			pause = j.pause
		}
		sleep(ctx, pause, nil)
		pause = min(2*pause, 30*j.pause)
	}
}

// once runs journalctl until it ends.
func (j *journal) once(ctx context.Context, cursor *string, fromStart bool) error {
	args := []string{"--all", "--output=json", "--follow"}
	switch {
	case *cursor != "":
		args = append(args, "--no-tail", "--after-cursor="+*cursor)
	case fromStart:
		args = append(args, "--no-tail")
	default:
		args = append(args, "--lines=0")
	}
	cmd := exec.CommandContext(ctx, j.program, append(args, "SYSLOG_FACILITY=2")...)
	cmd.WaitDelay = 2 * time.Second
	var said tailBuffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start journalctl: %w", err)
	}
	j.mu.Lock()
	j.started = time.Now()
	j.mu.Unlock()
	copied := j.copy(ctx, out, cursor)
	err = errors.Join(copied, cmd.Wait())
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("journalctl: %w: %s", err, excerpt(said.b))
}

// copy turns entries into lines and hands them on.
func (j *journal) copy(ctx context.Context, out io.Reader, cursor *string) error {
	r := bufio.NewReaderSize(out, maxEntry)
	var c chunk
	for {
		entry, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			j.skip()
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			continue
		}
		if len(entry) > 1 && entry[len(entry)-1] == '\n' {
			lines, at, ok := appendEntry(c.lines, entry, j.exim)
			if !ok {
				j.skip()
			}
			if c.lines = lines; at != "" {
				c.cursor = at
			}
		}
		if c.cursor != "" && (r.Buffered() == 0 || len(c.lines) >= maxChunk || err != nil) {
			select {
			case j.chunks <- c:
				*cursor, c = c.cursor, chunk{}
			case <-ctx.Done():
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (j *journal) skip() {
	j.mu.Lock()
	j.skipped++
	j.mu.Unlock()
}

// appendEntry appends one entry of journalctl's JSON as a log line and gives
// its cursor. ok is false when the entry has no text that can be read.
func appendEntry(b, entry []byte, exim bool) (lines []byte, cursor string, ok bool) {
	var e struct {
		Cursor     string          `json:"__CURSOR"`
		Received   string          `json:"__REALTIME_TIMESTAMP"`
		Sent       string          `json:"_SOURCE_REALTIME_TIMESTAMP"`
		Host       json.RawMessage `json:"_HOSTNAME"`
		Identifier json.RawMessage `json:"SYSLOG_IDENTIFIER"`
		Message    json.RawMessage `json:"MESSAGE"`
	}
	if err := json.Unmarshal(entry, &e); err != nil {
		return b, "", false
	}
	text, ok := fieldText(e.Message)
	micros, err := strconv.ParseInt(e.Sent, 10, 64)
	if err != nil {
		micros, err = strconv.ParseInt(e.Received, 10, 64)
	}
	if !ok || err != nil {
		return b, e.Cursor, false
	}
	at := time.UnixMicro(micros).UTC()
	start := len(b)
	switch host, _ := fieldText(e.Host); {
	case exim && len(text) > 10 && text[4] == '-' && text[10] == ' ': // syslog_timestamp
	case exim:
		b = append(at.AppendFormat(b, "2006-01-02 15:04:05.000000 -0700"), ' ')
	default:
		tag, _ := fieldText(e.Identifier)
		if len(host) == 0 {
			host = []byte("-")
		}
		b = append(at.AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00"), ' ')
		b = append(append(b, bytes.ReplaceAll(host, []byte(" "), []byte("_"))...), ' ')
		b = append(append(b, bytes.ReplaceAll(tag, []byte(" "), []byte("_"))...), ": "...)
	}
	b = append(b, text...)
	for i := start; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' || b[i] == 0 {
			b[i] = ' '
		}
	}
	return append(b, '\n'), e.Cursor, true
}

// fieldText reads a field of an entry: text, an array of byte values when it is
// not UTF-8, an array of texts when the field is there more than once, or null
// when it is too long.
func fieldText(raw json.RawMessage) ([]byte, bool) {
	var s string
	var values []uint16
	var several []json.RawMessage
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, false
	case json.Unmarshal(raw, &s) == nil:
		return []byte(s), true
	case json.Unmarshal(raw, &values) == nil:
		b := make([]byte, len(values))
		for i, v := range values {
			b[i] = byte(v)
		}
		return b, true
	case json.Unmarshal(raw, &several) == nil && len(several) > 0 && several[0][0] != '[':
		return fieldText(several[0])
	}
	return nil, false
}

// Read implements feed.
func (j *journal) Read() ([]byte, error) {
	c := j.next
	if j.next = nil; c == nil {
		select {
		case got := <-j.chunks:
			c = &got
		default:
			return nil, j.trouble()
		}
	}
	j.cursor = c.cursor
	j.read += int64(len(c.lines))
	j.mu.Lock()
	j.err = nil
	j.mu.Unlock()
	return c.lines, nil
}

// trouble gives why the last run ended until another lasts.
func (j *journal) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.started.IsZero() && time.Since(j.started) > settled {
		j.err = nil
	}
	return j.err
}

// Wait implements feed.
func (j *journal) Wait(ctx context.Context, most time.Duration) {
	if j.next != nil {
		return
	}
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case c := <-j.chunks:
		j.next = &c
	}
}

// Position implements feed.
func (j *journal) Position() Position { return Position{File: "journal", Cursor: j.cursor} }

// Place implements feed.
func (j *journal) Place() (string, int64) { return "journal", j.read }

// Lag implements feed; the journal does not tell.
func (j *journal) Lag() int64 { return 0 }

// Stats implements feed.
func (j *journal) Stats() TailStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	return TailStats{Cut: j.skipped}
}

// Open implements feed.
func (j *journal) Open() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.started.IsZero() || j.read > 0
}

// Close implements feed.
func (j *journal) Close() {
	j.stop()
	j.wg.Wait()
}

// tailBuffer keeps the start of what a program says on standard error.
type tailBuffer struct{ b []byte }

// Write implements io.Writer.
func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), max(0, 200-len(t.b)))]...)
	return len(p), nil
}

// followedFile is a log file as a feed.
type followedFile struct {
	*Tailer
	watch *watcher
}

// Wait implements feed.
func (f *followedFile) Wait(ctx context.Context, most time.Duration) { f.watch.wait(ctx, most) }

// Close implements feed.
func (f *followedFile) Close() {
	f.Tailer.Close()
	f.watch.close()
}

// openFeed opens what the configuration names, at the place reached before. A
// place in a file is none in the journal, nor the other way round.
func openFeed(cfg *Config, at *Position) (feed, error) {
	if at != nil && (at.Cursor != "") != cfg.Journald && (at.Cursor != "" || at.Offset > 0) {
		cfg.Log.Warn("the source of log lines was changed; reading begins anew", "before", at.File)
		at = nil
	}
	if cfg.Journald {
		return followJournal(cfg.MTA, at, cfg.FromStart, journalPause), nil
	}
	t, err := Follow(cfg.LogPath, at, cfg.FromStart)
	if err != nil {
		return nil, fmt.Errorf("follow log-path: %w", err)
	}
	w, err := newWatcher(cfg.LogPath)
	if err != nil {
		cfg.Log.Warn("the log is looked at once a second only", "error", err)
	}
	return &followedFile{t, w}, nil
}

// sourceName is what the ready line and the health page call the log.
func (c *Config) sourceName() string {
	if c.Journald {
		return "journal"
	}
	return strings.TrimSpace(c.LogPath)
}

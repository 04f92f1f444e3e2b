package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
	"github.com/waypost-mail/waypost/test/maillog"
)

// rotating is a log that is rotated after so many bytes, and told to be read
// as it grows.
type rotating struct {
	t      *testing.T
	path   string
	size   int
	every  int
	turns  int
	rest   []byte // of a line that is not whole yet
	follow func()
}

func (w *rotating) Write(given []byte) (int, error) {
	b := append(w.rest, given...)
	whole := bytes.LastIndexByte(b, '\n') + 1
	b, w.rest = b[:whole], bytes.Clone(b[whole:])
	if w.size > w.every {
		w.size = 0
		w.turns++
		if err := os.Rename(w.path, fmt.Sprintf("%s.%d", w.path, 1)); err != nil {
			return 0, err
		}
	}
	appendLog(w.t, w.path, string(b))
	w.size += len(b)
	w.follow()
	return len(given), nil
}

// TestSoak replays a generated day with its rotations at speed: every event
// comes out, the table keeps to its bound, and from the first tenth on the heap
// does not grow. WAYPOST_SOAK_MESSAGES lengthens it.
func TestSoak(t *testing.T) {
	messages := 30_000
	if s := os.Getenv("WAYPOST_SOAK_MESSAGES"); s != "" {
		if _, err := fmt.Sscan(s, &messages); err != nil {
			t.Fatal(err)
		}
	}
	day := 24 * time.Hour
	dir := t.TempDir()
	w := &rotating{t: t, path: filepath.Join(dir, "mail.log"), every: messages * 900 / 12}
	appendLog(t, w.path, "")
	tail, err := Follow(w.path, nil, true)
	must(t, err)
	t.Cleanup(func() { tail.Close() })
	c := NewCorrelator(CorrelatorOptions{MaxEntries: 5_000})
	p := corpusParser(t)
	var f mtalog.Fact
	var enc encoder
	var encoded []byte
	var events, lines, most int64
	var heaps []uint64
	w.follow = func() {
		for {
			b, err := tail.Read()
			must(t, err)
			if len(b) == 0 {
				break
			}
			for len(b) > 0 {
				n := 0
				for b[n] != '\n' {
					n++
				}
				lines++
				if p.Parse(b[:n], &f) {
					c.Observe(&f, corpusNow)
				}
				b = b[n+1:]
			}
			for _, e := range c.Take() {
				events++
				encoded = enc.append(encoded[:0], &e)
			}
			most = max(most, int64(c.Entries()))
		}
		if w.turns >= len(heaps) { // once a rotation
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heaps = append(heaps, m.HeapAlloc)
		}
	}
	totals, err := maillog.Write(w, maillog.Options{Messages: messages, Seed: 3, Every: day / time.Duration(messages)})
	must(t, err)
	w.follow()
	c.Flush()
	events += int64(len(c.Take()))
	if events != totals.Events() || lines != totals.Lines {
		t.Errorf("%d events of %d lines, want %d of %d", events, lines, totals.Events(), totals.Lines)
	}
	if most > 5_000 || c.Counts().Evicted != 0 || c.Counts().OutcomesLost != 0 {
		t.Errorf("%d entries at most, %d evicted, %d outcomes lost", most, c.Counts().Evicted, c.Counts().OutcomesLost)
	}
	if len(heaps) < 8 {
		t.Fatalf("%d rotations, want a day of them", len(heaps))
	}
	t.Logf("%d lines, %d rotations, %d entries at most, heap by rotation %v", lines, w.turns, most, heaps)
	if early, late := heaps[2], heaps[len(heaps)-1]; late > 2*early+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
}

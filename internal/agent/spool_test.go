package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openSpool(t testing.TB, dir string, limit int64) *Spool {
	t.Helper()
	s, err := OpenSpool(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t testing.TB, s *Spool, texts ...string) {
	t.Helper()
	var p [][]byte
	for _, text := range texts {
		p = append(p, []byte(text))
	}
	if err := s.Append(p); err != nil {
		t.Fatal(err)
	}
}

// drain takes everything out, two records at a time.
func drain(t testing.TB, s *Spool) (all []string) {
	t.Helper()
	for {
		b, err := s.Next(2, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Payloads) == 0 {
			return all
		}
		for _, p := range b.Payloads {
			all = append(all, string(p))
		}
		if err := s.Ack(b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpoolSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, 1<<20)
	put(t, s, "a", "b", "c")
	put(t, s, "d")
	b, err := s.Next(2, 1<<20)
	if err != nil || s.Ack(b) != nil {
		t.Fatal(err)
	}
	again := openSpool(t, dir, 1<<20)
	if n := again.Stats().Records; n != 2 {
		t.Errorf("%d records wait, want 2", n)
	}
	put(t, again, "e")
	if diff := cmp.Diff([]string{"c", "d", "e"}, drain(t, again)); diff != "" {
		t.Error(diff)
	}
	if got := drain(t, openSpool(t, dir, 1<<20)); len(got) != 0 {
		t.Errorf("acknowledged records came again: %q", got)
	}
}

func TestSpoolBound(t *testing.T) {
	s := openSpool(t, t.TempDir(), 1<<20)
	record := string(make([]byte, 60<<10))
	n := 0
	for ; ; n++ {
		err := s.Append([][]byte{[]byte(record)})
		if errors.Is(err, ErrSpoolFull) {
			break
		}
		if err != nil || n > 100 {
			t.Fatal(n, err)
		}
	}
	if got := s.Stats(); got.Bytes > 1<<20 || got.Records != int64(n) {
		t.Errorf("stats %+v after %d records", got, n)
	}
	if got := drain(t, s); len(got) != n {
		t.Errorf("%d records came out, %d went in", len(got), n)
	}
	put(t, s, record)
}

// TestSpoolDamage cuts a segment at every length and flips every byte: what is
// intact must come out, in order, and nothing else.
func TestSpoolDamage(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, 1<<20)
	put(t, s, "first", "second", "third")
	name := s.path(s.segments[0].id)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	part := len(whole) / 3
	try := func(content []byte, want ...string) {
		t.Helper()
		d := t.TempDir()
		if err := os.WriteFile(filepath.Join(d, filepath.Base(name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, drain(t, openSpool(t, d, 1<<20))); diff != "" {
			t.Errorf("%q: %s", content, diff)
		}
	}
	texts := []string{"first", "second", "third"}
	ends := []int{recordHead + 5, 2*recordHead + 11, 3*recordHead + 16}
	for n := range len(whole) + 1 {
		var want []string
		for i, end := range ends {
			if n >= end {
				want = append(want, texts[i])
			}
		}
		try(whole[:n], want...)
	}
	for i := range whole {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 0x5a
		var want []string
		for k, end := range ends {
			start := end - recordHead - len(texts[k])
			if i < start || i >= end {
				want = append(want, texts[k])
			}
		}
		try(bad, want...)
	}
	if part == 0 {
		t.Fatal("nothing was written")
	}
}

// TestDamagedAck starts from the beginning: a repetition, not a loss.
func TestDamagedAck(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, 1<<20)
	put(t, s, "a", "b", "c", "d")
	b, err := s.Next(2, 1<<20)
	if err != nil || s.Ack(b) != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ackName), []byte("9999 12 00000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, drain(t, openSpool(t, dir, 1<<20))); diff != "" {
		t.Error(diff)
	}
}

// TestCheckpointDamage cuts and flips a checkpoint everywhere: the one before
// it must be used, and never a wrong one.
func TestCheckpointDamage(t *testing.T) {
	c := NewCorrelator(CorrelatorOptions{})
	correlate(t, c, []byte(story(1, "a@dest.example")))
	var saved [][]byte
	dir := t.TempDir()
	for _, offset := range []int64{5, 700} {
		if err := saveCheckpoint(dir, &Position{File: "mail.log", Offset: offset}, c); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, checkpointName))
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, b)
	}
	p, warning := loadCheckpoint(dir, NewCorrelator(CorrelatorOptions{}), time.Now())
	if p == nil || p.Offset != 700 || warning != nil {
		t.Fatalf("got %+v, %v", p, warning)
	}
	name := filepath.Join(dir, checkpointName)
	for n := range len(saved[1]) * 2 {
		bad := append([]byte(nil), saved[1]...)
		if n < len(bad) {
			bad = bad[:n]
		} else {
			bad[n-len(bad)] ^= 0x11
		}
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		p, warning := loadCheckpoint(dir, NewCorrelator(CorrelatorOptions{}), time.Now())
		if p == nil || p.Offset != 5 || warning == nil {
			t.Fatalf("damage %d: got %+v, %v", n, p, warning)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, checkpointPrev), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p, warning = loadCheckpoint(dir, c, time.Now()); p == nil || p.Offset != 0 || p.Modified.IsZero() || warning == nil {
		t.Fatalf("both damaged: %+v, %v", p, warning)
	}
}

// TestDamagedCheckpointMissesNothing damages both checkpoints of an agent: all
// of the log comes again, under the same event ids.
func TestDamagedCheckpointMissesNothing(t *testing.T) {
	s := newSink(t)
	cfg := testConfig(t, s)
	appendLog(t, cfg.LogPath, "")
	r := start(t, cfg)
	appendLog(t, cfg.LogPath, story(1, "a@dest.example"))
	s.await(t, "the first event", func() bool { return len(s.items) == 1 })
	r.kill(t)
	for _, name := range []string{checkpointName, checkpointPrev} {
		if err := os.WriteFile(filepath.Join(cfg.StateDir, name), []byte("WPAGENT1 no"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	appendLog(t, cfg.LogPath, story(2, "b@dest.example"))
	start(t, cfg)
	s.await(t, "the second event", func() bool { return len(s.byID) == 2 })
}

func FuzzSpoolRecords(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, []byte("one")), []byte("two")))
	f.Add([]byte(recordMark + recordMark))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for rest := b; ; {
			payload, n, _ := nextRecord(rest)
			if n == 0 {
				break
			}
			if n < recordHead+len(payload) || n > len(rest) {
				t.Fatalf("record of %d bytes in %d", n, len(rest))
			}
			total += n
			rest = rest[n:]
		}
		if total > len(b) {
			t.Fatalf("took %d of %d bytes", total, len(b))
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	c := NewCorrelator(CorrelatorOptions{})
	correlate(f, c, []byte(story(1, "a@dest.example")))
	dir := f.TempDir()
	if err := saveCheckpoint(dir, &Position{File: "mail.log"}, c); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(fmt.Sprintf("%s\x00\x00\x00\x00\x00\x00\x00\x00", checkpointMark)))
	f.Add(c.Snapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewCorrelator(CorrelatorOptions{})
		now := time.Unix(1_700_000_000, 0)
		if _, snapshot, err := decodeCheckpoint(b); err == nil {
			_ = c.Restore(snapshot, now) // may refuse; must not panic
		}
		if c.Restore(b, now) != nil {
			if c.Entries() != 0 || c.Held() != 0 {
				t.Fatal("a refused snapshot left something behind")
			}
			return
		}
		again := NewCorrelator(CorrelatorOptions{})
		if err := again.Restore(c.Snapshot(nil), now); err != nil || again.Entries() != c.Entries() || again.Held() != c.Held() {
			t.Fatalf("a snapshot does not come back: %v", err)
		}
	})
}

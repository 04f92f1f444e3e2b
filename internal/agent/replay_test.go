package agent

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// running is an agent under test.
type running struct {
	a    *agent
	stop context.CancelFunc
	done chan error
	dead bool

	health string // address of the health server
}

// start runs an agent; the first time it waits until the log is followed.
func start(t testing.TB, cfg Config) *running {
	t.Helper()
	ready, readyW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ready.Close() }()
	t.Cleanup(func() { _ = readyW.Close() })
	cfg.Ready = readyW
	_, err = os.Stat(filepath.Join(cfg.StateDir, checkpointName))
	r := launch(t, cfg)
	if err != nil {
		line, err := bufio.NewReader(ready).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "ready health=") {
			t.Fatalf("ready line %q, %v", line, err)
		}
		r.health = strings.TrimPrefix(strings.Fields(line)[1], "health=")
	}
	return r
}

func launch(t testing.TB, cfg Config) *running {
	t.Helper()
	a, err := newAgent(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{a: a, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- a.run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

// kill stops the agent as kill -9 would: nothing in memory is written down.
func (r *running) kill(t testing.TB) {
	t.Helper()
	r.a.killed.Store(true)
	r.end(t)
}

// end stops the agent as SIGTERM does.
func (r *running) end(t testing.TB) {
	t.Helper()
	if r.dead {
		return
	}
	r.dead = true
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("agent ended with %v", err)
	}
}

// caughtUp tells whether every whole line of the log was read.
func (r *running) caughtUp(t testing.TB) bool {
	t.Helper()
	b, err := os.ReadFile(r.a.cfg.LogPath)
	if err != nil {
		return false
	}
	h := r.a.health(time.Now())
	return h.File == r.a.cfg.LogPath && h.Position == int64(bytes.LastIndexByte(b, '\n')+1)
}

func testConfig(t testing.TB, s *sink) Config {
	t.Helper()
	dir := t.TempDir()
	return Config{
		APIKey: testKey, Endpoint: s.URL, LogPath: filepath.Join(dir, "mail.log"), StateDir: filepath.Join(dir, "state"),
		Health: "127.0.0.1:0", Hostname: "mta1", Flush: 10 * time.Millisecond, Heartbeat: time.Second, Version: "test",
		hold: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		parse: mtalog.Options{Location: time.UTC, Now: func() time.Time { return corpusNow }},
	}
}

// op is one step of a replay script.
type op struct {
	Op    string          `json:"op"`
	File  string          `json:"file"`
	Files []string        `json:"files"`
	From  json.RawMessage `json:"from"`
	To    json.RawMessage `json:"to"`
}

func decode[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replay is the state of one script.
type replay struct {
	dir       string
	source    []byte
	sink      *sink
	cfg       Config
	agent     *running
	rotations int // since the agent was known to have caught up
}

func (r *replay) path(name string) string { return filepath.Join(r.dir, name) }

func (r *replay) do(t *testing.T, o op) {
	t.Helper()
	switch o.Op {
	case "create":
		must(t, os.WriteFile(r.path(o.File), nil, 0o600))
	case "append":
		f, err := os.OpenFile(r.path(o.File), os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.Write(r.source[decode[int](t, o.From):decode[int](t, o.To)])
		must(t, err)
		must(t, f.Close())
	case "rename":
		must(t, os.Rename(r.path(decode[string](t, o.From)), r.path(decode[string](t, o.To))))
	case "shift":
		r.catchUp(t)
		r.rotations++
		for i := len(o.Files) - 1; i > 0; i-- {
			for _, zip := range []string{"", ".gz"} {
				if _, err := os.Stat(r.path(o.Files[i-1]) + zip); err == nil {
					must(t, os.Rename(r.path(o.Files[i-1])+zip, r.path(o.Files[i])+zip))
				}
			}
		}
	case "copy":
		b, err := os.ReadFile(r.path(decode[string](t, o.From)))
		must(t, err)
		must(t, os.WriteFile(r.path(decode[string](t, o.To)), b, 0o600))
	case "truncate":
		must(t, os.Truncate(r.path(o.File), 0))
	case "gzip":
		zipFile(t, r.path(o.File))
	case "kill_agent":
		r.catchUp(t)
		r.agent.kill(t)
		r.agent = nil
	case "start_agent":
		r.agent = start(t, r.cfg)
	case "api_down", "api_up":
		r.sink.set(func() { r.sink.down = o.Op == "api_down" })
	case "wait_drained":
		r.rotations = 2
		r.catchUp(t)
	default:
		t.Fatalf("unknown op %q", o.Op)
	}
}

// catchUp keeps a slow machine from rotating a log away before its place was
// written down, which no agent could mend: only four archives are kept.
func (r *replay) catchUp(t *testing.T) {
	t.Helper()
	if r.rotations < 2 || r.agent == nil {
		return
	}
	eventually(t, "the agent to catch up", func() bool { return r.agent.caughtUp(t) && r.noted() })
	r.rotations = 0
}

// noted tells whether the checkpoint is in the live file or in the newest
// archive.
func (r *replay) noted() bool {
	b, err := os.ReadFile(filepath.Join(r.cfg.StateDir, checkpointName))
	if err != nil {
		return false
	}
	p, _, err := decodeCheckpoint(b)
	if err != nil {
		return false
	}
	for _, name := range []string{"mail.log", "mail.log.1"} {
		if info, err := os.Stat(r.path(name)); err == nil {
			if _, inode := fileID(info); inode == p.Inode {
				return true
			}
		}
	}
	return false
}

func zipFile(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	info, err := os.Stat(name)
	must(t, err)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err = z.Write(b)
	must(t, err)
	must(t, z.Close())
	must(t, os.WriteFile(name+".gz", out.Bytes(), 0o600))
	must(t, os.Chtimes(name+".gz", info.ModTime(), info.ModTime()))
	must(t, os.Remove(name))
}

// TestReplay drives the agent through the two rotation scripts, with kills and
// the server away, and wants exactly the truth.
func TestReplay(t *testing.T) {
	dir := filepath.Join(corpusDir(t), "16-replay")
	rows := readTruth(t, filepath.Join(dir, "truth.jsonl"))
	for _, script := range []string{"ops-rename.jsonl", "ops-copytruncate.jsonl"} {
		for round := range 3 {
			t.Run(fmt.Sprintf("%s/%d", script, round), func(t *testing.T) {
				s := newSink(t)
				cfg := testConfig(t, s)
				r := &replay{dir: filepath.Dir(cfg.LogPath), source: slurp(t, filepath.Join(dir, "source.log")), sink: s, cfg: cfg}
				dec := json.NewDecoder(bytes.NewReader(slurp(t, filepath.Join(dir, script))))
				for {
					var o op
					err := dec.Decode(&o)
					if err == io.EOF {
						break
					}
					must(t, err)
					r.do(t, o)
				}
				eventually(t, "the agent to catch up", func() bool { return r.agent.caughtUp(t) })
				eventually(t, "the spool to empty", func() bool {
					h := r.agent.a.health(time.Now())
					return h.Held == 0 && h.Buffered == 0
				})
				r.agent.end(t)
				var items []waypost.ReportItem
				s.set(func() { items = s.items })
				checkTruth(t, r.source, rows, items)
			})
		}
	}
}

// TestBrokenArchive: a rotated log whose compressed bytes are damaged is
// counted, and reading goes on with the files behind it.
func TestBrokenArchive(t *testing.T) {
	s := newSink(t)
	cfg := testConfig(t, s)
	appendLog(t, cfg.LogPath, story(1, "first@dest.example"))
	cfg.FromStart = true
	r := start(t, cfg)
	s.await(t, "the first event", func() bool { return len(s.items) == 1 })
	eventually(t, "the place to be written down", func() bool { return r.caughtUp(t) })
	r.end(t)

	// While the agent is down the log goes on for long enough that gzip makes
	// several blocks of it, and is rotated twice; the first archive is damaged.
	for i := 2; i < 2000; i++ {
		appendLog(t, cfg.LogPath, story(i, fmt.Sprintf("lost%d@dest.example", i)))
	}
	must(t, os.Rename(cfg.LogPath, cfg.LogPath+".2"))
	zipFile(t, cfg.LogPath+".2")
	b, err := os.ReadFile(cfg.LogPath + ".2.gz")
	must(t, err)
	for i := len(b) / 2; i < len(b)/2+64; i++ {
		b[i] ^= 0x55
	}
	must(t, os.WriteFile(cfg.LogPath+".2.gz", b, 0o600))
	appendLog(t, cfg.LogPath, story(5001, "second@dest.example"))
	must(t, os.Rename(cfg.LogPath, cfg.LogPath+".1"))
	appendLog(t, cfg.LogPath, story(5002, "third@dest.example"))

	r = launch(t, cfg)
	s.await(t, "the events behind the damaged archive", func() bool {
		seen := map[string]bool{}
		for _, it := range s.items {
			seen[it.Recipient] = true
		}
		return seen["second@dest.example"] && seen["third@dest.example"]
	})
	eventually(t, "the damage to be counted", func() bool { return r.a.health(time.Now()).BrokenArchives == 1 })
}

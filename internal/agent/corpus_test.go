package agent

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// corpusDir finds the genuine logs: $WAYPOST_CORPUS, or shared/corpus beside
// the repository.
func corpusDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WAYPOST_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	dir = filepath.Join(dir, "agent-logs")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus of genuine logs (set WAYPOST_CORPUS): %v", err)
	}
	return dir
}

func slurp(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return b
	}
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(zr); err != nil {
		t.Fatal(err)
	}
	return b
}

// truthRow is one event that a genuine log must give, or must not give.
type truthRow struct {
	MessageID   string `json:"message_id"`
	Recipient   string `json:"recipient"`
	DeliveredTo string `json:"delivered_to"`
	EventType   string `json:"event_type"`
	Final       bool   `json:"final"`
	DSN         string `json:"dsn"`
	Code        int    `json:"smtp_code"`
	Description string `json:"description"`
	Timestamp   string `json:"timestamp"`
	QueueID     string `json:"queue_id"`
	Process     string `json:"process"`
	Kind        string `json:"kind"`
	Note        string `json:"note"`
	Expected    *bool  `json:"expected"`
}

func readTruth(t testing.TB, path string) (rows []truthRow) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(slurp(t, path)))
	for dec.More() {
		var r truthRow
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		rows = append(rows, r)
	}
	return rows
}

// corpusNow lies after the genuine logs, which gives their traditional stamps
// the year 2026.
var corpusNow = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

func corpusParser(t testing.TB) mtalog.Parser {
	t.Helper()
	p, err := mtalog.New("postfix", mtalog.Options{Location: time.UTC, Now: func() time.Time { return corpusNow }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// correlate runs a whole log through a correlator.
func correlate(t testing.TB, c *Correlator, log []byte) (items []waypost.ReportItem) {
	t.Helper()
	p := corpusParser(t)
	var f mtalog.Fact
	for line := range bytes.Lines(log) {
		if p.Parse(bytes.TrimSuffix(line, []byte("\n")), &f) {
			c.Observe(&f, corpusNow)
		}
		items = append(items, reported(c)...)
	}
	c.Flush()
	return append(items, reported(c)...)
}

// reported gives the events found lately, in memory of their own.
func reported(c *Correlator) (items []waypost.ReportItem) {
	for _, e := range c.Take() {
		items = append(items, e.Clone())
	}
	return items
}

// event is what identifies a final event in truth and report.
func event(messageID, recipient, word, queue string) string {
	return fmt.Sprintf("%s %s %s %s", messageID, recipient, word, queue)
}

// checkTruth wants exactly the final events of the rows. The always_bcc copy
// of a message is the one thing beyond them: it is told apart by its recipient,
// which is the server's business. Kind K3 and K4 need not be found.
func checkTruth(t *testing.T, log []byte, rows []truthRow, items []waypost.ReportItem) {
	t.Helper()
	want, may, deferred := map[string]*truthRow{}, map[string]bool{}, map[string]bool{}
	copies := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if strings.HasPrefix(r.Note, "always_bcc") {
			copies[r.Recipient] = true
		}
		addresses := []string{r.Recipient}
		if r.DeliveredTo != "" {
			addresses = append(addresses, r.DeliveredTo)
		}
		for _, a := range addresses {
			k := event(r.MessageID, a, r.EventType, r.QueueID)
			switch {
			case r.Expected != nil && !*r.Expected:
			case !r.Final:
				deferred[k] = true
			default:
				may[k] = true
			}
		}
		if r.Final && (r.Expected == nil || *r.Expected) && (r.Kind == "K1" || r.Kind == "K2") {
			want[event(r.MessageID, r.Recipient, r.EventType, r.QueueID)] = r
		}
	}
	got := map[string]bool{}
	for i := range items {
		it := &items[i]
		k := event(it.MessageID, it.Recipient, it.EventType, string(it.QueueID))
		switch {
		case it.EventType == waypost.ReportDeferred:
			if !deferred[k] && !copies[it.Recipient] {
				t.Errorf("deferral not in the truth: %s", k)
			}
		case copies[it.Recipient]:
		case !may[k]:
			t.Errorf("event not in the truth: %s (%s)", k, it.SMTPDescription)
		default:
			got[k] = true
			if r := want[k]; r != nil {
				checkDetail(t, r, it, rows)
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		r := want[k]
		rewritten := r.DeliveredTo != "" && got[event(r.MessageID, r.DeliveredTo, r.EventType, r.QueueID)]
		if got[k] || rewritten {
			continue
		}
		if !named(log, r.QueueID, r.MessageID) {
			t.Logf("the log lost every line that names the message of %s", k)
		} else {
			t.Errorf("event missing: %s (%s)", k, r.Note)
		}
	}
}

// named tells whether any line ties the queue id to the message: rsyslog lost
// lines in some of the genuine logs.
func named(log []byte, queue, messageID string) bool {
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(queue)) && bytes.Contains(line, []byte(messageID)) {
			return true
		}
	}
	return false
}

func checkDetail(t *testing.T, r *truthRow, it *waypost.ReportItem, rows []truthRow) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, r.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	// Two rows may share their key: an alias with several targets.
	for i := range rows {
		o := &rows[i]
		if o.MessageID == r.MessageID && o.EventType == r.EventType && o.Code == it.SMTPCode && o.DSN == it.EnhancedCode &&
			o.Description == it.SMTPDescription && it.Timestamp.Sub(at).Abs() < 2*time.Second {
			return
		}
	}
	t.Errorf("%s %s: got %d %s %q at %v, want %+v", r.MessageID, r.EventType, it.SMTPCode, it.EnhancedCode, it.SMTPDescription, it.Timestamp, r)
}

// corpusLogs calls f with every form of every genuine Postfix log, rotated
// parts joined from the oldest.
func corpusLogs(t *testing.T, f func(t *testing.T, log []byte, rows []truthRow)) {
	t.Helper()
	dir := corpusDir(t)
	truths, err := filepath.Glob(filepath.Join(dir, "[01]*", "truth.jsonl"))
	if err != nil || len(truths) == 0 {
		t.Fatalf("no truth files in %s: %v", dir, err)
	}
	forms := []string{"mail.traditional.log", "mail.rfc3339.log", "mail.rfc5424.log", "journal.short-iso-precise.log", "source.log", "postlogd.log"}
	for _, path := range truths {
		rows := readTruth(t, path)
		for _, form := range forms {
			files, err := filepath.Glob(filepath.Join(filepath.Dir(path), form+"*"))
			if err != nil {
				t.Fatal(err)
			}
			sort.Slice(files, func(i, j int) bool { return fileRank(files[i]) > fileRank(files[j]) })
			var log []byte
			for _, file := range files {
				log = append(log, slurp(t, file)...)
			}
			if len(log) > 1000 {
				t.Run(filepath.Base(filepath.Dir(path))+"/"+form, func(t *testing.T) { f(t, log, rows) })
			}
		}
	}
}

// fileRank gives N of "name.N.gz", 0 of the live file.
func fileRank(path string) (n int) {
	base := strings.TrimSuffix(path, ".gz")
	_, _ = fmt.Sscanf(base[strings.LastIndexByte(base, '.')+1:], "%d", &n)
	return n
}

func TestCorpus(t *testing.T) {
	corpusLogs(t, func(t *testing.T, log []byte, rows []truthRow) {
		// The truth counts what the discard transport swallowed as delivered.
		c := NewCorrelator(CorrelatorOptions{})
		checkTruth(t, log, rows, correlate(t, c, log))
		if n := c.Counts().Conflicts; n != 0 {
			t.Errorf("%d queue ids were named differently by two methods", n)
		}
		if t.Failed() {
			t.Logf("counts: %+v", c.Counts())
		}
	})
}

func TestCorpusDiscard(t *testing.T) {
	corpusLogs(t, func(t *testing.T, log []byte, rows []truthRow) {
		rows = slices.DeleteFunc(rows, func(r truthRow) bool { return strings.HasSuffix(r.Process, "/discard") })
		checkTruth(t, log, rows, correlate(t, NewCorrelator(CorrelatorOptions{IgnoreDiscarded: true}), log))
	})
}

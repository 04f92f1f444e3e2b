package mtalog_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// corpusDir finds the genuine logs: $WAYPOST_CORPUS, or shared/corpus beside the repository.
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

// slurp reads a file, gunzipped when its name says so.
func slurp(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		zr, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(zr); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// truth is one expected event of a scenario.
type truth struct {
	MessageID   string `json:"message_id"`
	Recipient   string `json:"recipient"`
	DeliveredTo string `json:"delivered_to"`
	EventType   string `json:"event_type"`
	Final       bool   `json:"final"`
	DSN         string `json:"dsn"`
	Code        int    `json:"smtp_code"`
	Description string `json:"description"`
	Timestamp   string `json:"timestamp"`
	Queue       string `json:"queue_id"`
	Kind        string `json:"kind"`
}

// address gives the recipient as the log has it.
func (tr truth) address() string {
	if tr.DeliveredTo != "" {
		return tr.DeliveredTo
	}
	return tr.Recipient
}

func readTruth(t testing.TB, path string) (rows []truth) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(slurp(t, path)))
	for {
		var tr truth
		err := dec.Decode(&tr)
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		rows = append(rows, tr)
	}
}

// corpusNow is after the genuine logs were written, so that their traditional stamps get 2026.
var corpusNow = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

func newParser(t testing.TB, mta string) mtalog.Parser {
	t.Helper()
	p, err := mtalog.New(mta, mtalog.Options{
		Location: time.UTC,
		Now:      func() time.Time { return corpusNow },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// facts parses whole log files one after another.
func facts(t testing.TB, mta string, logs ...[]byte) (all []mtalog.Fact) {
	t.Helper()
	p := newParser(t, mta)
	for _, log := range logs {
		sc := bufio.NewScanner(bytes.NewReader(log))
		sc.Buffer(nil, mtalog.MaxLine)
		for sc.Scan() {
			var f mtalog.Fact
			if p.Parse(sc.Bytes(), &f) {
				all = append(all, f.Clone())
			}
		}
		if err := sc.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// journalFacts parses a journal export in JSON through ParseMessage.
func journalFacts(t testing.TB, journal []byte) (all []mtalog.Fact) {
	t.Helper()
	p := newParser(t, "postfix")
	dec := json.NewDecoder(bytes.NewReader(journal))
	for {
		var entry struct {
			Message    json.RawMessage `json:"MESSAGE"`
			Identifier string          `json:"SYSLOG_IDENTIFIER"`
			Micros     int64           `json:"__REALTIME_TIMESTAMP,string"`
		}
		err := dec.Decode(&entry)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if json.Unmarshal(entry.Message, &text) != nil {
			continue // null or an array of bytes: the journal reader's business
		}
		var f mtalog.Fact
		if p.ParseMessage(entry.Identifier, time.UnixMicro(entry.Micros), []byte(text), &f) {
			all = append(all, f.Clone())
		}
	}
}

// checkTruth looks every row up among the facts: an outcome with the same queue ID, recipient,
// DSN code, reply code and text, near the same time.
func checkTruth(t *testing.T, rows []truth, all []mtalog.Fact) {
	t.Helper()
	seen := 0
	for _, tr := range rows {
		if tr.EventType == "" {
			continue
		}
		found := false
		for i := range all {
			f := &all[i]
			if string(f.Queue) == tr.Queue && (f.Recipient == tr.address() || f.OrigTo == tr.Recipient) && matches(t, tr, f, all) {
				found = true
				break
			}
		}
		if !found {
			t.Errorf("no fact for %+v", tr)
			continue
		}
		seen++
	}
	if seen == 0 {
		t.Error("no row of truth was checked")
	}
}

// wantStatus maps the truth's words; a soft bounce repeats the last deferral.
var wantStatus = map[string]mtalog.Status{
	"delivered": mtalog.Sent, "bounced": mtalog.Bounced,
	"deferred": mtalog.Deferred, "soft_bounced": mtalog.Deferred,
}

func matches(t *testing.T, tr truth, f *mtalog.Fact, all []mtalog.Fact) bool {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, tr.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != mtalog.Outcome || f.Status != wantStatus[tr.EventType] || f.Enhanced != tr.DSN ||
		f.Code != tr.Code || f.Description != tr.Description {
		return false
	}
	if tr.EventType != "soft_bounced" {
		return f.Time.Sub(at).Abs() < 2*time.Second
	}
	for i := range all {
		if e := &all[i]; e.Kind == mtalog.Expired && e.Queue == f.Queue && e.Time.Sub(at).Abs() < 2*time.Second {
			return true
		}
	}
	return false
}

// TestCorpusPostfix checks every form of every genuine Postfix log against its truth.
func TestCorpusPostfix(t *testing.T) {
	dir := corpusDir(t)
	truths, err := filepath.Glob(filepath.Join(dir, "[01]*", "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range truths {
		scenario := filepath.Dir(path)
		rows := readTruth(t, path)
		forms := []string{"mail.traditional.log", "mail.rfc3339.log", "mail.rfc5424.log", "journal.json", "journal.short-iso-precise.log", "postlogd.log", "source.log"}
		for _, form := range forms {
			files, err := filepath.Glob(filepath.Join(scenario, form+"*"))
			if err != nil {
				t.Fatal(err)
			}
			var logs [][]byte
			size := 0
			for _, file := range files {
				logs = append(logs, slurp(t, file))
				size += len(logs[len(logs)-1])
			}
			if size < 1000 {
				continue // 11-postlogd: syslog saw one line only
			}
			t.Run(filepath.Base(scenario)+"/"+form, func(t *testing.T) {
				if form == "journal.json" {
					checkTruth(t, rows, journalFacts(t, logs[0]))
					return
				}
				checkTruth(t, rows, facts(t, "postfix", logs...))
			})
		}
	}
}

// TestCorpusOutcomes checks that every line with a recipient and a status gives an outcome, in
// the logs without truth too.
func TestCorpusOutcomes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpusDir(t), "[01]*", "*log*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		log := slurp(t, file)
		want := 0
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, []byte(": to=<")) && bytes.Contains(line, []byte(", status=")) {
				want++
			}
		}
		got := 0
		for _, f := range facts(t, "postfix", log) {
			if f.Kind == mtalog.Outcome {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d outcomes, want %d", file, got, want)
		}
	}
}

// TestCorpusOpenSMTPD checks the genuine OpenSMTPD logs.
func TestCorpusOpenSMTPD(t *testing.T) {
	dir := filepath.Join(corpusDir(t), "21-opensmtpd")
	rows := readTruth(t, filepath.Join(dir, "truth.jsonl"))
	for _, form := range []string{"mail.traditional.log", "mail.rfc3339.log"} {
		t.Run(form, func(t *testing.T) {
			all := facts(t, "opensmtpd", slurp(t, filepath.Join(dir, form)))
			checkTruth(t, rows, all)
			for _, f := range all {
				if f.Kind == mtalog.Outcome && f.Sender == "" && !strings.HasPrefix(f.Recipient, "bounces+") {
					t.Errorf("no sender: %+v", f)
				}
			}
		})
	}
}

// TestCorpusExim checks the genuine Exim log. Its truth gives codes for one-line replies only, so
// a code it does not give is not compared.
func TestCorpusExim(t *testing.T) {
	dir := filepath.Join(corpusDir(t), "20-exim-default")
	all := facts(t, "exim", slurp(t, filepath.Join(dir, "mainlog")))
	for _, tr := range readTruth(t, filepath.Join(dir, "truth.jsonl")) {
		found := false
		for _, f := range all {
			kind, status := mtalog.Outcome, wantStatus[tr.EventType]
			if tr.EventType == "soft_bounced" {
				kind, status = mtalog.Expired, mtalog.NoStatus
			}
			if string(f.Queue) == tr.Queue && f.Recipient == tr.address() && f.Kind == kind && f.Status == status &&
				(tr.Code == 0 || f.Code == tr.Code) && (tr.DSN == "" || f.Enhanced == tr.DSN) {
				found = true
			}
		}
		if !found {
			t.Errorf("no fact for %+v", tr)
		}
	}
}

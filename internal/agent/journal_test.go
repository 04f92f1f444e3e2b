package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// fakeJournalctl puts a program on PATH that gives the entries of a file behind
// the cursor it is told, at most some of them, and then ends, as it does when
// journald is restarted, or waits when there are none.
func fakeJournalctl(t *testing.T, journal []byte, most string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "journal"), journal, 0o600))
	script := `#!/bin/sh
after=
for arg; do case $arg in --after-cursor=*) after=${arg#--after-cursor=} ;; esac; done
case "$*" in *"--all --output=json --follow "*" SYSLOG_FACILITY=2") ;; *) echo "bad arguments $*" >&2; exit 2 ;; esac
if [ -n "$after" ]; then awk -v c="\"__CURSOR\":\"$after\"" 'on {print} index($0, c) {on=1}' DIR/journal; else cat DIR/journal; fi | head -n MOST >DIR/out
if [ ! -s DIR/out ]; then exec sleep 600; fi
cat DIR/out
echo "journald went away" >&2
exit 1
`
	script = strings.NewReplacer("DIR", dir, "MOST", most).Replace(script)
	must(t, os.WriteFile(filepath.Join(dir, "journalctl"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestCorpusJournal follows genuine journals whose journalctl keeps ending, and
// goes on from the place and snapshot after each piece.
func TestCorpusJournal(t *testing.T) {
	for _, folder := range []string{"01-basic-long", "04-content-filter-amavis"} {
		t.Run(folder, func(t *testing.T) {
			dir := filepath.Join(corpusDir(t), folder)
			journal := slurp(t, filepath.Join(dir, "journal.json.gz"))
			fakeJournalctl(t, journal, "150")
			entries := strings.Count(string(journal), "\n")
			c := NewCorrelator(CorrelatorOptions{})
			p := corpusParser(t)
			var items []waypost.ReportItem
			var log []byte
			var at *Position
			var f mtalog.Fact
			deadline := time.Now().Add(2 * time.Minute)
			for strings.Count(string(log), "\n") < entries {
				j := followJournal("postfix", at, true, time.Millisecond)
				var lines []byte
				for len(lines) == 0 {
					if time.Now().After(deadline) {
						t.Fatalf("%d of %d entries after two minutes: %v", strings.Count(string(log), "\n"), entries, j.trouble())
					}
					j.Wait(t.Context(), time.Second)
					lines, _ = j.Read() // it ends all the time
				}
				log = append(log, lines...)
				for line := range strings.Lines(string(lines)) {
					if p.Parse([]byte(strings.TrimSuffix(line, "\n")), &f) {
						c.Observe(&f, corpusNow)
					}
					items = append(items, reported(c)...)
				}
				place := j.Position()
				at = &place
				j.Close()
				next := NewCorrelator(CorrelatorOptions{})
				must(t, next.Restore(c.Snapshot(nil), corpusNow))
				c = next
			}
			c.Flush()
			checkTruth(t, log, readTruth(t, filepath.Join(dir, "truth.jsonl")), append(items, reported(c)...))
		})
	}
}

func TestAppendEntry(t *testing.T) {
	f := func(entry string, exim bool, want, cursor string, ok bool) {
		t.Helper()
		b, at, good := appendEntry(nil, []byte(entry), exim)
		if string(b) != want || at != cursor || good != ok {
			t.Errorf("%s\ngot  %q %q %v\nwant %q %q %v", entry, b, at, good, want, cursor, ok)
		}
	}
	const head = `{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1795493132808908","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":`
	const start = "2026-11-24T04:05:32.808908Z mx postfix/smtp: "
	f(head+`"3A1F07C20D5: removed"}`, false, start+"3A1F07C20D5: removed\n", "c1", true)
	f(head+`[97,255,10,98]}`, false, start+"a\xff b\n", "c1", true)
	f(head+`["one\ntwo","three"]}`, false, start+"one two\n", "c1", true)
	f(head+`null}`, false, "", "c1", false)
	f(`{"__CURSOR":"c1","MESSAGE":"no time"}`, false, "", "c1", false)
	f(`-- No entries --`, false, "", "", false)
	f(head+`"1xVjOk-00000i-2P Completed"}`, true, "2026-11-24 04:05:32.808908 +0000 1xVjOk-00000i-2P Completed\n", "c1", true)
	f(head+`"2026-11-24 04:05:32 1xVjOk-00000i-2P Completed"}`, true, "2026-11-24 04:05:32 1xVjOk-00000i-2P Completed\n", "c1", true)
}

// FuzzAppendEntry wants one whole line of any entry, or none.
func FuzzAppendEntry(f *testing.F) {
	f.Add([]byte(`{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":[1,2,300]}`), false)
	f.Add([]byte(`{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"2026-11-24 x"}`), true)
	f.Add([]byte(`{"MESSAGE":[[[]]]}`), true)
	f.Fuzz(func(t *testing.T, entry []byte, exim bool) {
		b, _, ok := appendEntry(nil, entry, exim)
		if ok != (strings.Count(string(b), "\n") == 1 && strings.HasSuffix(string(b), "\n")) {
			t.Errorf("%q", b)
		}
	})
}

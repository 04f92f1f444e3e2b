package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// childEnv makes the test binary a process that works on the database it
// names until it is killed.
const childEnv = "WAYPOST_SQLITE_CRASH_CHILD"

// acceptForever accepts messages, and claims and settles every other one,
// printing each id after the store has answered.
func acceptForever(path string) {
	ctx := context.Background()
	d, err := Open(ctx, path, Options{Recovery: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var out sync.Mutex
	say := func(what string, id waypost.UUID) {
		out.Lock()
		defer out.Unlock()
		fmt.Fprintln(os.Stdout, what, id)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.NewChaCha8([32]byte{byte(i)})
			for {
				a := benchCall(r, 2)
				if d.Accept(ctx, a) != nil {
					os.Exit(3)
				}
				say("accepted", a.Messages[0].ID)
				say("accepted", a.Messages[1].ID)
				now := time.Now()
				got, err := d.Claim(ctx, store.Claim{Lane: benchLane, Now: now, Max: 1, LeaseUntil: now.Add(time.Hour), PerHour: 1e9})
				if err != nil {
					os.Exit(4)
				}
				for _, c := range got.Entries {
					e := benchEvent(waypost.CSSent, &c.Message)
					if d.Settle(ctx, &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{e}}) != nil {
						os.Exit(5)
					}
					say("sent", c.Message.ID)
				}
			}
		})
	}
	wg.Wait()
}

// TestKill kills a process that works on the database, again and again: what
// was acknowledged is there, and what is there is whole.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	accepted, sent := map[waypost.UUID]bool{}, map[waypost.UUID]bool{}
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		killAfter(t, path, 20+rand.IntN(600), accepted, sent)
		checkSurvivors(t, path, accepted, sent)
	}
}

// killAfter runs a child until it has acknowledged so many lines, kills it,
// and notes every acknowledgement that it had printed.
func killAfter(t *testing.T, path string, lines int, accepted, sent map[waypost.UUID]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for scan := bufio.NewScanner(out); scan.Scan(); {
		what, text, _ := strings.Cut(scan.Text(), " ")
		id, err := waypost.ParseUUID(text)
		if err != nil {
			continue // the line that the kill cut
		}
		map[string]map[waypost.UUID]bool{"accepted": accepted, "sent": sent}[what][id] = true
		if n++; n == lines {
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); n < lines {
		t.Fatalf("the child ended by itself after %d lines: %v", n, err)
	}
}

func checkSurvivors(t *testing.T, path string, accepted, sent map[waypost.UUID]bool) {
	t.Helper()
	d, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var verdict string
	if err := d.read.db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity: %s, %v", verdict, err)
	}
	for id := range accepted {
		tr, err := d.Trail(t.Context(), 1, id)
		if err != nil {
			t.Fatalf("an accepted message is lost: %v", err)
		}
		relayed := len(tr.Events) == 2 && tr.Events[1].Type == waypost.CSSent
		if (tr.Waiting == nil) != relayed || sent[id] && !relayed {
			t.Fatalf("message %s (sent %v) is half there: %+v", id, sent[id], tr)
		}
	}
	// Nothing is there in part, acknowledged or not.
	for what, query := range map[string]string{
		"messages without content":   "SELECT count(*) FROM message WHERE content NOT IN (SELECT id FROM content)",
		"messages without events":    "SELECT count(*) FROM message WHERE id NOT IN (SELECT message FROM event WHERE type = 58)",
		"neither queued nor sent":    "SELECT count(*) FROM message WHERE id NOT IN (SELECT message FROM queue UNION SELECT message FROM event WHERE type = 59)",
		"events without counter":     "SELECT (SELECT count(*) FROM event) - (SELECT sum(n) FROM stat_day)",
		"counters not broken down":   "SELECT (SELECT sum(n) FROM stat_day) - (SELECT sum(n) FROM stat_by WHERE kind = 1)",
		"sent twice":                 "SELECT count(*) - count(DISTINCT message) FROM event WHERE type = 59",
		"queue rows of no message":   "SELECT count(*) FROM queue WHERE message NOT IN (SELECT id FROM message)",
		"sent without a token taken": "SELECT max(0, (SELECT count(*) FROM event WHERE type = 59) - (SELECT sum(n) FROM limit_bucket))",
	} {
		var n int
		if err := d.read.db.QueryRow(query).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
}

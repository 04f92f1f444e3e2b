package torture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // to look into the database from outside
)

// TestServer kills the server, and the agent, at random moments while it
// accepts and relays on SQLite.
func TestServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", 1, 0, "")
	stop := w.send(t)
	var rounds []*program
	for range *serverKills {
		rounds = append(rounds, w.nodes[0])
	}
	for range *agentKills {
		rounds = append(rounds, w.agent)
	}
	rand.Shuffle(len(rounds), func(i, j int) { rounds[i], rounds[j] = rounds[j], rounds[i] })
	for i, p := range rounds {
		w.busy(t, i)
		p.kill()
		p.start(t)
	}
	w.busy(t, 0)
	stop()
	r := &report{name: fmt.Sprintf("kill -9 on SQLite: the server %d times, the agent %d times", *serverKills, *agentKills)}
	w.audit(t, r, *serverKills)
	r.add("server", "%s", w.nodes[0].startTimes())
	r.add("agent", "%s", w.agent.startTimes())
	w.nodes[0].stop(t)
	w.whole(t, r)
	r.print(t)
}

// query reads one number from the database, beside the server.
func (w *world) query(ctx context.Context, text string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if w.database != "" {
		conn, err := pgx.Connect(ctx, w.database)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, conn.Close(ctx)) }()
		return n, conn.QueryRow(ctx, text).Scan(&n)
	}
	db, err := openSQLite(w.data)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return n, db.QueryRowContext(ctx, text).Scan(&n)
}

func openSQLite(data string) (*sql.DB, error) {
	name := url.URL{Scheme: "file", Path: filepath.Join(data, "waypost.db"), RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}
	return sql.Open("sqlite", name.String())
}

// whole has SQLite look for damage in its file, which nobody has open.
func (w *world) whole(t *testing.T, r *report) {
	t.Helper()
	began := time.Now()
	db, err := openSQLite(w.data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity of the database: %s, %v", verdict, err)
	}
	r.add("integrity of the database", "%s (looked at for %v)", verdict, time.Since(began).Round(time.Millisecond))
}

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/simulator"
)

// The rounds of each drill; make torture gives larger ones.
var (
	serverKills = flag.Int("server", 2, "kills of the server on SQLite")
	agentKills  = flag.Int("agent", 2, "kills of the agent")
	nodeKills   = flag.Int("nodes", 1, "kills of one of three nodes on PostgreSQL")
	restarts    = flag.Int("restarts", 1, "restarts of PostgreSQL")
	hostiles    = flag.Int("hostile", 300, "hostile sessions of SMTP, and as many hostile clients of HTTP")
	diskRounds  = flag.Int("disk", 1, "of a full disk, of failing fsync, and of a disk that cannot be written, each")
)

const (
	sender     = "torture.example"
	bounceHost = "bounce.torture.example"
)

// world is an installation with everything around it.
type world struct {
	dir      string
	database string     // URL of PostgreSQL; "" for SQLite
	data     string     // directory of the first node
	nodes    []*program // waypost serve
	addrs    []string   // of their HTTP
	keys     struct {
		Account    string `json:"accountApiKey"`
		SubAccount string `json:"subAccountApiKey"`
	}
	dns       *simulator.DNS
	relay     *relay // without a limit that is felt
	limited   *relay // nil, or with one
	agent     *program
	agentPage string

	client http.Client
	load   load
	told   int // reports of a bounce that the agent tells of, too
}

// relay is a mail server of the customer's, and the provider that stands for
// it.
type relay struct {
	port    int
	log     string // mail log
	offered atomic.Int64
	pool    string
	key     string // for its agent
	limit   int    // messages an hour
}

// newWorld starts n nodes and all the rest; limit, when not 0, is the hourly
// limit of a second provider. data, when not "", is the data directory; settings
// are further arguments of waypost serve.
func newWorld(t *testing.T, database string, n, limit int, data string, settings ...string) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), database: database, client: http.Client{Timeout: 10 * time.Minute}}
	w.load.accepted, w.load.seen, w.load.waiting, w.load.refused = map[string]string{}, map[string]bool{}, map[string]bool{}, map[int]int{}
	t.Cleanup(w.client.CloseIdleConnections)
	if w.data = data; data == "" {
		w.data = filepath.Join(w.dir, "data")
	}
	var err error
	if w.dns, err = simulator.ListenDNS(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	background(t, w.dns.Run)
	w.relay = newRelay(t, filepath.Join(w.dir, "mail.log"), "main", 100_000_000, w.load.offer)
	w.install(t, w.data)
	for i := range n {
		w.addNode(t, i, w.data, settings...)
	}
	w.addProvider(t, w.relay)
	if limit > 0 {
		w.limited = newRelay(t, filepath.Join(w.dir, "limited.log"), "limited", limit, func(string) {})
		w.addProvider(t, w.limited)
	}
	w.addDomain(t)
	w.agentPage = port(t)
	w.agent = newProgram(t, w.dir, "waypost-agent", "ready health=", "waypost-agent", "run", "--api-key", w.relay.key,
		"--endpoint", "http://"+w.balance(t), "--log-path", w.relay.log, "--state-dir", filepath.Join(w.dir, "agent"),
		"--health-addr", w.agentPage, "--flush-interval", "50ms", "--from-start")
	w.agent.start(t)
	return w
}

// background runs something until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// balance gives the address of what stands before the nodes, for the agent: a
// connection goes to whichever node takes it.
func (w *world) balance(t *testing.T) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { _ = l.Close() })
		var open sync.WaitGroup
		defer open.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return nil // closed above
			}
			open.Go(func() { w.forward(ctx, c) })
		}
	})
	return l.Addr().String()
}

func (w *world) forward(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	var d net.Dialer
	for _, i := range rand.Perm(len(w.addrs)) {
		node, err := d.DialContext(ctx, "tcp", w.addrs[i])
		if err != nil {
			continue
		}
		defer func() { _ = node.Close() }()
		defer context.AfterFunc(ctx, func() { _, _ = c.Close(), node.Close() })()
		there := make(chan struct{})
		go func() {
			defer close(there)
			_, _ = io.Copy(node, c)
			_ = node.Close()
		}()
		_, _ = io.Copy(c, node)
		_ = c.Close()
		<-there
		return
	}
}

func newRelay(t *testing.T, path, name string, limit int, offer func(sender string)) *relay {
	t.Helper()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{port: l.Addr().(*net.TCPAddr).Port, log: path, pool: name, limit: limit}
	mta := simulator.NewMTA(simulator.MTAConfig{
		MailLog: out, Latency: 30 * time.Millisecond, Pause: 200 * time.Millisecond,
		Seen: func(sender string) { r.offered.Add(1); offer(sender) },
	})
	background(t, func(ctx context.Context) error { return mta.Run(ctx, l) })
	return r
}

func (w *world) install(t *testing.T, data string) {
	t.Helper()
	args := []string{"init", "--json", "--data", data}
	if w.database != "" {
		args = append(args, "--database", w.database)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(binaries, "waypost"), args...).Output() //nolint:gosec // ours
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("waypost init: %v\n%s", err, exit.Stderr)
	}
	if err := json.Unmarshal(out, &w.keys); err != nil {
		t.Fatal(err)
	}
}

// addNode starts a node; each has a directory of its own and the key file of
// the first.
func (w *world) addNode(t *testing.T, i int, data string, settings ...string) {
	t.Helper()
	if i > 0 {
		key, err := os.ReadFile(filepath.Join(data, "secret.key"))
		if err != nil {
			t.Fatal(err)
		}
		data = fmt.Sprintf("%s%d", data, i)
		if err := errors.Join(os.Mkdir(data, 0o700), os.WriteFile(filepath.Join(data, "secret.key"), key, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	addr := port(t)
	args := []string{
		"waypost", "serve", "--data", data, "--http", addr, "--public-url", "http://track." + sender, "--bounce-host", bounceHost,
		"--dns-resolver", w.dns.Addr(), "--allow-private-networks", "--retry-schedule", "1s,1s,2s,2s,2s", "--lease", "10s",
	}
	if w.database != "" {
		args = append(args, "--database", w.database)
	}
	args = append(args, settings...)
	p := newProgram(t, w.dir, fmt.Sprintf("waypost%d", i), "ready http=", args...)
	p.start(t)
	w.nodes, w.addrs = append(w.nodes, p), append(w.addrs, addr)
}

func (w *world) addProvider(t *testing.T, r *relay) {
	t.Helper()
	var made struct {
		Pool string `json:"ippool"`
		Key  string `json:"eventIngestionApiKey"`
	}
	w.must(t, http.MethodPost, "/account/tpsp/", map[string]any{
		"name": r.pool, "type": 3, "smtpHost": "127.0.0.1", "smtpPort": r.port, "smtpSecurity": "none", "smtpAuth": "none",
		"maxRatePerHour": r.limit, "burst": true,
	}, &made)
	r.pool, r.key = made.Pool, made.Key
}

func (w *world) addDomain(t *testing.T) {
	t.Helper()
	type wanted struct{ Host, Type, TextValue string }
	var d struct {
		ID                               int64
		DKIM, ReturnPath                 wanted
		DKIMVerified, ReturnPathVerified bool
	}
	w.must(t, http.MethodPost, "/subaccount/domain", map[string]any{"name": sender}, &d)
	records := []simulator.Record{{Host: bounceHost, Type: "A", Value: "127.0.0.1"}, {Host: bounceHost, Type: "MX", Value: "10 " + bounceHost}}
	for _, r := range []wanted{d.DKIM, d.ReturnPath} {
		records = append(records, simulator.Record{Host: r.Host, Type: r.Type, Value: r.TextValue})
	}
	if err := w.dns.Set(records); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sender domain to verify", func() bool {
		w.must(t, http.MethodPost, "/subaccount/domain/"+strconv.FormatInt(d.ID, 10)+"/verify", nil, &d)
		return d.DKIMVerified && d.ReturnPathVerified
	})
}

// ask makes a call of a node.
func (w *world) ask(ctx context.Context, node int, method, path string, body any) (*http.Response, []byte, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, nil, err
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+w.addrs[node]+"/api/v1"+path, in)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Account-ApiKey", w.keys.Account)
	r.Header.Set("X-SubAccount-ApiKey", w.keys.SubAccount)
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

// must makes a call of the first node that must succeed.
func (w *world) must(t *testing.T, method, path string, body, out any) []byte {
	t.Helper()
	resp, b, err := w.ask(t.Context(), 0, method, path, body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %v, %s", method, path, err, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
	return b
}

// agentIdle tells whether the agent has reported all of its log.
func (w *world) agentIdle(t *testing.T) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.agentPage+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var h struct {
		Position, LagBytes, Buffered int64
		Held                         int
	}
	info, err := os.Stat(w.relay.log)
	return err == nil && json.NewDecoder(resp.Body).Decode(&h) == nil &&
		h.Position == info.Size() && h.LagBytes == 0 && h.Buffered == 0 && h.Held == 0
}

// medianOf is for the table.
func medianOf(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2].Round(time.Millisecond)
}

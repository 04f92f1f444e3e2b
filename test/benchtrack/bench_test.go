//go:build linux

package benchtrack

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	warmUp  = 2000  // requests before anything is measured
	clients = 32    // connections
	rate    = 15000 // requests a second of the open loop
)

// child is a server process on one core.
type child struct {
	addr  string
	paths []string
	stop  func()
}

func startChild(b *testing.B, kind string) *child {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := onOneCore(cmd.Start); err != nil {
		b.Fatal(err)
	}
	c := &child{stop: func() { _ = in.Close(); _ = cmd.Wait() }}
	r := bufio.NewReader(out)
	var n int
	if _, err := fmt.Fscanln(r, &c.addr, &n); err != nil {
		c.stop()
		b.Fatal(err)
	}
	for range n {
		line, err := r.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		c.paths = append(c.paths, strings.TrimSpace(line))
	}
	return c
}

func (c *child) state(b *testing.B) (s state) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+c.addr+"/state", nil)
	if err != nil {
		b.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		b.Fatal(err)
	}
	return s
}

// coreEnv says which processor is left to the servers.
const coreEnv = "WAYPOST_BENCHTRACK_CORE"

// apart leaves the first processor to the servers, on a machine that has more:
// it starts this program anew on the others.
func apart() error {
	var cores unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cores); err != nil {
		return err
	}
	if os.Getenv(coreEnv) != "" || cores.Count() < 2 {
		return nil
	}
	first := 0
	for !cores.IsSet(first) {
		first++
	}
	cores.Clear(first)
	runtime.LockOSThread() // what the program is replaced in inherits
	if err := unix.SchedSetaffinity(0, &cores); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, append(os.Environ(), coreEnv+"="+strconv.Itoa(first)))
}

// onOneCore starts a process on the processor that is left to servers.
func onOneCore(start func() error) error {
	core, err := strconv.Atoi(os.Getenv(coreEnv))
	if err != nil { // the machine has no other
		return start()
	}
	var rest, one unix.CPUSet
	one.Set(core)
	runtime.LockOSThread() // a process inherits from the thread that starts it
	defer runtime.UnlockOSThread()
	if err := unix.SchedGetaffinity(0, &rest); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &rest))
}

// load sends n requests over kept connections and gives the times that the
// answers took. With a rate it sends that many a second whether or not answers
// have come, and an answer's time begins when its request was due; without, each
// connection sends its next request when it has its answer.
func (c *child) load(b *testing.B, paths []string, n int, perSecond float64) []time.Duration {
	b.Helper()
	took := make([]time.Duration, n)
	var next atomic.Int64
	var work sync.WaitGroup
	connections := clients
	if perSecond > 0 {
		connections = 8 * clients // as many as a stall of the server may need
	}
	began := time.Now()
	for range connections {
		work.Go(func() {
			var d net.Dialer
			conn, err := d.DialContext(b.Context(), "tcp", c.addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			r := bufio.NewReader(conn)
			var out bytes.Buffer
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				start := time.Now()
				if perSecond > 0 {
					due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
					if wait := due.Sub(start); wait > 0 {
						time.Sleep(wait)
						due = time.Now() // a sleep that ends late is this side's
					}
					start = due
				}
				if err := ask(conn, r, &out, paths[i%len(paths)]); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	work.Wait()
	return took
}

// ask sends one request and reads its answer.
func ask(conn net.Conn, r *bufio.Reader, out *bytes.Buffer, path string) error {
	out.Reset()
	fmt.Fprintf(out, "GET %s HTTP/1.1\r\nHost: track.shop.example\r\nUser-Agent: %s\r\nAccept: */*\r\n\r\n", path, agent)
	if _, err := conn.Write(out.Bytes()); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != 200 && resp.StatusCode != 302 {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}

// BenchmarkTrack is both requests, tracked and bare, as fast as the server
// answers and at a steady rate.
func BenchmarkTrack(b *testing.B) {
	for _, loop := range []struct {
		name      string
		perSecond float64
	}{{"saturated", 0}, {fmt.Sprintf("at-%d", rate), rate}} {
		for _, what := range []string{"open", "click"} {
			for _, kind := range []string{"bare", "tracked"} {
				b.Run(loop.name+"/"+what+"/"+kind, func(b *testing.B) { measure(b, what, kind, loop.perSecond) })
			}
		}
	}
}

func measure(b *testing.B, what, kind string, perSecond float64) {
	c := startChild(b, kind)
	defer c.stop()
	paths := []string{"/track/tpsp/" + what + "/" + strings.Repeat("x", 100)}
	if kind == "tracked" {
		paths = slices.DeleteFunc(c.paths, func(p string) bool { return !strings.Contains(p, "/"+what+"/") })
	}
	c.load(b, paths, warmUp, 0)
	before := c.state(b)
	b.ResetTimer()
	took := c.load(b, paths, b.N, perSecond)
	b.StopTimer()
	if kind == "tracked" {
		b.ReportMetric(float64(c.durable(b, warmUp+b.N).Milliseconds()), "durable-ms")
	}
	used := c.state(b).CPU - before.CPU
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/used.Seconds(), "req/cpu-s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// durable waits until the events of n requests are committed and tells for how
// long.
func (c *child) durable(b *testing.B, n int) time.Duration {
	b.Helper()
	for last := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		stored, passed := c.state(b).Stored, time.Since(last)
		if stored >= int64(n) {
			return passed
		}
		if passed > time.Minute {
			b.Fatalf("%d of %d events are stored a minute later", stored, n)
		}
	}
}

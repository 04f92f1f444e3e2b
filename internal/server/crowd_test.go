package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// crowded is a server with few places.
func crowded(t *testing.T, most int, handle http.HandlerFunc) (*crowd, string) {
	t.Helper()
	c := newCrowd(most)
	srv := httptest.NewUnstartedServer(c.serve(within(time.Minute, time.Minute, handle)))
	srv.Config.ConnState, srv.Config.ConnContext = c.follow, c.remember // httptest follows, too, and calls this
	srv.Start()
	t.Cleanup(srv.Close)
	return c, srv.Listener.Addr().String()
}

func dial(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answered reads the status of an answer; 0 when the connection was closed.
func answered(t *testing.T, conn net.Conn) int {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("neither an answer nor an end within a minute")
	}
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// await waits for a condition that another goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (c *crowd) counts() (all, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all), c.waiting.Len()
}

// TestCrowd holds that when all places are taken the connection that has kept us
// waiting longest makes room, and that a request which is answered keeps its own.
func TestCrowd(t *testing.T) {
	const get, slow = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
	release, receiving := make(chan struct{}), make(chan struct{}, 1)
	c, addr := crowded(t, 3, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/slow":
			<-release
		case r.Method == http.MethodPost:
			receiving <- struct{}{}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	})
	is := func(all, waiting int) func() bool {
		return func() bool { a, w := c.counts(); return a == all && w == waiting }
	}
	expect := func(what string, conn net.Conn, status int) {
		t.Helper()
		if got := answered(t, conn); got != status {
			t.Errorf("%s got %d, want %d", what, got, status)
		}
	}
	busy := dial(t, addr, slow)
	await(t, "the slow request", is(1, 0))
	mute := dial(t, addr, "GET / HT")
	await(t, "the beginning of a request", is(2, 1))
	body := dial(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
	<-receiving // from now on it is the body that we wait for
	await(t, "the body", is(3, 2))

	expect("a whole request at a full door", dial(t, addr, get), http.StatusOK)
	expect("who never said what it wants", mute, 0)
	await(t, "the first to be idle", is(3, 2))
	second := dial(t, addr, slow)
	expect("a body that does not come", body, 0)
	await(t, "the second slow request", is(3, 1))
	third := dial(t, addr, slow)
	await(t, "the third slow request", is(3, 0))
	expect("a new one when all are being answered", dial(t, addr, get), 0)
	close(release)
	for _, conn := range []net.Conn{busy, second, third} {
		expect("a slow request", conn, http.StatusOK)
	}
	if n := c.displaced.Load(); n != 4 {
		t.Errorf("%d connections were displaced, want 4", n)
	}
}

// TestBodyThatCame holds that a request whose body is there loses its place to
// nobody.
func TestBodyThatCame(t *testing.T) {
	release := make(chan struct{})
	c, addr := crowded(t, 1, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		<-release
		_, _ = fmt.Fprint(w, string(b), err)
	})
	conn := dial(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde")
	await(t, "the body", func() bool { all, waiting := c.counts(); return all == 1 && waiting == 0 })
	if got := answered(t, dial(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")); got != 0 {
		t.Errorf("a second connection got %d", got)
	}
	close(release)
	if got := answered(t, conn); got != http.StatusOK {
		t.Errorf("%d", got)
	}
	await(t, "the end", func() bool { all, waiting := c.counts(); return all == waiting })
}

// TestAnswerThatNobodyReads holds that a client which asks and does not read is
// let go, and that one which reads slowly gets all of a long answer.
func TestAnswerThatNobodyReads(t *testing.T) {
	const length = 32 << 20 // more than any socket's buffers
	ended := make(chan error, 1)
	srv := httptest.NewServer(within(time.Minute, 100*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, err := w.Write(make([]byte, length))
		if err == nil && n != length {
			err = io.ErrShortWrite
		}
		ended <- err
	})))
	defer srv.Close()
	conn := dial(t, srv.Listener.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the answer is still being written")
	}
	_ = conn.Close()
}

// TestPiecesOfAnswers holds that cutting an answer into pieces changes nothing
// of it, nor that streams are flushed.
func TestPiecesOfAnswers(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef!"), 3*pieceOfAnswer/16)
	srv := httptest.NewServer(within(time.Minute, time.Minute, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(nil)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		for _, part := range [][]byte{want[:1], want[1:]} {
			if n, err := w.Write(part); n != len(part) || err != nil {
				t.Errorf("%d of %d, %v", n, len(part), err)
			}
		}
	})))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

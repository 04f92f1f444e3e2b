package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

// TestRefusalOfALargeBodyIsRead: a client that writes its whole request before
// it reads gets the refusal, not a broken pipe.
func TestRefusalOfALargeBodyIsRead(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	key := "X-SubAccount-ApiKey: " + w.keys[waypost.KeySubAccount] + "\r\n"
	const mail, large = "/api/v1/subaccount/email/", 70 << 20
	for _, c := range []struct {
		path, headers string
		status        int
	}{
		{mail, key + fmt.Sprintf("Content-Length: %d\r\n", large), http.StatusRequestEntityTooLarge},
		{"/api/v1/subaccount/suppression", key + fmt.Sprintf("Content-Length: %d\r\n", large), http.StatusRequestEntityTooLarge},
		{mail, fmt.Sprintf("Content-Length: %d\r\n", large), http.StatusUnauthorized},
		{"/api/v1/nothing", fmt.Sprintf("Content-Length: %d\r\n", large), http.StatusNotFound},
	} {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n", c.path, c.headers)
		chunk := []byte(strings.Repeat("x", 1<<20))
		for sent := 0; err == nil && sent < large; sent += len(chunk) {
			_, err = conn.Write(chunk)
		}
		if err != nil {
			t.Errorf("%s: the request could not be written: %v", c.path, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
		} else {
			if answer.StatusCode != c.status || answer.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s %v, want %d", c.path, answer.Status, answer.Header, c.status)
			}
			_ = answer.Body.Close()
		}
		_ = conn.Close()
	}
}

// TestWhoWaitsForLeave: a client that asks before it sends is answered at once.
func TestWhoWaitsForLeave(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprint(conn, "POST /api/v1/subaccount/email HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 70000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
}

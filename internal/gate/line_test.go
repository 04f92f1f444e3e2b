package gate

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// say is one side's turn of a session: answers begin with a digit.
func say(l *lines, turns ...string) bool {
	for _, turn := range turns {
		if turn[0] >= '2' && turn[0] <= '5' {
			l.replied([]byte(turn))
		} else if !l.read([]byte(turn)) {
			return false
		}
	}
	return true
}

func TestLines(t *testing.T) {
	for name, tc := range map[string]struct {
		whole bool
		turns []string
	}{
		"commands":           {true, []string{"220 hi\r\n", "EHLO a\r\n", "250 a\r\n", "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"}},
		"cut into bytes":     {true, []string{"220 hi\r\n", "E", "HLO a\r", "\n", "NOOP\r\n"}},
		"bare LF":            {false, []string{"220 hi\r\n", "EHLO a\n"}},
		"LF alone":           {false, []string{"220 hi\r\n", "\n"}},
		"bare CR":            {false, []string{"220 hi\r\n", "EHLO a\rNOOP\r\n"}},
		"CR CR LF":           {false, []string{"220 hi\r\n", "NOOP\r\r\n"}},
		"CR, then no LF":     {false, []string{"220 hi\r\n", "NOOP\r", "X"}},
		"LF in the second":   {false, []string{"220 hi\r\n", "RSET\r\nNOOP\n"}},
		"body":               {true, []string{"220 hi\r\n", "DATA\r\n", "354 go\r\n", "a\nb\rc\r\n..\r\n.\r\nQUIT\r\n"}},
		"empty body":         {true, []string{"220 hi\r\n", "DATA\r\n", "354 go\r\n", ".\r\nQUIT\r\n"}},
		"behind a body":      {false, []string{"220 hi\r\n", "DATA\r\n", "354 go\r\n", "a\r\n.", "\r\n", "QUIT\n"}},
		"dot within a line":  {true, []string{"220 hi\r\n", "DATA\r\n", "354 go\r\n", "a.\r\nb\n.\n"}},
		"DATA was refused":   {false, []string{"220 hi\r\n", "DATA\r\n", "503 no\r\n", "a\nb"}},
		"chunk":              {true, []string{"220 hi\r\n", "bdat 4\r\na\nb", "\nBDAT 2 LAST\r\n\n\nQUIT\r\n"}},
		"behind a chunk":     {false, []string{"220 hi\r\n", "BDAT 1 LAST\r\n\n\n"}},
		"no chunk":           {false, []string{"220 hi\r\n", "BDAT x\r\n\n"}},
		"TLS":                {true, []string{"220 hi\r\n", "STARTTLS\r\n", "220 go\r\n", "\x16\x03\n\r\x01"}},
		"TLS was refused":    {false, []string{"220 hi\r\n", "STARTTLS\r\n", "454 no\r\n", "A\n"}},
		"before the banner":  {false, []string{"EHLO a\n"}},
		"long command lines": {true, []string{"220 hi\r\n", "EHLO " + strings.Repeat("x", 100_000) + "\r\n"}},
	} {
		if got := say(&lines{}, tc.turns...); got != tc.whole {
			t.Errorf("%s: whole is %v", name, got)
		}
	}
}

// FuzzLines: how what a client says is cut into packets changes nothing, and
// outside of bodies and chunks nothing comes through that ends with a bare CR
// or LF.
func FuzzLines(f *testing.F) {
	f.Add([]byte("EHLO a\r\nBDAT 3\r\na\nbNOOP\r\n"), uint8(3))
	f.Add([]byte("EHLO a\nNOOP\r\n"), uint8(1))
	f.Add([]byte("BDAT 99999999999999999999\r\n\n"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		var whole, cut lines
		ok, n := whole.read(b), int(size)%7+1
		for rest := b; len(rest) > 0; rest = rest[min(n, len(rest)):] {
			if !cut.read(rest[:min(n, len(rest))]) {
				if ok {
					t.Fatalf("%q is whole, but not in pieces of %d", b, n)
				}
				return
			}
		}
		if !ok {
			t.Fatalf("%q is not whole, but in pieces of %d", b, n)
		}
		if !bytes.Contains(bytes.ToUpper(b), []byte("BDAT")) && LoneCROrLF(b) {
			t.Fatalf("%q came through", b)
		}
	})
}

func TestConnRefusesBareLineEnds(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := New(Limits{MaxConns: 1, PerIP: 1, PerIPMinute: 100, Lifetime: time.Hour}).Listen(l)
	t.Cleanup(func() { _ = door.Close() })
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := door.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("220 hi\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("NOOP\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 100)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	got, err := io.ReadAll(client)
	if want := "220 hi\r\n500 5.5.2 "; err != nil || !strings.HasPrefix(string(got), want) {
		t.Errorf("the client was told %q, %v", got, err)
	}
}

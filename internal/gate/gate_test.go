package gate

import (
	"net"
	"testing"
	"time"
)

// TestSources holds that a guesser's IPv6 addresses count as one.
func TestSources(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "::ffff:192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "pipe": "pipe", "": "",
	} {
		if got := sourceOf(ip); got != want {
			t.Errorf("%s counts as %s, want %s", ip, got, want)
		}
	}
	g := New(Limits{MaxConns: 10, PerIP: 1, PerIPMinute: 100})
	now := time.Now()
	if a, b := g.enter(sourceOf("2001:db8::1"), now), g.enter(sourceOf("2001:db8::2"), now); a != admitted || b != tooMany {
		t.Errorf("two addresses of one network: %v, %v", a, b)
	}
}

// TestFullGate holds that who says nothing gives up his place when others come,
// and who waits for an answer, or spoke lately, does not.
func TestFullGate(t *testing.T) {
	var listen net.ListenConfig
	raw, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := New(Limits{MaxConns: 2, PerIP: 10, PerIPMinute: 2, Lifetime: time.Minute})
	l := g.Listen(raw)
	defer func() { _ = l.Close() }()
	come := func() (client net.Conn, server *Conn) {
		t.Helper()
		var d net.Dialer
		client, err := d.DialContext(t.Context(), "tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, c.(*Conn)
	}
	heard := make(chan error, 2)
	listenTo := func(c *Conn) {
		go func() { _, err := c.Read(make([]byte, 100)); heard <- err }()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if _, waits := c.silentSince(); waits {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("nobody reads")
			}
		}
	}
	_, busy := come()
	_, mute := come()
	if l.displace(time.Now()) {
		t.Error("a connection that waits for our answer was displaced")
	}
	listenTo(mute)
	if l.admit("192.0.2.1") {
		t.Error("the gate was full of those who came just now, and let another in")
	}
	if l.displace(time.Now().Add(-time.Minute)) {
		t.Error("a connection that spoke lately was displaced")
	}
	mute.mu.Lock()
	mute.heard = mute.heard.Add(-silence - time.Second)
	mute.mu.Unlock()
	if !l.admit("192.0.2.1") {
		t.Error("a full gate lets nobody in though one says nothing")
	}
	if err := <-heard; err == nil {
		t.Error("who said nothing stays")
	}
	if l.admit("192.0.2.1") {
		t.Error("the gate is full again, and lets one in")
	}
	g.leave("192.0.2.1")
	_ = busy.Close()
	if g.open != 0 || len(g.byIP) != 0 {
		t.Errorf("%d open, by source %v", g.open, g.byIP)
	}
	if g.minute == time.Now().Unix()/60 && g.began["192.0.2.1"] > 1 {
		t.Errorf("refusals for lack of room count as %d connections of the minute", g.began["192.0.2.1"])
	}
}

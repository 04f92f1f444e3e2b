package server

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// mostConnections is how many connections the HTTP door holds: each takes some
// 20 KB, whether or not anything is asked on it.
const mostConnections = 2000

// While many connections are open the heap is collected sooner: what strangers
// take of memory counts once, and not again as room to grow.
const (
	crowdedFrom  = 500 // connections
	calmBelow    = 250
	crowdedGrown = 30 // percent; see GOGC
)

// crowd bounds the connections of the HTTP door. When all places are taken, a
// new connection gets that of the one that has kept us waiting longest, for a
// whole request or for the rest of a body. Clients that open connections and say
// little, however many, so take places from each other; requests that are being
// answered lose theirs to nobody.
type crowd struct {
	most int

	mu      sync.Mutex
	all     map[net.Conn]*guest
	waiting list.List // guests that we wait for, who has kept us longest first

	crowded bool
	growth  int // of the heap while it is calm

	displaced atomic.Int64
}

// guest is one connection.
type guest struct {
	conn net.Conn
	at   *list.Element // in waiting; nil while we have all that we need
}

func newCrowd(most int) *crowd { return &crowd{most: most, all: map[net.Conn]*guest{}} }

// size is how many connections there are.
func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// follow is the [http.Server.ConnState] of a server.
func (c *crowd) follow(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.all) >= c.most {
			c.makeRoom(conn)
		}
		g := &guest{conn: conn}
		c.all[conn] = g
		c.wait(g)
		c.spare()
	case http.StateIdle:
		if g := c.all[conn]; g != nil {
			c.wait(g)
		}
	case http.StateClosed, http.StateHijacked:
		if g := c.all[conn]; g != nil {
			c.busy(g)
			delete(c.all, conn)
			c.spare()
		}
	case http.StateActive: // a byte of a request is not yet a request: serve tells
	}
}

// spare sets how far the heap may grow between collections.
func (c *crowd) spare() {
	switch n := len(c.all); {
	case !c.crowded && n >= crowdedFrom:
		c.crowded = true
		if c.growth = debug.SetGCPercent(crowdedGrown); c.growth < crowdedGrown { // of the operator's own choice
			debug.SetGCPercent(c.growth)
		}
	case c.crowded && n < calmBelow:
		c.crowded = false
		debug.SetGCPercent(c.growth)
	}
}

// makeRoom closes the connection that keeps us waiting longest; the new one
// when all others are being answered.
func (c *crowd) makeRoom(fresh net.Conn) {
	c.displaced.Add(1)
	oldest := c.waiting.Front()
	if oldest == nil {
		_ = fresh.Close()
		return
	}
	g := oldest.Value.(*guest)
	c.busy(g)
	delete(c.all, g.conn) // its place is free at once
	_ = g.conn.Close()
}

// wait notes that we wait for a guest from now on.
func (c *crowd) wait(g *guest) {
	c.busy(g)
	g.at = c.waiting.PushBack(g)
}

// busy notes that we wait for a guest no longer.
func (c *crowd) busy(g *guest) {
	if g.at != nil {
		c.waiting.Remove(g.at)
		g.at = nil
	}
}

type connKey struct{}

// remember is the [http.Server.ConnContext] of a server.
func (c *crowd) remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// serve notes how far the request of a connection is.
func (c *crowd) serve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, ok := r.Context().Value(connKey{}).(net.Conn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if r.Body == nil || r.Body == http.NoBody {
			c.note(conn, c.busy)
		} else {
			c.note(conn, c.wait) // anew: for the body
			r.Body = &arriving{r.Body, func() { c.note(conn, c.busy) }}
		}
		next.ServeHTTP(w, r)
	})
}

func (c *crowd) note(conn net.Conn, what func(*guest)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.all[conn]; g != nil {
		what(g)
	}
}

// arriving is a body that tells when it is there.
type arriving struct {
	io.ReadCloser

	whole func()
}

// Read reads on.
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && a.whole != nil {
		a.whole()
		a.whole = nil
	}
	return n, err
}

// doorMetrics tell of the door.
func doorMetrics(guests *crowd) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "waypost_http_connections", Help: "Open connections of HTTP."},
			func() float64 { return float64(guests.size()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "waypost_http_displaced_total", Help: "Connections of HTTP that were closed because all places were taken: those that said least.",
		}, func() float64 { return float64(guests.displaced.Load()) }),
	}
}

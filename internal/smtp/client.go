package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	writeBuffer = 16 << 10 // most messages leave in one write
	writeBlock  = 64 << 10 // bytes that must be taken within one timeout
)

// Client is one session with a server. It is not safe for concurrent use. Make
// it with [Dial] and end it with Close.
type Client struct {
	cfg    *Config
	raw    net.Conn // TCP, also below TLS
	conn   net.Conn // raw or TLS over it
	r      *bufio.Reader
	w      *bufio.Writer
	out    *blockWriter // below w
	ext    Extensions
	tls    *TLSInfo
	remote string
	sent   int

	secrets []string // what never stands in a record

	broken bool
	// open: the server accepted MAIL and the transaction did not end, so RSET
	// must precede the next MAIL (a second MAIL would be answered 503).
	open bool
	// stepwise: commands go one by one although the server offers PIPELINING.
	stepwise bool
}

func newClient(cfg *Config, raw net.Conn) *Client {
	c := &Client{cfg: cfg, raw: raw, remote: raw.RemoteAddr().String(), secrets: cfg.secrets()}
	c.attach(raw)
	return c
}

// attach makes conn the session's transport with empty buffers.
func (c *Client) attach(conn net.Conn) {
	c.conn = conn
	c.r = newReplyReader(conn)
	c.out = &blockWriter{conn: conn, limit: c.cfg.limit(commandTimeout)}
	c.w = bufio.NewWriterSize(c.out, writeBuffer)
}

// Usable reports whether the session can take another transaction. It does not
// ask the server, which may have closed its end meanwhile.
func (c *Client) Usable() bool { return !c.broken }

// Sent is the number of transactions begun on this session.
func (c *Client) Sent() int { return c.sent }

// Extensions is what the server offered in its last EHLO.
func (c *Client) Extensions() Extensions { return c.ext }

// TLS describes the connection's TLS, nil when it has none.
func (c *Client) TLS() *TLSInfo { return c.tls }

// cmd sends one command line and reads its reply.
func (c *Client) cmd(stage Stage, line string) (Reply, *Error) {
	if e := c.line(stage, line); e != nil {
		return Reply{}, e
	}
	return c.read(stage, c.cfg.limit(commandTimeout))
}

// line sends one command line.
func (c *Client) line(stage Stage, line string) *Error {
	return c.write(stage, func(w *bufio.Writer) {
		_, _ = w.WriteString(line)
		_, _ = w.WriteString("\r\n")
	})
}

// write lets fill write and flushes; bufio keeps the first error until then.
func (c *Client) write(stage Stage, fill func(*bufio.Writer)) *Error {
	if c.broken {
		return died(stage, ErrUnusable)
	}
	fill(c.w)
	if err := c.w.Flush(); err != nil {
		c.broken = true
		return c.lastWords(stage, err)
	}
	return nil
}

// lastWords looks for a reply the server sent before it stopped reading, such as
// 421 on an idle session or 552 in the middle of a body.
func (c *Client) lastWords(stage Stage, err error) *Error {
	if e := died(stage, err); e.Class == ClassTimeout {
		return e
	}
	if c.conn.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		if r, rerr := readReply(c.r); rerr == nil && !r.Positive() {
			return refused(stage, c.unsaid(r))
		}
	}
	return died(stage, err)
}

// read reads one reply; without a valid one the session is over.
func (c *Client) read(stage Stage, limit time.Duration) (Reply, *Error) {
	err := c.conn.SetReadDeadline(time.Now().Add(limit))
	var r Reply
	if err == nil {
		r, err = readReply(c.r)
	}
	if err != nil {
		c.broken = true
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the server closed the connection: %w", err)
		}
		return Reply{}, died(stage, err)
	}
	return c.unsaid(r), nil
}

// judge turns a reply that is not the wanted one into an error. 421 ends the
// session (RFC 5321 section 3.8), and so does a yes to the wrong question: the
// two sides no longer agree on which reply belongs to which command.
func (c *Client) judge(stage Stage, r Reply, ok bool) *Error {
	if ok {
		return nil
	}
	if r.Code == 421 || r.Positive() {
		c.broken = true
	}
	return refused(stage, r)
}

// ask reads the reply to a command sent before and judges it.
func (c *Client) ask(stage Stage, t *Transaction, ok func(code int) bool) *Error {
	r, e := c.read(stage, c.cfg.limit(commandTimeout))
	if e == nil {
		e = c.judge(stage, r, ok(r.Code))
	}
	t.step(stage, r, e)
	return e
}

func is2yz(code int) bool { return code >= 200 && code < 300 }
func is354(code int) bool { return code == 354 }

// blockWriter gives every block of what is written its own deadline, so that a
// large body over a slow line is not cut while it moves.
type blockWriter struct {
	conn  net.Conn
	limit time.Duration
}

func (b *blockWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if err := b.conn.SetWriteDeadline(time.Now().Add(b.limit)); err != nil {
			return done, err
		}
		n, err := b.conn.Write(p[done:min(done+writeBlock, len(p))])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

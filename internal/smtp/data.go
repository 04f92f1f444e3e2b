package smtp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
)

// Send runs one transaction: one message to one recipient. The body has CRLF
// line ends and may come in pieces, none of which ends between CR and LF, so
// that what many messages share need not be copied for each. It is dot-stuffed
// here while it is written. The reply is that of
// the final dot, or on failure the one that refused. A failure is an *Error. The
// session stays usable after a refusal and not after a lost connection, a 421, a
// protocol error or a cancelled context (see Usable).
func (c *Client) Send(ctx context.Context, env Envelope, body ...[]byte) (Reply, error) {
	r, e := c.send(ctx, &env, body)
	if e == nil {
		return r, nil
	}
	if e.Reply != nil {
		r = *e.Reply
	}
	return r, e
}

func (c *Client) send(ctx context.Context, env *Envelope, body [][]byte) (Reply, *Error) {
	if c.broken {
		return Reply{}, died(StageMail, ErrUnusable)
	}
	if err := ctx.Err(); err != nil {
		return Reply{}, withCause(ctx, died(StageMail, err))
	}
	if e := c.admit(env, body); e != nil {
		env.Trace.begin()
		env.Trace.step(e.Stage, Reply{}, e)
		return Reply{}, e
	}
	env.Trace.session(c)
	env.Trace.begin()
	steps := env.Trace.length()
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	c.sent++
	r, e := c.transact(env, body)
	if !stop() {
		c.broken = true
	}
	e = withCause(ctx, e)
	env.Trace.closing(steps, e)
	return r, e
}

// pipelines reports whether the envelope leaves in one write.
func (c *Client) pipelines() bool { return c.ext.Pipelining && !c.stepwise }

// transact is envelope, body, final reply. The parts are apart so that the next
// envelope could one day travel with the body.
func (c *Client) transact(env *Envelope, body [][]byte) (Reply, *Error) {
	if e := c.unsolicited(); e != nil {
		return Reply{}, e
	}
	var e *Error
	if c.pipelines() {
		e = c.envelopeAtOnce(env, body)
	} else {
		e = c.envelopeByStep(env, body)
	}
	if e != nil {
		return Reply{}, e
	}
	if e := c.write(StageBody, func(w *bufio.Writer) { writeStuffed(w, body) }); e != nil {
		env.Trace.step(StageBody, Reply{}, e)
		return Reply{}, e
	}
	r, e := c.read(StageFinal, c.cfg.limit(finalTimeout))
	if e == nil {
		e = c.judge(StageFinal, r, is2yz(r.Code))
	}
	c.open = false // the final dot ends a transaction whatever the answer
	env.Trace.step(StageFinal, r, e)
	return r, e
}

// unsolicited looks at what the server said since the last reply. Usually that
// is a 421 of an idle session; anything else would shift all later replies by one.
func (c *Client) unsolicited() *Error {
	if c.r.Buffered() == 0 {
		return nil
	}
	c.broken = true
	if r, e := c.read(StageMail, c.cfg.limit(commandTimeout)); e == nil && !r.Positive() {
		return refused(StageMail, r)
	}
	return died(StageMail, ErrUnsolicited)
}

// envelopeAtOnce sends RSET if due, MAIL, RCPT and DATA in one write and reads
// the answers in order (RFC 2920). The first refusal is the verdict.
func (c *Client) envelopeAtOnce(env *Envelope, body [][]byte) *Error {
	reset := c.open
	e := c.write(StageMail, func(w *bufio.Writer) {
		if reset {
			_, _ = w.WriteString("RSET\r\n")
		}
		_, _ = w.WriteString(c.mailLine(env, body))
		_, _ = w.WriteString("\r\n")
		_, _ = w.WriteString(c.rcptLine(env))
		_, _ = w.WriteString("\r\nDATA\r\n")
	})
	if e != nil {
		env.Trace.step(StageMail, Reply{}, e)
		return e
	}
	if reset {
		if e := c.reset(env.Trace); e != nil {
			return e
		}
	}
	mail := c.ask(StageMail, env.Trace, is2yz)
	if c.broken {
		return mail
	}
	c.open = mail == nil
	rcpt := c.ask(StageRcpt, env.Trace, is2yz)
	if c.broken {
		return first(mail, rcpt)
	}
	data := c.askData(env.Trace)
	verdict := first(mail, rcpt, data)
	if verdict != nil && data == nil {
		c.abandonData()
	}
	return verdict
}

// envelopeByStep waits for every answer; after a refusal nothing more is sent.
func (c *Client) envelopeByStep(env *Envelope, body [][]byte) *Error {
	if c.open {
		if e := c.line(StageRset, "RSET"); e != nil {
			return e
		}
		if e := c.reset(env.Trace); e != nil {
			return e
		}
	}
	e := c.line(StageMail, c.mailLine(env, body))
	if e == nil {
		e = c.ask(StageMail, env.Trace, is2yz)
	}
	if e != nil {
		return e
	}
	c.open = true
	if e = c.line(StageRcpt, c.rcptLine(env)); e == nil {
		e = c.ask(StageRcpt, env.Trace, is2yz)
	}
	if e != nil {
		return e
	}
	if e = c.line(StageData, "DATA"); e == nil {
		e = c.askData(env.Trace)
	}
	return e
}

// reset reads the answer to RSET. A server that refuses RSET is not worth
// arguing with.
func (c *Client) reset(t *Transaction) *Error {
	e := c.ask(StageRset, t, is2yz)
	if e != nil {
		c.broken = true
		e.Permanent = false // it does not speak of this message
		return e
	}
	c.open = false
	return nil
}

// askData reads the answer to DATA. Nothing may follow a 354: what did would be
// read as the answer to a body the server has not seen.
func (c *Client) askData(t *Transaction) *Error {
	e := c.ask(StageData, t, is354)
	if e == nil && c.r.Buffered() > 0 {
		c.broken = true
		e = died(StageData, fmt.Errorf("%w after 354", ErrUnsolicited))
	}
	return e
}

// abandonData ends a DATA that was granted although the envelope was refused:
// an empty message for nobody, whose answer does not matter.
func (c *Client) abandonData() {
	if c.line(StageBody, ".") != nil {
		return
	}
	r, e := c.read(StageFinal, c.cfg.limit(commandTimeout))
	if e == nil {
		c.open = false
		_ = c.judge(StageFinal, r, r.Code != 421 && (r.Code < 300 || r.Code >= 400))
	}
}

func first(errs ...*Error) *Error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

// writeStuffed writes the pieces of a body with every leading dot doubled and
// the final dot behind them (RFC 5321 section 4.5.2). Errors stay in w until it
// is flushed.
func writeStuffed(w *bufio.Writer, body [][]byte) {
	start := true // of a line
	for _, piece := range body {
		if len(piece) == 0 {
			continue
		}
		if start && piece[0] == '.' {
			_ = w.WriteByte('.')
		}
		writeInner(w, piece)
		start = bytes.HasSuffix(piece, crlf)
	}
	if !start {
		_, _ = w.Write(crlf)
	}
	_, _ = w.WriteString(".\r\n")
}

// writeInner writes a piece and doubles the dots behind the line ends in it.
func writeInner(w *bufio.Writer, piece []byte) {
	for {
		i := bytes.Index(piece, lineDot)
		if i < 0 {
			break
		}
		_, _ = w.Write(piece[:i+len(lineDot)])
		_ = w.WriteByte('.')
		piece = piece[i+len(lineDot):]
	}
	_, _ = w.Write(piece)
}

var crlf, lineDot = []byte("\r\n"), []byte("\r\n.")

// bareNewline reports whether in a piece of a body some CR is not followed by LF
// or some LF not preceded by CR. Such a body is how messages are smuggled.
func bareNewline(body []byte) bool {
	pairs := 0
	for rest := body; ; pairs++ {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		if i == 0 || rest[i-1] != '\r' {
			return true
		}
		rest = rest[i+1:]
	}
	return bytes.Count(body, []byte{'\r'}) != pairs
}

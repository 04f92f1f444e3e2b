package smtp

import (
	"strings"
	"time"
)

// ProbeStep is one step of a session or transaction. Text is the reply without
// its code, or the error; it never holds credentials.
type ProbeStep struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Code int    `json:"code"` // 0 when there was no reply
	Text string `json:"text"`
	MS   int64  `json:"ms"` // since the step before; pipelined replies share one wait
}

// Transaction is the record of one Send for a message's timeline. Put a pointer
// to a zero value into [Envelope.Trace]. The steps of dialling are included when
// the pool opened a session for this message, after the failed step of a dead
// one if it met one; "final" is the reply to the body.
type Transaction struct {
	Steps      []ProbeStep
	RemoteAddr string
	Reused     bool // the session had carried a transaction before
	TLS        *TLSInfo

	last         time.Time
	capabilities []string         // of the last EHLO, for a probe that fails after it
	secrets      []string         // of the session: never in a step
	heard        func(*ProbeStep) // told of each step as it ends, unless nil
}

// begin starts the clock of the next step.
func (t *Transaction) begin() {
	if t != nil {
		t.last = time.Now()
	}
}

// step records an end of a step and starts the clock of the next. A nil
// Transaction records nothing.
func (t *Transaction) step(name Stage, r Reply, e *Error) {
	if t == nil {
		return
	}
	now := time.Now()
	s := ProbeStep{Name: string(name), OK: e == nil, MS: now.Sub(t.last).Milliseconds()}
	t.last = now
	if e != nil && e.Reply != nil {
		r = *e.Reply
	}
	r.Text = t.mask(r.Text)
	s.Code, s.Text = r.Code, r.line()
	if r.Enhanced != "" {
		s.Text = strings.TrimSuffix(string(r.Enhanced)+" "+s.Text, " ")
	}
	if e != nil && e.Reply == nil {
		s.Code, s.Text = 0, bound(t.mask(errorText(e)), maxString)
	}
	if t.Steps == nil {
		t.Steps = make([]ProbeStep, 0, 4) // those of a session that is open
	}
	t.Steps = append(t.Steps, s)
	if t.heard != nil {
		t.heard(&t.Steps[len(t.Steps)-1])
	}
}

// mask takes credentials out of what a server says after AUTH. Short ones are
// left alone: they are words that stand in any reply.
func (t *Transaction) mask(text string) string {
	for _, secret := range t.secrets {
		if len(secret) >= shortSecret {
			text = strings.ReplaceAll(text, secret, masked)
		}
	}
	return text
}

// closing records the failure that ended a transaction when no step since the
// first of the given number shows it.
func (t *Transaction) closing(from int, e *Error) {
	if t == nil || e == nil {
		return
	}
	for _, s := range t.Steps[from:] {
		if !s.OK {
			return
		}
	}
	t.step(e.Stage, Reply{}, e)
}

func (t *Transaction) length() int {
	if t == nil {
		return 0
	}
	return len(t.Steps)
}

// note records a step that has no reply.
func (t *Transaction) note(name Stage, text string, e *Error) {
	if t != nil {
		t.step(name, Reply{Text: text}, e)
	}
}

// session copies what is known of the connection.
func (t *Transaction) session(c *Client) {
	if t != nil {
		t.RemoteAddr, t.TLS, t.Reused = c.remote, c.tls, c.sent > 0
		t.capabilities, t.secrets = c.ext.Raw, c.secrets
	}
}

// errorText is an error for people, without the stage in front.
func errorText(e *Error) string {
	switch {
	case e.Reply != nil:
		return e.Reply.String()
	case e.Err == nil:
		return string(e.Class)
	case e.Class == ClassTimeout:
		return "no answer in time: " + clean([]byte(e.Err.Error()))
	}
	return clean([]byte(e.Err.Error()))
}

package smtp

import (
	"context"
	"time"
)

// Limits of a probe (D-13).
const (
	probeStepTimeout  = 10 * time.Second
	probeTotalTimeout = 30 * time.Second
)

// ProbeResult is the outcome of a connection test in the form of D-13. Its JSON
// holds no null arrays; tls is null when the connection had none.
type ProbeResult struct {
	Success      bool        `json:"success"`
	FailedStep   string      `json:"failedStep"` // a step name, "" on success
	ErrorClass   Class       `json:"errorClass"` // "" on success
	Code         int         `json:"smtpCode"`
	Enhanced     Enhanced    `json:"enhancedCode"`
	Message      string      `json:"message"` // the final reply, or what went wrong
	Hint         string      `json:"hint"`    // what to do about it, "" on success
	Steps        []ProbeStep `json:"steps"`
	TLS          *TLSInfo    `json:"tls"`
	Capabilities []string    `json:"capabilities"`
}

// stepNames gives the stages of the wire their names in the connection test.
// DATA, body and final reply are one step there.
var stepNames = map[Stage]string{
	StageResolve: "dns", StageConnect: "connect", StageBanner: "banner", StageEHLO: "ehlo",
	StageStartTLS: "starttls", StageTLS: "tls", StageAuth: "auth",
	StageRset: "mail", StageMail: "mail", StageRcpt: "rcpt",
	StageData: "data", StageBody: "data", StageFinal: "data", StageQuit: "quit",
}

// Probe tries the whole transaction of D-13 with the given message, including
// its delivery, and says goodbye. A step may take 10 s (or Config.StepTimeout),
// the probe 30 s. It stops at the first failure, which it explains. A failing
// QUIT after an accepted message is shown and is not a failure of the probe.
// Commands go one by one, so that every step has its own time and its own answer.
func Probe(ctx context.Context, c Config, from, to string, body []byte) ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, probeTotalTimeout)
	defer cancel()
	if c.StepTimeout <= 0 {
		c.StepTimeout = probeStepTimeout
	}
	t := Transaction{heard: joined(c.OnStep)}
	client, e := dial(ctx, &c, &t)
	if e != nil {
		return probeFailure(&c, nil, &t, e)
	}
	defer func() { _ = client.Close() }()
	client.stepwise = true
	reply, e := client.send(ctx, &Envelope{From: from, To: to, Trace: &t}, [][]byte{body})
	if e != nil {
		return probeFailure(&c, client, &t, e)
	}
	client.quit(&t)
	res := probeResult(client, &t)
	res.Success = true
	res.Code, res.Enhanced, res.Message = reply.Code, reply.Enhanced, reply.line()
	return res
}

// Greet connects as Probe does, up to EHLO, TLS and authentication, and says
// goodbye: no envelope is begun.
func Greet(ctx context.Context, c Config) ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, probeTotalTimeout)
	defer cancel()
	if c.StepTimeout <= 0 {
		c.StepTimeout = probeStepTimeout
	}
	t := Transaction{heard: joined(c.OnStep)}
	client, e := dial(ctx, &c, &t)
	if e != nil {
		return probeFailure(&c, nil, &t, e)
	}
	client.quit(&t)
	_ = client.Close()
	res := probeResult(client, &t)
	res.Success = true
	for _, s := range res.Steps {
		if s.Name == "banner" {
			res.Message = s.Text
		}
	}
	return res
}

func probeFailure(c *Config, client *Client, t *Transaction, e *Error) ProbeResult {
	res := probeResult(client, t)
	res.FailedStep, res.ErrorClass = stepNames[e.Stage], e.Class
	res.Message = errorText(e)
	if e.Reply != nil {
		res.Code, res.Enhanced, res.Message = e.Reply.Code, e.Reply.Enhanced, e.Reply.line()
	}
	res.Hint = hint(c, e)
	return res
}

func probeResult(client *Client, t *Transaction) ProbeResult {
	res := ProbeResult{Steps: probeSteps(t.Steps), TLS: t.TLS, Capabilities: t.capabilities}
	if client != nil {
		res.TLS, res.Capabilities = client.tls, client.ext.Raw
	}
	if res.Capabilities == nil {
		res.Capabilities = []string{}
	}
	return res
}

// ProbeSteps names the steps that a probe of the configuration takes, in their
// order, if none fails.
func ProbeSteps(c *Config) []string {
	names := []string{"dns", "connect"}
	switch c.Security {
	case SecurityTLS:
		names = append(names, "tls", "banner", "ehlo")
	case SecurityStartTLS:
		names = append(names, "banner", "ehlo", "starttls", "tls", "ehlo")
	case SecurityNone, "":
		names = append(names, "banner", "ehlo")
	}
	if c.Username != "" && c.Auth != AuthNone {
		names = append(names, "auth")
	}
	return append(names, "mail", "rcpt", "data", "quit")
}

// joined passes steps on as probeSteps would list them: those of DATA are told
// when the last of them, or one that failed, ends.
func joined(tell func(ProbeStep)) func(*ProbeStep) {
	if tell == nil {
		return nil
	}
	var data int64 // of the steps of DATA until now
	return func(s *ProbeStep) {
		one := *s
		if one.Name = stepNames[Stage(s.Name)]; one.Name == "data" {
			data += s.MS
			if one.MS = data; s.OK && Stage(s.Name) != StageFinal {
				return
			}
		}
		tell(one)
	}
}

// probeSteps renames the steps and joins the three of DATA to one.
func probeSteps(steps []ProbeStep) []ProbeStep {
	out := []ProbeStep{}
	for _, s := range steps {
		s.Name = stepNames[Stage(s.Name)]
		if n := len(out); n > 0 && s.Name == "data" && out[n-1].Name == "data" {
			s.MS += out[n-1].MS
			out[n-1] = s
			continue
		}
		out = append(out, s)
	}
	return out
}

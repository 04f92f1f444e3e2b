package main

import (
	"fmt"
	"io"
	"os"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
)

type bounceCmd struct {
	Explain bounceExplainCmd `cmd:"" help:"Print what a report says, which rule decides, and what would happen."`
}

type bounceExplainCmd struct {
	File string `arg:"" help:"The mail; - reads standard input."`
}

// Run explains one mail.
func (c *bounceExplainCmd) Run(e *env) error {
	in := io.ReadCloser(os.Stdin)
	if c.File != "-" {
		var err error
		if in, err = openMail(c.File); err != nil {
			return err
		}
	}
	defer func() { _ = in.Close() }()
	judge, err := bounce.NewJudge()
	if err != nil {
		return err
	}
	return explain(e.stdout, judge, bounce.Parse(in, 0))
}

// openMail opens a file that holds a mail. What is no file would read as an
// empty mail.
func openMail(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory; name the file of one mail", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func explain(w io.Writer, judge *bounce.Judge, r bounce.Report) error {
	p := printer{w: w}
	p.line("kind", string(r.Kind))
	if !r.ReturnPath.UUID.IsZero() {
		p.line("return path", r.ReturnPath.String())
	}
	p.line("envelope id", r.EnvelopeID)
	if !r.Message.IsZero() {
		p.line("message", r.Message.String())
	}
	p.line("message-id", string(r.MessageID))
	p.line("queue id", string(r.QueueID))
	p.line("feedback", r.FeedbackType)
	for _, to := range r.Recipients {
		p.line("recipient", to.Address)
		p.line("  action", to.Action)
		p.line("  status", to.Reply.Enhanced)
		p.line("  text", to.Reply.Text)
		if r.Kind == bounce.KindBounce && to.Action == "failed" {
			p.verdict("  ", judge.Judge(to.Reply))
		}
	}
	if r.Kind == bounce.KindBounce && len(r.Recipients) == 0 {
		p.verdict("", judge.Judge(bounce.Reply{}))
	}
	p.line("effect", r.Effect())
	return p.err
}

type classifyCmd struct {
	Text string `arg:"" help:"What the server said, such as \"550 5.1.1 User unknown\"."`
}

// Run judges one reply.
func (c *classifyCmd) Run(e *env) error {
	judge, err := bounce.NewJudge()
	if err != nil {
		return err
	}
	p := printer{w: e.stdout}
	p.verdict("", judge.Judge(bounce.Reply{Text: c.Text}))
	return p.err
}

// printer writes named lines, up to the first error.
type printer struct {
	w   io.Writer
	err error
}

// line prints a name and its value, quoted when it holds what a terminal
// should not be sent.
func (p *printer) line(name, value string) {
	if p.err != nil || value == "" {
		return
	}
	for _, r := range value {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\uFFFD' {
			value = fmt.Sprintf("%q", value)
			break
		}
	}
	_, p.err = fmt.Fprintf(p.w, "%-12s %s\n", name, value)
}

func (p *printer) verdict(indent string, v waypost.Verdict) {
	word, effect := "soft", "; the recipient is not suppressed"
	if v.Hard {
		word, effect = "hard", "; the recipient is suppressed"
	}
	p.line(indent+"verdict", word)
	p.line(indent+"reason", string(v.Reason))
	p.line(indent+"rule", v.Rule)
	p.line(indent+"effect", v.Type().String()+effect)
}

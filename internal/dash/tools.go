package dash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/agent"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// toolsScreen reads what a person pastes as the bounce processor and the agent
// would. It stores nothing.
var toolsScreen = screen{Path: "/tools", Title: "Tools", Icon: "tool", Group: "Manage", Routes: []route{
	{"GET /tools", waypost.RoleViewer, (*Dash).tools},
	{"POST /tools/reply", waypost.RoleViewer, (*Dash).judgeReply},
	{"POST /tools/report", waypost.RoleViewer, (*Dash).readReport},
	{"POST /tools/log", waypost.RoleViewer, (*Dash).readLog},
}}

// maxToolLines bounds the log lines that one request explains.
const maxToolLines = 200

// judge holds the compiled rules; the dashboard makes them when they are first
// asked for.
var judge = sync.OnceValues(bounce.NewJudge)

// toolsPage is the three forms, one of them with an answer.
type toolsPage struct {
	Form    *form
	MTAs    []option
	Verdict *toolVerdict
	Report  *toolReport
	Log     *toolLog
}

// toolVerdict is what a reply means.
type toolVerdict struct {
	Chip, Effect, Reason, Rule string
	Kind                       string // of the chip
}

// toolReport is what a returned mail says.
type toolReport struct {
	Facts      [][2]string
	Recipients []toolRecipient
	Effect     string
}

type toolRecipient struct {
	bounce.Recipient

	Verdict *toolVerdict // nil: the report says something else of it than failure
}

// toolLog is what the agent sees in lines of a log.
type toolLog struct {
	Lines  []toolLine
	Events []string // as JSON
}

type toolLine struct {
	Text, Meaning string
	Silent        bool // it says nothing about a message
}

func (d *Dash) showTools(v *visit, p toolsPage) error {
	for _, name := range mtalog.MTAs() {
		p.MTAs = append(p.MTAs, option{name, capital(name)})
	}
	if p.Form.Get("mta") == "" {
		p.Form.Values.Set("mta", "postfix")
	}
	status := http.StatusOK
	if !p.Form.OK() {
		status = http.StatusUnprocessableEntity
	}
	return d.showStatus(v, status, "tools", p)
}

func (d *Dash) tools(v *visit) error { return d.showTools(v, toolsPage{Form: filled()}) }

// judgeReply says whether a reply is hard or soft, and by which rule.
func (d *Dash) judgeReply(v *visit) error {
	p := toolsPage{Form: newForm(v.r.PostForm)}
	text := p.Form.Get("reply")
	switch {
	case text == "":
		p.Form.wrong("reply", "Paste what the mail server said, such as 550 5.1.1 User unknown.")
	case len(text) > 4096:
		p.Form.wrong("reply", "That is longer than any reply: 4,096 characters are read at most.")
	default:
		j, err := judge()
		if err != nil {
			return err
		}
		p.Verdict = verdictOf(j.Judge(bounce.Reply{Text: text}))
	}
	return d.showTools(v, p)
}

func verdictOf(w waypost.Verdict) *toolVerdict {
	out := toolVerdict{Chip: "soft", Kind: "warn", Reason: string(w.Reason), Rule: w.Rule}
	out.Effect = w.Type().String() + "; the recipient is not suppressed"
	if w.Hard {
		out.Chip, out.Kind = "hard", "bad"
		out.Effect = w.Type().String() + "; the recipient is suppressed"
	}
	return &out
}

// readReport reads a mail that came back as the bounce processor does.
func (d *Dash) readReport(v *visit) error {
	p := toolsPage{Form: newForm(v.r.PostForm)}
	raw := p.Form.Raw("report")
	if strings.TrimSpace(raw) == "" {
		p.Form.wrong("report", "Paste the whole mail with its header, as \"show original\" of a mail program has it.")
		return d.showTools(v, p)
	}
	j, err := judge()
	if err != nil {
		return err
	}
	r := bounce.Parse(strings.NewReader(raw), 0)
	out := toolReport{Effect: r.Effect()}
	fact := func(name, value string) {
		if value != "" {
			out.Facts = append(out.Facts, [2]string{name, value})
		}
	}
	fact("Kind", string(r.Kind))
	if !r.ReturnPath.UUID.IsZero() {
		fact("Return path", r.ReturnPath.String())
	}
	fact("Envelope ID", r.EnvelopeID)
	if !r.Message.IsZero() {
		fact("Message", r.Message.String())
	}
	fact("Message-ID", string(r.MessageID))
	fact("Queue ID", string(r.QueueID))
	fact("Feedback", r.FeedbackType)
	for _, to := range r.Recipients {
		row := toolRecipient{Recipient: to}
		if r.Kind == bounce.KindBounce && to.Action == "failed" {
			row.Verdict = verdictOf(j.Judge(to.Reply))
		}
		out.Recipients = append(out.Recipients, row)
	}
	if r.Kind == bounce.KindBounce && len(r.Recipients) == 0 {
		out.Effect = verdictOf(j.Judge(bounce.Reply{})).Effect
	}
	p.Report = &out
	return d.showTools(v, p)
}

// readLog explains lines of a mail log and lists the events that the agent
// would report for them.
func (d *Dash) readLog(v *visit) error {
	p := toolsPage{Form: newForm(v.r.PostForm)}
	mta := p.Form.Get("mta")
	lines := strings.FieldsFunc(p.Form.Raw("log"), func(r rune) bool { return r == '\n' || r == '\r' })
	switch {
	case len(lines) == 0:
		p.Form.wrong("log", "Paste lines of the mail log as they stand in the file, best all lines of one queue ID.")
	case len(lines) > maxToolLines:
		p.Form.wrong("log", fmt.Sprintf("These are %s lines; %d are read at most. waypost-agent parse reads whole files.", number(len(lines)), maxToolLines))
	}
	if !p.Form.OK() {
		return d.showTools(v, p)
	}
	out := toolLog{}
	for _, line := range lines {
		meaning, err := agent.CheckLine(line, mta)
		if err != nil {
			p.Form.wrong("mta", "Choose the mail server whose log this is.")
			return d.showTools(v, p)
		}
		out.Lines = append(out.Lines, toolLine{line, meaning, strings.Contains(meaning, "\nmeaning    none")})
	}
	var events bytes.Buffer
	if _, err := agent.ParseFile(v.ctx(), "-", mta, strings.NewReader(strings.Join(lines, "\n")), &events); err != nil {
		return fmt.Errorf("read the pasted log: %w", err)
	}
	for event := range bytes.SplitSeq(bytes.TrimSpace(events.Bytes()), []byte("\n")) {
		if len(event) == 0 {
			continue
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, event, "", "  "); err != nil {
			return fmt.Errorf("show an event of the pasted log: %w", err)
		}
		out.Events = append(out.Events, pretty.String())
	}
	p.Log = &out
	return d.showTools(v, p)
}

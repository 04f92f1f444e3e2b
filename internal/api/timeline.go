package api

import (
	"context"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Timeline is our own view of one message: events, the attempts that failed,
// what was said in each attempt, the last deferral that the agent saw, second reports kept as evidence, and
// what the message waits for.
type Timeline struct {
	MessageID string          `json:"messageId"`
	Recipient string          `json:"recipient"`
	Provider  int64           `json:"tpspId"`
	Mailbox   string          `json:"mailboxCategory"`
	State     string          `json:"state" enum:"waiting,unknown,sent,delivered,dropped,hardBounced,softBounced"`
	Simulated bool            `json:"simulated,omitempty" doc:"the recipient is simulated: no mail leaves for it"`
	Entries   []TimelineEntry `json:"entries"`
	Waiting   *TimelineWait   `json:"waiting,omitempty"`
}

// TimelineEntry is one thing that happened.
type TimelineEntry struct {
	At       time.Time `json:"at"`
	Kind     string    `json:"kind" enum:"event,attempt,deferral,evidence"`
	Type     int       `json:"type,omitempty"`
	TypeName string    `json:"typeName,omitempty"`
	Source   string    `json:"source" enum:"api,relay,agent,bounce,track,simulator" doc:"whose word it is; simulator: a simulated recipient, no mail left"`
	Code     int       `json:"smtpCode,omitempty"`
	Enhanced string    `json:"enhancedCode,omitempty"`
	Text     string    `json:"text,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Attempt  int       `json:"attempt,omitempty"`
	Stage    string    `json:"stage,omitempty"`
	TookMS   int64     `json:"tookMs,omitempty"`
	QueueID  string    `json:"queueId,omitempty"`
	Relay    string    `json:"relay,omitempty"`
	Late     bool      `json:"late,omitempty"`
	Count    int       `json:"count,omitempty" doc:"deferrals reported so far"`
	Visit    *Visit    `json:"visit,omitempty" doc:"of an open, a click, an unsubscription"`

	Transcript *Transcript `json:"transcript,omitempty" doc:"what was said in an attempt that failed, or in the one that led to CSSent"`
}

// Transcript is the SMTP conversation of one relay attempt, without
// credentials. Long texts are cut, but for the step that failed.
type Transcript struct {
	Remote string           `json:"remoteAddress" doc:"IP address and port; empty when no connection came about"`
	TLS    string           `json:"tlsVersion" doc:"empty without TLS"`
	Cipher string           `json:"tlsCipher"`
	Reused bool             `json:"sessionReused" doc:"the session had carried a message before"`
	Steps  []TranscriptStep `json:"steps"`
}

// TranscriptStep is one command with its reply, or a step of dialling.
type TranscriptStep struct {
	Name string `json:"name" doc:"resolve, connect, banner, ehlo, starttls, tls, auth, rset, mail, rcpt, data, body or final"`
	OK   bool   `json:"ok"`
	Code int    `json:"code" doc:"0 when there was no reply"`
	Text string `json:"text" doc:"the reply without its code, or the error"`
	MS   int64  `json:"ms" doc:"since the step before; pipelined replies share one wait"`
}

// Visit is what a request to a tracking URL said.
type Visit struct {
	URL       string `json:"url,omitempty"`
	Link      int    `json:"link,omitempty" doc:"its place in the message, from 1"`
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	Machine   string `json:"machine,omitempty" doc:"the rule that says no person did this"`
	First     bool   `json:"first,omitempty" doc:"a person's first open, or first click, of the message"`
}

// TimelineWait is what an unfinished message waits for.
type TimelineWait struct {
	Due      time.Time `json:"due"`
	Attempts int       `json:"attempts"`
	Unknown  bool      `json:"unknown,omitempty" doc:"the last attempt may have succeeded; waiting for the agent's evidence"`
}

func (a *API) timeline(ctx context.Context, in *messagePath) (Timeline, error) {
	t, _, err := a.trail(ctx, in.ID)
	if err != nil {
		return Timeline{}, err
	}
	return timelineView(&t), nil
}

func timelineView(t *store.Trail) Timeline {
	out := Timeline{
		MessageID: t.Message.ID.String(), Recipient: t.Message.Recipient, Provider: t.Message.Provider,
		Mailbox: t.Message.Mailbox.String(), State: state(t), Entries: []TimelineEntry{},
	}
	for i := range t.Events {
		e := &t.Events[i]
		out.Simulated = out.Simulated || e.Source == waypost.SourceSimulator
		kind := "event"
		if e.Evidence {
			kind = "evidence"
		}
		entry := TimelineEntry{
			At: e.At, Kind: kind, Type: int(e.Type), TypeName: e.Type.String(), Source: string(e.Source),
			Code: e.Code, Enhanced: e.Enhanced, Text: e.Text, Reason: string(e.Reason), Rule: e.Rule,
			Attempt: e.Attempt, QueueID: string(e.Queue), Relay: e.Relay, Late: e.Late, Visit: (*Visit)(e.Visit),
		}
		if e.Type == waypost.CSSent && e.Source == waypost.SourceRelay {
			if said := t.Transcript(e.Attempt); said != nil {
				entry.TookMS, entry.Transcript = said.Took.Milliseconds(), transcriptView(said)
			}
		}
		out.Entries = append(out.Entries, entry)
	}
	for i := range t.Attempts {
		at := &t.Attempts[i]
		out.Entries = append(out.Entries, TimelineEntry{
			At: at.At, Kind: "attempt", Source: string(waypost.SourceRelay), Code: at.Code, Enhanced: at.Enhanced,
			Text: at.Text, Reason: at.Result.String(), Attempt: at.N, Stage: at.Stage, TookMS: at.Took.Milliseconds(),
			Transcript: transcriptView(t.Transcript(at.N)),
		})
	}
	if d := t.Deferral; d != nil {
		out.Entries = append(out.Entries, TimelineEntry{
			At: d.At, Kind: "deferral", Source: string(waypost.SourceAgent), Code: d.Code, Enhanced: d.Enhanced, Text: d.Text, Count: d.Count,
		})
	}
	slices.SortStableFunc(out.Entries, func(a, b TimelineEntry) int { return a.At.Compare(b.At) })
	if w := t.Waiting; w != nil {
		out.Waiting = &TimelineWait{Due: w.Due, Attempts: w.Attempt, Unknown: w.Unknown}
	}
	return out
}

func transcriptView(t *waypost.Transcript) *Transcript {
	if t == nil {
		return nil
	}
	out := &Transcript{Remote: t.Remote, TLS: t.TLS, Cipher: t.Cipher, Reused: t.Reused, Steps: make([]TranscriptStep, len(t.Steps))}
	for i := range t.Steps {
		s := &t.Steps[i]
		out.Steps[i] = TranscriptStep{s.Name, !s.Failed, s.Code, s.Text, s.Took.Milliseconds()}
	}
	return out
}

// state sums a trail up in a word: a bounce outweighs a delivery, because it
// came later or knows more. A message to a simulated recipient that waits for
// its open or click was delivered.
func state(t *store.Trail) string {
	if t.Waiting != nil && (t.Waiting.Lane.Provider != waypost.SimulatorProvider || len(t.Events) < 2) {
		if t.Waiting.Unknown {
			return "unknown"
		}
		return "waiting"
	}
	words := []struct {
		word string
		of   waypost.EventType
	}{
		{"dropped", waypost.CSDropped},
		{"hardBounced", waypost.CSHardBounced},
		{"softBounced", waypost.CSSoftBounced},
		{"delivered", waypost.CSDelivered},
	}
	for _, w := range words {
		for i := range t.Events {
			if t.Events[i].Type == w.of && !t.Events[i].Evidence {
				return w.word
			}
		}
	}
	return "sent"
}

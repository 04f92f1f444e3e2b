package e2e

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"

	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

// engines are the two storage engines; the other choices that real
// installations differ in are shared out between them.
func engines(t *testing.T, f func(t *testing.T, database string, ns func(testing.TB) nameserver, o postfixOptions)) {
	t.Run("sqlite", func(t *testing.T) {
		f(t, "", func(t testing.TB) nameserver { return newDNSMasq(t) }, postfixOptions{format: traditional})
	})
	t.Run("postgres", func(t *testing.T) {
		f(t, pgtest.Start(t), func(t testing.TB) nameserver { return newZone(t) }, postfixOptions{format: rfc3339, longIDs: true, tls: true})
	})
}

// order is one message of a run and what the test knows of it.
type order struct {
	sent
	kind  kind
	shape shape
	n     int // place in its call
}

// shape is one API call of the mixed run.
type shape struct {
	name  string
	count int
	body  func(to []m) m
	check func(t *testing.T, msg *order, e *received)
}

// received is a message as the sink has it.
type received struct {
	delivery
	header mail.Header
	parts  []part
}

type part struct {
	kind, filename string
	body           []byte
}

const attached = "\x00\x01binary\xff and a line.\r\n.\r\nthat begins with a dot\n"

// shapes are the calls of the mixed run, 200 messages together.
var shapes = []shape{
	{
		name: "fields", count: 100,
		body: func(to []m) m {
			for i := range to {
				to[i]["name"] = fmt.Sprintf("Jörg Ünlü %d", i)
				to[i]["customFields"] = m{"first": fmt.Sprintf("Zoë %d", i), "order": m{"total": i * 3}, "vip": i%2 == 0}
			}
			return m{
				"subject": "Order of {{first}}", "htmlBody": "<html><body><p>Dear {{first}} &amp; family,</p>{{#if vip}}<b>VIP</b>{{/if}}<i>total {{order.total}} EUR</i></body></html>",
				"textBody": "Dear {{first}},\n.a line with a dot\ntotal {{order.total}} EUR\n", "to": to,
				"headers": m{"X-Campaign": "autumn"}, "groups": []string{"a", "b"},
				"replyTo": m{"email": "answers@" + senderName, "name": "Answers"},
			}
		},
		check: func(t *testing.T, msg *order, e *received) {
			html, text := e.part(t, "text/html"), e.part(t, "text/plain")
			first, total := fmt.Sprintf("Zoë %d", msg.n), fmt.Sprintf("total %d EUR", msg.n*3)
			e.contains(t, html, "Dear "+first+" &amp; family", "<i>"+total+"</i>")
			e.contains(t, text, "Dear "+first+",", ".a line with a dot", total)
			if vip := bytes.Contains(html, []byte("<b>VIP</b>")); vip != (msg.n%2 == 0) {
				t.Errorf("%s: VIP %v", msg.To, vip)
			}
			e.fieldIs(t, "Subject", "Order of "+first)
			e.fieldIs(t, "X-Campaign", "autumn")
			if to, err := e.header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != msg.To || to[0].Name != fmt.Sprintf("Jörg Ünlü %d", msg.n) {
				t.Errorf("%s: To is %v (%v)", msg.To, to, err)
			}
			if to, err := e.header.AddressList("Reply-To"); err != nil || len(to) != 1 || to[0].Address != "answers@"+senderName {
				t.Errorf("%s: Reply-To is %v (%v)", msg.To, to, err)
			}
		},
	},
	{
		name: "attachments", count: 20,
		body: func(to []m) m {
			return m{
				"subject": "With files", "htmlBody": "<p>see the files</p>", "to": to,
				"attachments": []m{
					{"filename": "data.bin", "contentType": "application/octet-stream", "content": base64.StdEncoding.EncodeToString([]byte(attached))},
					{"filename": "Übersicht.txt", "contentType": "text/plain", "content": base64.StdEncoding.EncodeToString([]byte("plain\n"))},
				},
			}
		},
		check: func(t *testing.T, msg *order, e *received) {
			e.contains(t, e.part(t, "text/html"), "<p>see the files</p>")
			for name, want := range map[string]string{"data.bin": attached, "Übersicht.txt": "plain\n"} {
				i := slices.IndexFunc(e.parts, func(p part) bool { return p.filename == name })
				if i < 0 {
					t.Errorf("%s: no attachment %q", msg.To, name)
				} else if string(e.parts[i].body) != want {
					t.Errorf("%s: attachment %q is %q", msg.To, name, e.parts[i].body)
				}
			}
		},
	},
	{
		name: "text", count: 60,
		body: func(to []m) m {
			return m{"subject": "Only text", "textBody": "Nothing but text: naïve, 10 %.\n", "to": to}
		},
		check: func(t *testing.T, msg *order, e *received) {
			e.contains(t, e.part(t, "text/plain"), "Nothing but text: naïve, 10 %.")
			if slices.ContainsFunc(e.parts, func(p part) bool { return p.kind == "text/html" }) {
				t.Errorf("%s: a text message has an HTML part", msg.To)
			}
		},
	},
	{
		name: "html", count: 20,
		body: func(to []m) m {
			return m{
				"subject": "Only HTML", "htmlBody": "<p>" + strings.Repeat("a very long line without a break ", 100) + "end</p>", "to": to,
				"trackOpens": false, "trackClicks": false,
			}
		},
		check: func(t *testing.T, msg *order, e *received) {
			e.contains(t, e.part(t, "text/html"), strings.Repeat("a very long line without a break ", 100)+"end")
		},
	},
}

// TestMixedOutcomes sends 200 messages to recipients whose mail server gives
// every kind of answer, and wants each expected event exactly once, with the
// right type, SMTP code and text, and each message whole and signed.
func TestMixedOutcomes(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, database string, ns func(testing.TB) nameserver, o postfixOptions) {
		b := newBed(t, database, ns(t), o)
		messages := b.sendMixed(t)
		if n := len(messages); n != 200 {
			t.Fatalf("%d messages in the run, want 200", n)
		}
		for i := range messages {
			if !messages[i].kind.expires {
				b.awaitEnd(t, &messages[i])
			}
		}
		// Only messages that Postfix retries for ever are left: now it gives up.
		b.expire(t, messages)
		for i := range messages {
			b.awaitEnd(t, &messages[i])
		}
		h := b.agent.idle(t, b.postfix.mailLog)
		t.Logf("agent: log format %s, %d sent, correlated by %v, %d queue ids unknown", h.LogFormat, h.Sent, h.CorrelatedBy, h.UnknownQueueIDs)
		if h.Rejected != 0 || h.Dropped != 0 || h.ParseErrors != 0 || h.OutcomesLost != 0 {
			t.Errorf("agent: %+v", h)
		}
		for i := range messages {
			b.checkEvents(t, &messages[i])
			b.checkTimeline(t, &messages[i])
		}
		b.checkDelivered(t, messages)
		b.checkSuppressed(t, messages)
	})
}

// sendMixed makes the calls of all shapes.
func (b *bed) sendMixed(t *testing.T) []order {
	t.Helper()
	var out []order
	for _, s := range shapes {
		addresses := mixed(s.name, s.count)
		to := make([]m, len(addresses))
		for i := range to {
			to[i] = m{"email": addresses[i]}
		}
		body := s.body(to)
		body["from"] = m{"email": "news@" + senderName, "name": "The News"}
		body["ippool"] = b.provider.Pool
		answers := b.send(t, body)
		if len(answers) != len(addresses) {
			t.Fatalf("%d answers for %d recipients", len(answers), len(addresses))
		}
		for i, a := range answers {
			if a.To != addresses[i] || a.ErrorCode != 0 || a.MessageID == "" {
				t.Fatalf("answer %d is %+v, want one for %s", i, a, addresses[i])
			}
			out = append(out, order{sent: a, kind: kindOf(a.To), shape: s, n: i})
		}
	}
	return out
}

// expire makes Postfix give up what it cannot deliver. A message that is being
// tried while Postfix reloads is passed over ("still being delivered") until the
// next reload, so there may be several.
func (b *bed) expire(t testing.TB, messages []order) {
	t.Helper()
	b.postfix.set(t, "maximal_queue_lifetime=1s")
	for range 10 {
		if within(t.Context(), 15*time.Second, func() bool {
			return !slices.ContainsFunc(messages, func(o order) bool {
				return o.kind.expires && !ended(b.events(t, o.MessageID))
			})
		}) {
			return
		}
		b.postfix.reload(t)
	}
}

func ended(events []event) bool {
	return slices.ContainsFunc(events, func(e event) bool { return e.Type >= 60 && e.Type <= 64 })
}

// awaitEnd waits for the terminal event of a message.
func (b *bed) awaitEnd(t testing.TB, msg *order) {
	t.Helper()
	var last []event
	end := func() bool {
		last = b.events(t, msg.MessageID)
		return ended(last)
	}
	// Postfix passes over a message that it meets while it is still being
	// delivered, until it is told to reload.
	if !within(t.Context(), 30*time.Second, end) && b.postfix != nil {
		b.postfix.reload(t)
	}
	if !within(t.Context(), waitMail, end) {
		h, _ := b.agent.look(t)
		t.Fatalf("%s %s never came to an end: events %+v, timeline %+v\nagent %+v\nPostfix says of it:\n%s",
			msg.To, msg.MessageID, last, b.timeline(t, msg.MessageID), h, b.postfix.trace(msg.MessageID))
	}
}

// checkEvents wants exactly processed, sent with Postfix's reply, and the kind's
// own end.
func (b *bed) checkEvents(t *testing.T, msg *order) {
	t.Helper()
	b.checkTrail(t, msg, 250, "queued as")
}

// checkTrail is checkEvents with the reply that CSSent must carry.
func (b *bed) checkTrail(t *testing.T, msg *order, code int, reply string) {
	t.Helper()
	k := msg.kind
	got := b.events(t, msg.MessageID)
	// A log whose stamps have no fractions puts a delivery before the relay that
	// led to it, so the order of the list is not looked at.
	slices.SortFunc(got, func(a, b event) int { return cmp.Compare(a.Type, b.Type) })
	want := []struct {
		typ, code int
		text      string
	}{{58, 0, ""}, {59, code, reply}, {k.event, k.code, k.text}}
	if len(got) != len(want) {
		t.Errorf("%s: %d events, want %d: %+v", msg.To, len(got), len(want), got)
		return
	}
	ids := map[string]bool{}
	for i, w := range want {
		e := got[i]
		if e.Type != w.typ || e.SMTPCode != w.code || !strings.Contains(e.SMTPDescription, w.text) {
			t.Errorf("%s: event %d is %+v, want type %d, code %d, text with %q", msg.To, i, e, w.typ, w.code, w.text)
		}
		if e.MessageID != msg.MessageID || e.To != msg.To || e.TPSP != b.provider.ID || e.ID == "" || ids[e.ID] {
			t.Errorf("%s: event %d is %+v", msg.To, i, e)
		}
		ids[e.ID] = true
	}
}

// checkTimeline wants the timeline to say the same, and to have no second
// report and no failed attempt to relay.
func (b *bed) checkTimeline(t *testing.T, msg *order) {
	t.Helper()
	k := msg.kind
	line := b.timeline(t, msg.MessageID)
	deferred := false
	for _, e := range line.Entries {
		deferred = deferred || e.Kind == "deferral"
		if e.Kind == "evidence" || e.Kind == "attempt" {
			t.Errorf("%s: timeline has %+v", msg.To, e)
		}
	}
	state := map[int]string{60: "delivered", 63: "hardBounced", 64: "softBounced"}[k.event]
	if line.State != state || k.deferred && !deferred {
		t.Errorf("%s: state %q, deferral %v; want %q, %v", msg.To, line.State, deferred, state, k.deferred)
	}
}

// checkDelivered looks at what the sink has: every delivered message once,
// nothing else, each as it was ordered and with a good signature.
func (b *bed) checkDelivered(t *testing.T, messages []order) {
	t.Helper()
	got := b.sink.byUUID()
	var raw [][]byte
	seen := map[string]bool{}
	for i := range messages {
		msg := &messages[i]
		copies := got[msg.MessageID]
		want := 0
		if msg.kind.event == 60 {
			want = 1
		}
		if len(copies) != want {
			t.Errorf("%s: delivered %d times, want %d", msg.To, len(copies), want)
			continue
		}
		if want == 1 {
			b.checkMessage(t, msg, open(t, copies[0]))
			seen[msg.shape.name] = true
			raw = append(raw, copies[0].Data)
		}
	}
	if len(seen) != len(shapes) {
		t.Errorf("shapes delivered: %v", seen)
	}
	by := verifySignatures(t, b.ns, b.keyHost, senderName, raw)
	t.Logf("DKIM signatures of %d messages verified by %s", len(raw), strings.Join(by, " and "))
}

func (b *bed) checkMessage(t *testing.T, msg *order, e *received) {
	t.Helper()
	id := msg.MessageID
	if want := fmt.Sprintf("bounces+%s+%d@sp-bounce.%s", id, b.SubAccountID, senderName); e.From != want || e.To != msg.To {
		t.Errorf("%s: envelope from %s to %s, want from %s", msg.To, e.From, e.To, want)
	}
	e.fieldIs(t, "Message-ID", "<"+id+"@sp-bounce."+senderName+">")
	e.fieldIs(t, "X-Sendpost-Message-UUID", id)
	e.fieldIs(t, "X-Sendpost-SubAccount-ID", itoa(b.SubAccountID))
	e.fieldIs(t, "X-Sendpost-TPSP-ID", itoa(b.provider.ID))
	for _, name := range []string{"X-Sendpost-Account-ID", "X-Sendpost-TPSP-Type", "Date", "MIME-Version", "DKIM-Signature"} {
		if len(e.header[mailKey(name)]) != 1 {
			t.Errorf("%s: %d fields %s", msg.To, len(e.header[mailKey(name)]), name)
		}
	}
	if from, err := e.header.AddressList("From"); err != nil || len(from) != 1 || from[0].Address != "news@"+senderName || from[0].Name != "The News" {
		t.Errorf("%s: From is %v (%v)", msg.To, from, err)
	}
	if bytes.Count(e.Data, []byte("\n")) != bytes.Count(e.Data, []byte("\r\n")) || bytes.Contains(bytes.ReplaceAll(e.Data, []byte("\r\n"), nil), []byte("\r")) {
		t.Errorf("%s: bare CR or LF on the wire", msg.To)
	}
	msg.shape.check(t, msg, e)
}

// checkSuppressed wants the recipients that bounced hard refused from now on.
func (b *bed) checkSuppressed(t *testing.T, messages []order) {
	t.Helper()
	i := slices.IndexFunc(messages, func(msg order) bool { return msg.kind.event == 63 })
	j := slices.IndexFunc(messages, func(msg order) bool { return msg.kind.name == "full" })
	answers := b.send(t, m{
		"from": m{"email": "news@" + senderName}, "subject": "again", "textBody": "again",
		"to": []m{{"email": strings.ToUpper(messages[i].To)}, {"email": messages[j].To}}, "ippool": b.provider.Pool,
	})
	if len(answers) != 2 || answers[0].ErrorCode != 2 || answers[0].MessageID == "" || answers[1].ErrorCode != 0 {
		t.Fatalf("sent again after a hard and a soft bounce: %+v", answers)
	}
	got := b.events(t, answers[0].MessageID)
	slices.SortFunc(got, func(a, b event) int { return cmp.Compare(a.Type, b.Type) })
	if len(got) != 2 || got[0].Type != 58 || got[1].Type != 62 || !strings.Contains(got[1].SMTPDescription, "suppression list") {
		t.Errorf("events of a suppressed recipient: %+v", got)
	}
	soft := order{sent: answers[1], kind: messages[j].kind}
	b.awaitEnd(t, &soft)
	b.checkEvents(t, &soft)
}

// open takes a message apart.
func open(t *testing.T, d delivery) *received {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(d.Data))
	if err != nil {
		t.Fatalf("%s: %v", d.To, err)
	}
	e := &received{delivery: d, header: parsed.Header}
	entity, err := message.Read(bytes.NewReader(d.Data))
	if err != nil {
		t.Fatalf("%s: %v", d.To, err)
	}
	err = entity.Walk(func(_ []int, p *message.Entity, err error) error {
		if err != nil {
			return err
		}
		kind, params, err := p.Header.ContentType()
		if err != nil || strings.HasPrefix(kind, "multipart/") {
			return err
		}
		body, err := io.ReadAll(p.Body)
		name := params["name"]
		if _, disposition, derr := p.Header.ContentDisposition(); derr == nil && disposition["filename"] != "" {
			name = disposition["filename"]
		}
		e.parts = append(e.parts, part{kind, name, body})
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", d.To, err)
	}
	return e
}

// part is the body of the first part of a kind that is no attachment.
func (e *received) part(t *testing.T, kind string) []byte {
	t.Helper()
	for _, p := range e.parts {
		if p.kind == kind && p.filename == "" {
			return p.body
		}
	}
	t.Errorf("%s: no part %s", e.To, kind)
	return nil
}

func (e *received) contains(t *testing.T, body []byte, words ...string) {
	t.Helper()
	for _, w := range words {
		if !bytes.Contains(body, []byte(w)) {
			t.Errorf("%s: %q is not in %q", e.To, w, body)
		}
	}
}

func (e *received) fieldIs(t *testing.T, name, want string) {
	t.Helper()
	got := e.header.Get(name)
	if text, err := wordDecoder.DecodeHeader(got); err == nil {
		got = text
	}
	if got != want {
		t.Errorf("%s: field %s is %q, want %q", e.To, name, got, want)
	}
}

var wordDecoder mime.WordDecoder

func mailKey(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestPreparedThroughPostfix sends one message of each difficult shape through
// a real Postfix. The far end must have, byte for byte, what was given to
// Postfix, below the Received fields that it adds; both verifiers must accept
// each signature there; and a parser of others must read what was sent.
func TestPreparedThroughPostfix(t *testing.T) {
	t.Parallel()
	ns, sink := newZone(t), newSink(t)
	p := startPostfix(t, postfixOptions{format: traditional, sinkPort: sink.port})
	tap := newTap(t, p.port)
	s := install(t, "")
	s.serve(t, ns.addr())
	s.get(t, s.asAccount("POST", "/api/v1/account/tpsp/", providerAt("our-postfix", tap.port)), &tpsp{})
	keyHost := s.addDomain(t, ns)

	sent := map[string]*prepared{} // by recipient
	for i := range preparations {
		p := &preparations[i]
		to := p.to
		if to.Email == "" {
			to.Email = fmt.Sprintf("prepared-%d@people.example", i)
		}
		body := m{
			"from": m{"email": "news@" + senderName, "name": "The News"}, "subject": p.subject, "ippool": "our-postfix",
			"trackOpens": false, "trackClicks": false, "to": []m{{"email": to.Email, "name": to.Name}},
		}
		for name, text := range map[string]string{"htmlBody": p.html, "textBody": p.text, "ampBody": p.amp} {
			if text != "" {
				body[name] = text
			}
		}
		body["attachments"], body["headers"] = p.files, p.headers
		if a := s.send(t, body); len(a) != 1 || a[0].ErrorCode != 0 {
			t.Fatalf("%s: %+v", p.name, a)
		}
		sent[aLabels.Replace(to.Email)] = p
	}
	arrived := func() []delivery { // without the connection test of the provider's creation
		return slices.DeleteFunc(sink.all(), func(d delivery) bool { return d.uuid() == "" })
	}
	if !within(t.Context(), waitMail, func() bool { return len(arrived()) >= len(preparations) }) {
		t.Fatalf("%d of %d messages arrived\n%s", len(arrived()), len(preparations), tail(p.mailLog, 6<<10))
	}
	var raw [][]byte
	for _, d := range arrived() {
		p := sent[d.To]
		if p == nil {
			t.Fatalf("a message to %s, which was not sent: %.2000s", d.To, d.Data)
		}
		delete(sent, d.To)
		at := bytes.Index(d.Data, []byte("DKIM-Signature: "))
		if at < 0 || !onlyTrace(d.Data[:at]) {
			t.Fatalf("%s: begins with\n%.2000s", p.name, d.Data)
		}
		if message := d.Data[at:]; !tap.passed(message) {
			t.Errorf("%s: Postfix changed it; the far end has\n%.4000q", p.name, message)
		}
		p.check(t, open(t, d))
		raw = append(raw, d.Data)
	}
	if len(sent) > 0 {
		t.Errorf("did not arrive: %v", sent)
	}
	by := verifySignatures(t, ns, keyHost, senderName, raw)
	t.Logf("DKIM signatures of %d shapes verified at the far end by %s", len(raw), strings.Join(by, " and "))
}

// onlyTrace tells whether a header has nothing but what mail servers add.
func onlyTrace(head []byte) bool {
	for line := range strings.SplitSeq(strings.TrimSuffix(string(head), "\r\n"), "\r\n") {
		if line != "" && !strings.HasPrefix(line, "Received: ") && line[0] != ' ' && line[0] != '\t' {
			return false
		}
	}
	return true
}

// prepared is a shape of message, and what must be read of it.
type prepared struct {
	name, subject   string
	html, text, amp string
	to              struct{ Email, Name string }
	files           []m
	headers         m
}

var aLabels = strings.NewReplacer("bücher.example", "xn--bcher-kva.example")

func file(name, id string, data []byte) m {
	out := m{"filename": name, "content": base64.StdEncoding.EncodeToString(data)}
	if id != "" {
		out["contentId"] = id
	}
	return out
}

var preparations = []prepared{
	{
		name: "dots and lines", subject: "Dots",
		text: ".\n..\n.first\n...three\nFrom the start\n" + strings.Repeat("no break ", 300) + "\n" + strings.Repeat("x", 5000) + "\n \t \nends in blanks   \n.\n",
	},
	{
		name: "eight bits", subject: "Grüße aus Köln – " + strings.Repeat("ein langer Betreff ", 20),
		text: strings.Repeat("Größe: 42 €, naïve café. ", 200) + "\n", html: "<p>" + strings.Repeat("Größe ", 900) + "</p>\n",
		headers: m{"X-Note": "Grüße " + strings.Repeat("und mehr ", 30)},
	},
	{
		name: "five scripts", subject: "Ваш заказ 注文 طلب παραγγελία 🎉", text: "Здравствуйте!\nこんにちは\nمرحبا\nΓειά\n你好 🎉\n",
		to: struct{ Email, Name string }{"five@bücher.example", "Иван 太郎 علي Ελένη Jörg"},
	},
	{
		name: "everything", subject: "All at once", html: `<html><body><img src="cid:logo@shop"><p>Hi</p></body></html>`, text: "Hi\n",
		amp: "<!doctype html>\n<html ⚡4email><body>Hi</body></html>\n",
		files: []m{
			file("logo.gif", "logo@shop", []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")),
			file("Rechnung für März.pdf", "", []byte("%PDF-1.7\n"+strings.Repeat("\x00\xff\r\n.\r\n", 3000))),
			file("unknown", "", []byte("plain text without an ending")),
		},
	},
	{name: "html alone", subject: "HTML", html: "<p>" + strings.Repeat("one line of HTML without a break ", 3000) + "</p>"},
	{name: "empty lines", subject: "Blank", text: "\n\n\nafter three\n\n\n\n"},
}

// check reads the message with a parser that shares no code with the composer.
func (p *prepared) check(t *testing.T, e *received) {
	t.Helper()
	e.fieldIs(t, "Subject", p.subject)
	if to, err := e.header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != e.To || to[0].Name != p.to.Name {
		t.Errorf("%s: To is %v (%v)", p.name, to, err)
	}
	for name, value := range p.headers {
		e.fieldIs(t, name, strings.TrimSpace(value.(string)))
	}
	lines := func(b []byte) string { return strings.TrimSuffix(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n") }
	for kind, want := range map[string]string{"text/html": p.html, "text/plain": p.text, "text/x-amp-html": p.amp} {
		if want != "" {
			if got := lines(e.part(t, kind)); got != strings.TrimSuffix(want, "\n") {
				t.Errorf("%s: %s is %.300q, want %.300q", p.name, kind, got, want)
			}
		}
	}
	for _, f := range p.files {
		data, err := base64.StdEncoding.DecodeString(f["content"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(e.parts, func(part part) bool { return part.filename == f["filename"] && bytes.Equal(part.body, data) }) {
			t.Errorf("%s: no part %v with its bytes", p.name, f["filename"])
		}
	}
}

// tap stands between waypost and Postfix and keeps what waypost says.
type tap struct {
	port int
	mu   sync.Mutex
	said [][]byte // by connection
}

func newTap(t testing.TB, to int) *tap {
	t.Helper()
	p := &tap{port: freePort(t)}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", loopback(p.port))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	running.Go(func() {
		for n := 0; ; n++ {
			from, err := l.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			behind, err := d.DialContext(t.Context(), "tcp", loopback(to))
			if err != nil {
				_ = from.Close()
				continue
			}
			p.mu.Lock()
			p.said = append(p.said, nil)
			p.mu.Unlock()
			running.Go(func() {
				_, _ = io.Copy(from, behind) // ends with either side
				_ = from.Close()
			})
			running.Go(func() {
				_, _ = io.Copy(io.MultiWriter(behind, &tapped{p, n}), from)
				_ = behind.Close()
			})
		}
	})
	return p
}

// tapped notes what goes through one connection.
type tapped struct {
	tap *tap
	n   int
}

func (w *tapped) Write(b []byte) (int, error) {
	w.tap.mu.Lock()
	defer w.tap.mu.Unlock()
	w.tap.said[w.n] = append(w.tap.said[w.n], b...)
	return len(b), nil
}

// passed tells whether a message went through as it is, dots doubled as SMTP
// wants (RFC 5321, section 4.5.2).
func (p *tap) passed(message []byte) bool {
	stuffed := bytes.ReplaceAll(message, []byte("\r\n."), []byte("\r\n.."))
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.said, func(said []byte) bool { return bytes.Contains(said, append(stuffed, ".\r\n"...)) })
}

package submission_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/submission"
)

// debianNode is where Debian keeps the modules of Node.js.
const debianNode = "NODE_PATH=/usr/share/nodejs"

// program runs one, or skips where it is not installed.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), debianNode)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "TLS not available") {
		t.Skipf("%s has no TLS: %s", name, out)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (h *house) taken(subject, text string) {
	h.Helper()
	all := h.messages()
	if len(all) == 0 {
		h.Fatal("no message was taken")
	}
	m := &all[len(all)-1]
	c := h.content(m)
	if c.Subject != subject || !strings.Contains(c.Text, text) || m.Provider == 0 {
		h.Errorf("the message is %q %q to %s", c.Subject, c.Text, m.Recipient)
	}
}

// TestSwaks hands in over STARTTLS with both mechanisms, and over TLS.
func TestSwaks(t *testing.T) {
	h := newHouse(t, nil)
	host, port, _ := net.SplitHostPort(h.starttls)
	_, secure, _ := net.SplitHostPort(h.implicit)
	for _, way := range [][]string{
		{"--port", port, "--tls", "--auth", "PLAIN"}, {"--port", port, "--tls", "--auth", "LOGIN"}, {"--port", secure, "--tls-on-connect", "--auth", "PLAIN"},
	} {
		program(t, "swaks", append(way, "--server", host, "--auth-user", h.user, "--auth-password", h.password, "--from", "a@example.com",
			"--to", "b@example.org,c@example.org", "--header", "Subject: by swaks", "--header", "X-Sendpost-Groups: swaks", "--body", "hello from swaks")...)
		h.taken("by swaks", "hello from swaks")
	}
	if n := len(h.messages()); n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
}

const byPython = `
import smtplib, ssl, sys
from email.message import EmailMessage
starttls, implicit, user, password = sys.argv[1:]
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "Ägid <a@example.com>", "b@example.org", "by Python ✓"
m.set_content("hello from Python é\n"); m.add_alternative("<p>hello from Python é <img src='cid:x@y'>", subtype="html")
m.get_payload()[1].add_related(b"\x89PNG\r\n\x1a\n", "image", "png", cid="<x@y>")
m.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream", filename="bytes é.bin")
host, port = starttls.rsplit(":", 1)
with smtplib.SMTP(host, int(port)) as s:
    s.starttls(context=context); s.login(user, password); s.send_message(m)
host, port = implicit.rsplit(":", 1)
with smtplib.SMTP_SSL(host, int(port), context=context) as s:
    s.login(user, password); s.send_message(m)
    try:
        s.sendmail("a@example.com", ["b@example.org"], b"Subject: no From\r\n\r\nx")
    except smtplib.SMTPDataError as e:
        assert e.smtp_code == 554, e
    else:
        raise SystemExit("taken without From")
`

// TestPythonSMTPLib hands in a mail with alternatives, a picture and a file.
func TestPythonSMTPLib(t *testing.T) {
	h := newHouse(t, nil)
	program(t, "python3", "-c", byPython, h.starttls, h.implicit, h.user, h.password)
	h.taken("by Python ✓", "hello from Python é")
	all := h.messages()
	c := h.content(&all[0])
	if len(all) != 2 || c.From.Name != "Ägid" || len(c.Attachments) != 2 || c.Attachments[0].ContentID != "x@y" || len(c.Attachments[1].Data) != 256 ||
		c.Attachments[1].Filename != "bytes é.bin" {
		t.Errorf("%d messages; the content is %+v", len(all), c)
	}
}

const byNode = `
const nodemailer = require("nodemailer"), [starttls, implicit, user, pass] = process.argv.slice(1)
const send = (address, secure) => { const [host, port] = address.split(":")
  return nodemailer.createTransport({host, port: +port, secure, requireTLS: !secure, auth: {user, pass}, tls: {rejectUnauthorized: false}}).sendMail({
    from: "Shop <a@example.com>", to: ["b@example.org", "c@example.org"], bcc: "d@example.org", subject: "by Nodemailer ✓", text: "hello from Nodemailer",
    html: "<p>hello", attachments: [{filename: "a.txt", content: "a file"}], headers: {"X-SP-Groups": "node"}})}
send(starttls, false).then(() => send(implicit, true)).catch(e => { console.error(e); process.exit(1) })
`

// TestNodemailer needs Debian's package node-nodemailer.
func TestNodemailer(t *testing.T) {
	look := exec.CommandContext(t.Context(), "node", "-e", `require("nodemailer")`)
	look.Env = append(os.Environ(), debianNode)
	if look.Run() != nil {
		t.Skip("nodemailer is not installed")
	}
	h := newHouse(t, nil)
	program(t, "node", "-e", byNode, h.starttls, h.implicit, h.user, h.password)
	h.taken("by Nodemailer ✓", "hello from Nodemailer")
	if n := len(h.messages()); n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
}

// TestLimits refuses what is too large.
func TestLimits(t *testing.T) {
	h := newHouse(t, func(c *submission.Config) { c.MaxBytes = 100_000 })
	c := h.dial()
	if err := c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(simple+strings.Repeat("hello\n", 20_000)))); err == nil {
		t.Error("a message beyond the limit is taken")
	}
	h = newHouse(t, func(c *submission.Config) { c.MaxMemory = 100_000 })
	c = h.dial()
	if err := c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(simple+strings.Repeat("hello\n", 20_000)))); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("beyond the memory: %v", err)
	}
	h.ok(c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(simple))))
	if n := len(h.messages()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

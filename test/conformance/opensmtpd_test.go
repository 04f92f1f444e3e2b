package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp"
)

const openSMTPDConf = `pki "mx.example" cert "/etc/cert.pem"
pki "mx.example" key "/etc/key.pem"
table accounts file:/etc/accounts
table refused { "refused@rcpt.example" }
smtp max-message-size "2000000"
smtp limit max-mails 14
listen on 127.0.0.1 port %[1]d hostname mx.example
listen on 127.0.0.1 port %[2]d hostname mx.example tls-require pki "mx.example" auth <accounts>
listen on 127.0.0.1 port %[3]d hostname mx.example smtps pki "mx.example" auth <accounts>
listen on 127.0.0.1 port %[4]d hostname mx.example no-dsn
action "out" relay host "smtp://127.0.0.1:%[5]d"
match from any for rcpt-to <refused> reject
match from any for any action "out"
`

var openSMTPD = unpacked{name: "opensmtpd", programs: []string{"usr/sbin/smtpd", "usr/sbin/smtpctl", "usr/libexec/opensmtpd"}}

func TestOpenSMTPD(t *testing.T) {
	t.Parallel()
	s := startOpenSMTPD(t)
	runRows(t, s, openSMTPDRows())
}

func startOpenSMTPD(t *testing.T) *server {
	t.Helper()
	root := openSMTPD.root(t, "opensmtpd", "opensmtpq")
	s := newServer(t, "plain", "sasl", "smtps", "no-dsn")
	s.enhanced = false // not for recipients that its rules reject
	write(t, filepath.Join(root, "etc/smtpd.conf"), fmt.Sprintf(openSMTPDConf,
		s.ports["plain"], s.ports["sasl"], s.ports["smtps"], s.ports["no-dsn"], s.sink.Port()), 0o644)
	smtpctl := filepath.Join(root, "usr/sbin/smtpctl") // it insists on its group
	if err := errors.Join(os.Chown(smtpctl, 0, firstUID+1), os.Chmod(smtpctl, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	encrypt := command("/usr/sbin/smtpctl", "encrypt", password)
	encrypt.Dir = "/"
	ownGroup(encrypt, root)
	hash, err := encrypt.Output()
	if err != nil {
		t.Fatalf("smtpctl encrypt: %v", err)
	}
	write(t, filepath.Join(root, "etc/accounts"), username+"\t"+string(hash), 0o640)
	if err := os.Chown(filepath.Join(root, "etc/accounts"), 0, firstUID); err != nil {
		t.Fatal(err)
	}
	cert, key := chain(t, s.good())
	write(t, filepath.Join(root, "etc/cert.pem"), cert, 0o644)
	write(t, filepath.Join(root, "etc/key.pem"), key, 0o600)
	for _, dir := range []string{"var/spool/smtpd", "var/lib/opensmtpd/empty"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "var/spool/smtpd"), 0o711); err != nil {
		t.Fatal(err)
	}
	cmd := command("/usr/sbin/smtpd", "-dv")
	cmd.Dir = "/"
	ownGroup(cmd, root)
	p := start(t, root, cmd)
	s.log = p.log
	awaitPorts(t, p, s.ports)
	if _, err := smtp.Dial(t.Context(), s.config("smtps", fromTLS)); err != nil {
		s.noTLS = err
	}
	return s
}

func openSMTPDRows() []row {
	rows := common()
	for i := range rows {
		if rows[i].tls {
			rows[i].result += "; skipped where the server's TLS is broken, as in Debian 12 (OpenSMTPD issue 1171)"
		}
	}
	return append(rows, []row{
		{name: "tls_broken", behaviour: "handshake broken off by the server (6.8.0p2 with OpenSSL 3)", result: "tls_handshake_failed, hint: its log; skipped where TLS works", run: brokenTLS},
		{name: "starttls_required", behaviour: "STARTTLS required, security none configured", result: "mail_from_failed 530, counted against the provider, hint names smtpSecurity starttls", run: func(t *testing.T, s *server) {
			startTLSHint(t, s, "sasl")
		}},
		{name: "size_announced", behaviour: "SIZE 2000000 announced, message larger", result: "552 5.3.4 decided here, nothing written; session goes on", run: sizeAnnounced("plain", 2000000)},
		{name: "smtputf8_off", behaviour: "SMTPUTF8 not offered, addresses in UTF-8", result: "553 5.6.7 decided here", run: noUTF8("plain")},
		{name: "8bitmime", behaviour: "8BITMIME offered, body in UTF-8", result: "BODY=8BITMIME", run: parameter("plain", "BODY=8BITMIME", true)},
		{name: "pipelining_off", behaviour: "PIPELINING not offered", result: "one command at a time", run: pipelined("plain", false)},
		{name: "dsn", behaviour: "DSN offered", result: "RET, ENVID, NOTIFY and ORCPT taken and handed on", run: dsn("plain")},
		{name: "dsn_off", behaviour: "DSN not offered", result: "no DSN parameters", run: parameter("no-dsn", "ENVID", false)},
		{name: "too_many_messages", behaviour: "session ended by the server after so many messages", result: "the next message goes on a new session", run: tooManyMessages(40)},
	}...)
}

// startTLSHint wants the connection test to say that TLS is missing.
func startTLSHint(t *testing.T, s *server, port string) {
	t.Helper()
	res := probe(t, s.config(port), newLetter(""), "dns connect banner ehlo mail!")
	if res.Code != 530 || res.ErrorClass != smtp.ClassMailFailed || !strings.Contains(res.Hint, "smtpSecurity starttls") {
		t.Errorf("%+v", res)
	}
}

// brokenTLS meets a server whose handshakes all end with an alert of its own.
func brokenTLS(t *testing.T, s *server) {
	if s.noTLS == nil {
		t.Skip("skipped: the TLS of this OpenSMTPD works")
	}
	for _, c := range []struct {
		cfg   smtp.Config
		steps string
	}{
		{s.config("smtps", fromTLS, login), "dns connect tls!"},
		{s.config("sasl", startTLS, login), "dns connect banner ehlo starttls tls!"},
	} {
		res := probe(t, c.cfg, newLetter(""), c.steps)
		if res.ErrorClass != smtp.ClassTLSFailed || !strings.Contains(res.Hint, "its log") {
			t.Errorf("%+v", res)
		}
	}
}

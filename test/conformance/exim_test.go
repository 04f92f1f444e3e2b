package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp"
)

// eximConf is the whole configuration. The options that differ between ports
// look at the port.
const eximConf = `primary_hostname = mx.exim.example
qualify_domain = exim.example
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = PORT_PLAIN : PORT_SASL : PORT_SMTPS : PORT_BARE
tls_on_connect_ports = PORT_SMTPS
keep_environment =
host_lookup =
rfc1413_hosts =
log_file_path = /var/log/exim4/%%slog
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
tls_advertise_hosts = ${if or{{eq{$received_port}{PORT_SASL}}{eq{$received_port}{PORT_SMTPS}}}{*}{}}
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
dsn_advertise_hosts = ${if eq{$received_port}{PORT_BARE}{}{*}}
smtputf8_advertise_hosts = ${if eq{$received_port}{PORT_BARE}{}{*}}
pipelining_advertise_hosts = ${if eq{$received_port}{PORT_BARE}{}{*}}
pipelining_connect_advertise_hosts =
message_size_limit = ${if eq{$received_port}{PORT_BARE}{20000}{20000000}}
smtp_accept_max_per_connection = 14
smtp_accept_queue_per_connection = 0
smtp_accept_max = 0
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_data = data

begin acl
mail:
  accept
rcpt:
  deny    local_parts = refused
          message = no such user
  defer   local_parts = later
          message = greylisted, try again
  accept  authenticated = *
  accept  condition = ${if or{{eq{$received_port}{PORT_PLAIN}}{eq{$received_port}{PORT_BARE}}}}
  deny    message = relay not permitted
data:
  deny    condition = ${if match{$h_subject:}{unwanted}}
          message = content refused
  accept

begin routers
next:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1 byname
  self = send

begin transports
out:
  driver = smtp
  port = %d
  hosts_avoid_tls = *
  message_linelength_limit = 100000

begin retry
* * F,1h,1s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{%[2]s}}{eq{$auth3}{%[3]s}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{%[2]s}}{eq{$auth2}{%[3]s}}}}
  server_set_id = $auth1
`

var exim = unpacked{name: "exim4-daemon-light", programs: []string{"usr/sbin/exim4"}}

func TestExim(t *testing.T) {
	t.Parallel()
	s := startExim(t)
	runRows(t, s, eximRows())
}

func startExim(t *testing.T) *server {
	t.Helper()
	root := exim.root(t, "Debian-exim")
	s := newServer(t, "plain", "sasl", "smtps", "bare")
	s.enhanced = false
	macros := fmt.Sprintf("PORT_PLAIN = %d\nPORT_SASL = %d\nPORT_SMTPS = %d\nPORT_BARE = %d\n",
		s.ports["plain"], s.ports["sasl"], s.ports["smtps"], s.ports["bare"])
	write(t, filepath.Join(root, "etc/exim4/exim4.conf"), macros+fmt.Sprintf(eximConf, s.sink.Port(), username, password), 0o644)
	cert, key := chain(t, s.good())
	write(t, filepath.Join(root, "etc/cert.pem"), cert, 0o644)
	write(t, filepath.Join(root, "etc/key.pem"), key, 0o600)
	for _, path := range []string{"var/spool/exim4", "var/log/exim4", "etc/key.pem"} {
		full := filepath.Join(root, path)
		if path != "etc/key.pem" {
			if err := os.MkdirAll(full, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(full, firstUID, firstUID); err != nil {
			t.Fatal(err)
		}
	}
	s.log = filepath.Join(root, "var/log/exim4/mainlog")
	cmd := command("/usr/sbin/exim4", "-bdf")
	cmd.Dir = "/"
	ownGroup(cmd, root)
	awaitPorts(t, start(t, root, cmd), s.ports)
	return s
}

func eximRows() []row {
	return append(common(), []row{
		{name: "size_announced", behaviour: "SIZE 20000 announced, message larger", result: "552 5.3.4 decided here, nothing written; session goes on", run: sizeAnnounced("bare", 20000)},
		{name: "smtputf8", behaviour: "SMTPUTF8 offered, addresses in UTF-8", result: "sent with SMTPUTF8", run: utf8("plain")},
		{name: "smtputf8_off", behaviour: "SMTPUTF8 not offered, addresses in UTF-8", result: "553 5.6.7 decided here", run: noUTF8("bare")},
		{name: "8bitmime", behaviour: "8BITMIME offered, body in UTF-8", result: "BODY=8BITMIME", run: parameter("plain", "BODY=8BITMIME", true)},
		{name: "pipelining", behaviour: "PIPELINING offered", result: "envelope in one write", run: pipelined("plain", true)},
		{name: "pipelining_off", behaviour: "PIPELINING not offered", result: "one command at a time", run: pipelined("bare", false)},
		{name: "dsn", behaviour: "DSN offered", result: "RET, ENVID, NOTIFY and ORCPT taken and handed on", run: dsn("plain")},
		{name: "dsn_off", behaviour: "DSN not offered", result: "no DSN parameters", run: parameter("bare", "ENVID", false)},
		{name: "temporary_recipient", behaviour: "recipient refused for now (451)", result: "rcpt_to_failed, transient; session goes on", run: func(t *testing.T, s *server) {
			refuseThenAccept(t, s, "plain", laterRcpt, smtp.StageRcpt, smtp.ClassRcptFailed, 451)
		}},
		{name: "refused_body", behaviour: "body refused after the final dot", result: "data_failed 550, permanent; session goes on", run: refusedBody("plain")},
		{name: "too_many_messages", behaviour: "session ended by the server after so many messages (421 to MAIL)", result: "the next message goes on a new session", run: tooManyMessages(40)},
	}...)
}

// tooManyMessages sends more than the server takes on one session.
func tooManyMessages(n int) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		pool := smtp.NewPool(s.config("plain"), smtp.PoolOptions{MaxConns: 1})
		defer func() { _ = pool.Close() }()
		var letters []letter
		sessions := 0
		for range n {
			l := newLetter("one of many\r\n")
			env := envelope(recipient)
			env.Trace = new(smtp.Transaction)
			if _, err := pool.Send(t.Context(), env, l.body); err != nil {
				t.Fatal(err)
			}
			if hasStep(env.Trace, "connect") {
				sessions++
			}
			letters = append(letters, l)
		}
		if sessions < 2 {
			t.Errorf("%d sessions; the server's limit was not met", sessions)
		}
		for _, l := range letters {
			s.arrived(t, l)
		}
	}
}

package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/simulator"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

const postfixMainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.postfix.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
append_dot_mydomain = no
biff = no
notify_classes =
disable_dns_lookups = yes
relayhost = [127.0.0.1]:%[2]d
smtp_tls_security_level = none
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
message_size_limit = 20000000
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access inline:{
  {refused@rcpt.example=550 5.1.1 no such user}
  {later@rcpt.example=450 4.2.0 greylisted, try again} }
smtpd_data_restrictions = reject_unauth_pipelining
header_checks = regexp:%[1]s/header_checks
smtpd_client_event_limit_exceptions =
smtpd_error_sleep_time = 0
smtpd_tls_chain_files = %[1]s/good.pem
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = %[1]s/sasl
`

// postfixPorts gives each variant the parameters it changes.
func postfixPorts(dir string) map[string][]string {
	accounts := []string{
		"smtpd_tls_security_level=may", "smtpd_sasl_auth_enable=yes", "smtpd_tls_auth_only=yes",
		"smtpd_relay_restrictions=permit_sasl_authenticated,reject",
	}
	with := func(more ...string) []string { return append(append([]string{}, accounts...), more...) }
	discard := func(words string) []string { return []string{"smtpd_discard_ehlo_keywords=" + words} }
	return map[string][]string{
		"plain":      nil,
		"sasl":       with(),
		"sasl-plain": with("smtpd_sasl_mechanism_filter=plain"),
		"sasl-login": with("smtpd_sasl_mechanism_filter=login"),
		"encrypt":    with("smtpd_tls_security_level=encrypt"),
		"smtps":      with("smtpd_tls_wrappermode=yes"),
		"expired":    with("smtpd_tls_chain_files=" + dir + "/expired.pem"),
		"selfsigned": with("smtpd_tls_chain_files=" + dir + "/selfsigned.pem"),
		"othername":  with("smtpd_tls_chain_files=" + dir + "/othername.pem"),
		"unknown-ca": with("smtpd_tls_chain_files=" + dir + "/unknown-ca.pem"),
		"small":      {"message_size_limit=20000"},
		"small-mute": {"message_size_limit=20000", "smtpd_discard_ehlo_keywords=size"},
		"no-8bit":    discard("8bitmime"),
		"no-pipe":    discard("pipelining"),
		"no-dsn":     discard("dsn"),
		"no-utf8":    discard("smtputf8"),
		"bare":       discard("8bitmime,pipelining,dsn,smtputf8,size,etrn,vrfy,enhancedstatuscodes,chunking"),
		"idle":       {"smtpd_timeout=1s"},
		"busy":       {"smtpd_client_connection_count_limit=1"},
		"strict":     {"smtpd_hard_error_limit=3", "smtpd_soft_error_limit=2"},
	}
}

func TestPostfix(t *testing.T) {
	t.Parallel()
	s := startPostfix(t)
	runRows(t, s, postfixRows())
}

func startPostfix(t *testing.T) *server {
	t.Helper()
	for _, p := range []string{"postfix", "saslpasswd2"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("skipped: %s is not installed (Debian: apt-get install postfix sasl2-bin libsasl2-modules)", p)
		}
	}
	if modules, _ := filepath.Glob("/usr/lib/*/sasl2/libplain.so"); len(modules) == 0 {
		t.Skip("skipped: Cyrus SASL has no PLAIN (Debian: apt-get install libsasl2-modules)")
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: Postfix starts as root only; run the tests as root")
	}
	dir := openDir(t)
	variants := postfixPorts(dir)
	var names []string
	for name := range variants {
		names = append(names, name)
	}
	s := newServer(t, names...)
	s.log = filepath.Join(dir, "log")
	var master strings.Builder
	for name, options := range variants {
		fmt.Fprintf(&master, "127.0.0.1:%d inet n - n - - smtpd\n", s.ports[name])
		for _, o := range options {
			fmt.Fprintf(&master, "  -o %s\n", o)
		}
	}
	write(t, filepath.Join(dir, "master.cf"), master.String()+simulator.PostfixServices, 0o644)
	write(t, filepath.Join(dir, "main.cf"), fmt.Sprintf(postfixMainCF, dir, s.sink.Port()), 0o644)
	write(t, filepath.Join(dir, "header_checks"), "/^Subject: unwanted/ REJECT content refused\n", 0o644)
	postfixAccounts(t, dir)
	postfixCertificates(t, s, dir)
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owner := strings.TrimSpace(run(t, "postconf", "-c", dir, "-h", "mail_owner"))
	run(t, "chown", owner, filepath.Join(dir, "data"), filepath.Join(dir, "sasl", "db"))
	run(t, "postfix", "-c", dir, "check") // makes the directories of the queue
	programs := strings.TrimSpace(run(t, "postconf", "-c", dir, "-h", "daemon_directory"))
	cmd := command(filepath.Join(programs, "master"), "-c", dir, "-d")
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir, "MAIL_LOGTAG=postfix")
	ownGroup(cmd, "")
	awaitPorts(t, start(t, dir, cmd), s.ports)
	return s
}

// postfixAccounts makes the user database of Cyrus SASL.
func postfixAccounts(t *testing.T, dir string) {
	t.Helper()
	db := filepath.Join(dir, "sasl", "db")
	write(t, filepath.Join(dir, "sasl", "smtpd.conf"),
		"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: "+db+"\nmech_list: PLAIN LOGIN\n", 0o644)
	user, realm, _ := strings.Cut(username, "@")
	cmd := exec.CommandContext(t.Context(), "saslpasswd2", "-p", "-c", "-f", db, "-u", realm, user)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v: %s", err, out)
	}
}

func postfixCertificates(t *testing.T, s *server, dir string) {
	t.Helper()
	soon := time.Now().Add(time.Hour)
	for name, c := range map[string]func() (string, string){
		"good":       func() (string, string) { return chain(t, s.good()) },
		"expired":    func() (string, string) { return chain(t, s.ca.Server(time.Now().Add(-time.Hour), "127.0.0.1")) },
		"selfsigned": func() (string, string) { return chain(t, smtptest.SelfSigned(t, "127.0.0.1")) },
		"othername":  func() (string, string) { return chain(t, s.ca.Server(soon, "other.example")) },
		"unknown-ca": func() (string, string) { return chain(t, smtptest.NewCA(t).Server(soon, "127.0.0.1")) },
	} {
		cert, key := c()
		write(t, filepath.Join(dir, name+".pem"), key+cert, 0o600)
	}
}

func postfixRows() []row {
	return append(common(), []row{
		{name: "auth_plain_only", behaviour: "AUTH PLAIN only (Cyrus SASL)", result: "sent; LOGIN asked for: auth_unsupported", run: offers("sasl-plain", smtp.AuthPlain, smtp.AuthLogin)},
		{name: "auth_login_only", behaviour: "AUTH LOGIN only (Cyrus SASL)", result: "sent; PLAIN asked for: auth_unsupported", run: offers("sasl-login", smtp.AuthLogin, smtp.AuthPlain)},
		{name: "starttls_required", behaviour: "STARTTLS required, security none configured", result: "mail_from_failed 530, counted against the provider, hint names smtpSecurity starttls; with it: sent", run: startTLSRequired},
		{name: "starttls_not_offered", behaviour: "STARTTLS configured, not offered", result: "tls_handshake_failed, nothing sent in clear", run: func(t *testing.T, s *server) {
			res := probe(t, s.config("plain", startTLS, login), newLetter(""), "dns connect banner ehlo starttls!")
			if res.ErrorClass != smtp.ClassTLSFailed || !strings.Contains(res.Hint, "does not offer STARTTLS") {
				t.Errorf("%+v", res)
			}
		}},
		{name: "certificate_expired", behaviour: "certificate expired", result: "tls_handshake_failed, hint: renew it", run: certificate("expired", "Renew it")},
		{name: "certificate_self_signed", behaviour: "certificate self-signed", result: "tls_handshake_failed, hint: public authority or tlsSkipVerify", run: certificate("selfsigned", "self-signed")},
		{name: "certificate_other_name", behaviour: "certificate for another name", result: "tls_handshake_failed, hint: a host name it covers", run: certificate("othername", "another name (other.example)")},
		{name: "certificate_unknown_authority", behaviour: "certificate of an unknown authority", result: "tls_handshake_failed, hint: complete the chain or tlsSkipVerify", run: certificate("unknown-ca", "authority that is not known")},
		{name: "size_announced", behaviour: "SIZE 20000 announced, message larger", result: "552 5.3.4 decided here, nothing written; session goes on", run: sizeAnnounced("small", 20000)},
		{name: "size_not_announced", behaviour: "size limit enforced without announcing it", result: "data_failed 552, permanent; session goes on", run: sizeSilent},
		{name: "smtputf8", behaviour: "SMTPUTF8 offered, addresses in UTF-8", result: "sent with SMTPUTF8", run: utf8("plain")},
		{name: "smtputf8_off", behaviour: "SMTPUTF8 not offered, addresses in UTF-8", result: "553 5.6.7 decided here", run: noUTF8("no-utf8")},
		{name: "8bitmime", behaviour: "8BITMIME offered, body in UTF-8", result: "BODY=8BITMIME", run: parameter("plain", "BODY=8BITMIME", true)},
		{name: "8bitmime_off", behaviour: "8BITMIME not offered, body in UTF-8", result: "sent as it is, without BODY", run: parameter("no-8bit", "BODY", false)},
		{name: "pipelining", behaviour: "PIPELINING offered", result: "envelope in one write", run: pipelined("plain", true)},
		{name: "pipelining_off", behaviour: "PIPELINING not offered", result: "one command at a time", run: pipelined("no-pipe", false)},
		{name: "dsn", behaviour: "DSN offered", result: "RET, ENVID, NOTIFY and ORCPT taken and handed on", run: dsn("plain")},
		{name: "dsn_off", behaviour: "DSN not offered", result: "no DSN parameters", run: parameter("no-dsn", "ENVID", false)},
		{name: "bare", behaviour: "no extension at all", result: "sent, one command at a time", run: pipelined("bare", false)},
		{name: "temporary_recipient", behaviour: "recipient refused for now (450)", result: "rcpt_to_failed, transient; session goes on", run: func(t *testing.T, s *server) {
			refuseThenAccept(t, s, "plain", laterRcpt, smtp.StageRcpt, smtp.ClassRcptFailed, 450)
		}},
		{name: "refused_body", behaviour: "body refused after the final dot", result: "data_failed 550, permanent; session goes on", run: refusedBody("plain")},
		{name: "idle_closed", behaviour: "idle session closed by the server (421)", result: "message goes on a new session", run: idleClosed},
		{name: "too_many_connections", behaviour: "second connection refused in the banner (421)", result: "connection_refused, transient; provider paused", run: busy},
		{name: "too_many_errors", behaviour: "session ended by the server after too many refusals (421)", result: "refusals stay refusals, the next message goes on a new session", run: tooManyErrors},
	}...)
}

func startTLSRequired(t *testing.T, s *server) {
	startTLSHint(t, s, "encrypt")
	s.accept(t, mustDial(t, s.config("encrypt", startTLS, login)), envelope(recipient), "encrypted\r\n")
}

func sizeSilent(t *testing.T, s *server) {
	c := mustDial(t, s.config("small-mute"))
	_, err := c.Send(t.Context(), envelope(recipient), newLetter(strings.Repeat("too large\r\n", 4000)).body)
	refused(t, err, smtp.StageFinal, smtp.ClassDataFailed, 552)
	s.accept(t, c, envelope(recipient), "small\r\n")
}

// refusedBody has a message refused for its subject, and another accepted.
func refusedBody(port string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		c := mustDial(t, s.config(port))
		body := strings.Replace(string(newLetter("x\r\n").body), "Subject: conformance", "Subject: unwanted", 1)
		for range 2 {
			_, err := c.Send(t.Context(), envelope(recipient), []byte(body))
			refused(t, err, smtp.StageFinal, smtp.ClassDataFailed, 550)
		}
		s.accept(t, c, envelope(recipient), "wanted\r\n")
	}
}

func idleClosed(t *testing.T, s *server) {
	pool := smtp.NewPool(s.config("idle"), smtp.PoolOptions{MaxConns: 1})
	defer func() { _ = pool.Close() }()
	for i := range 2 {
		before := strings.Count(read(t, s.log), "timeout after END-OF-MESSAGE")
		l := newLetter("before and after the silence\r\n")
		env := envelope(recipient)
		env.Trace = new(smtp.Transaction)
		if _, err := pool.Send(t.Context(), env, l.body); err != nil {
			t.Fatal(err)
		}
		if i > 0 && !hasStep(env.Trace, "connect") {
			t.Errorf("no new session: %+v", env.Trace.Steps)
		}
		s.arrived(t, l)
		eventually(t, "Postfix to close the session", func() bool {
			return strings.Count(read(t, s.log), "timeout after END-OF-MESSAGE") > before
		})
	}
}

func busy(t *testing.T, s *server) {
	first := mustDial(t, s.config("busy"))
	_, err := smtp.Dial(t.Context(), s.config("busy"))
	if e := refused(t, err, smtp.StageBanner, smtp.ClassConnectionRefused, 421); !e.Session() {
		t.Errorf("does not speak of the provider: %v", e)
	}
	s.accept(t, first, envelope(recipient), "the first is not disturbed\r\n")
}

func tooManyErrors(t *testing.T, s *server) {
	pool := smtp.NewPool(s.config("strict"), smtp.PoolOptions{MaxConns: 1})
	defer func() { _ = pool.Close() }()
	for range 8 {
		_, err := pool.Send(t.Context(), envelope(refusedRcpt), newLetter("refused\r\n").body)
		refused(t, err, smtp.StageRcpt, smtp.ClassRcptFailed, 550)
	}
	l := newLetter("after all that\r\n")
	if _, err := pool.Send(t.Context(), envelope(recipient), l.body); err != nil {
		t.Fatal(err)
	}
	s.arrived(t, l)
}

func hasStep(tr *smtp.Transaction, name string) bool {
	for _, s := range tr.Steps {
		if s.Name == name {
			return true
		}
	}
	return false
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

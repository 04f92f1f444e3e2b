package e2e

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/simulator"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// postfix is a private, complete Postfix: its own configuration, queue and
// data directories, one port on loopback, every next hop the sink.
type postfix struct {
	dir     string
	port    int
	mailLog string
	proc    *process
}

// postfixOptions are what differs between runs.
type postfixOptions struct {
	sinkPort int
	format   string // of rsyslog
	longIDs  bool
	tls      bool // offers STARTTLS
}

const mainCF = `compatibility_level = 3.6
myhostname = mx.e2e.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
append_dot_mydomain = no
biff = no
notify_classes =
disable_dns_lookups = yes
smtp_tls_security_level = none
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
maximal_queue_lifetime = 1d
bounce_queue_lifetime = 1d
message_size_limit = 52428800
`

// localServices deliver on the host.
const localServices = `local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
`

// startPostfix skips the test where Postfix is absent or may not run.
func startPostfix(t testing.TB, o postfixOptions) *postfix {
	t.Helper()
	program := need(t, "postfix", "postfix")
	if os.Geteuid() != 0 {
		t.Skip("skipped: Postfix starts as root only; run the tests as root")
	}
	syslog := startSyslog(t, o.format)
	p := &postfix{dir: openDir(t), port: freePort(t), mailLog: syslog.file}
	var conf strings.Builder
	conf.WriteString(mainCF + syslog.conf)
	fmt.Fprintf(&conf, "queue_directory = %s/queue\ndata_directory = %s/data\n", p.dir, p.dir)
	fmt.Fprintf(&conf, "relayhost = [127.0.0.1]:%d\n", o.sinkPort)
	fmt.Fprintf(&conf, "transport_maps = inline:{ {cut.example=smtp:[%s]:%d} {dead.example=smtp:[%s]:%d} }\n", cutHost, o.sinkPort, deadHost, o.sinkPort)
	fmt.Fprintf(&conf, "enable_long_queue_ids = %s\n", map[bool]string{true: "yes", false: "no"}[o.longIDs])
	if o.tls {
		fmt.Fprintf(&conf, "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = %s\n", p.certificate(t))
	}
	write(t, p.path("main.cf"), conf.String())
	write(t, p.path("master.cf"), loopback(p.port)+" inet n - n - - smtpd\n"+simulator.PostfixServices+localServices)
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(p.path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.ownData(t)
	args := append(syslog.wrap, program, "-c", p.dir, "start-fg")
	p.proc = start(t, p.dir, "postfix", command(args[0], args[1:]...))
	t.Cleanup(p.stop)
	eventually(t, "Postfix to greet", waitStart, func() bool {
		if p.proc.ended() {
			t.Fatalf("Postfix ended:\n%s\n%s", tail(p.proc.log, 4<<10), tail(p.mailLog, 4<<10))
		}
		return p.greets(t)
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of Postfix's log:\n%s", tail(p.mailLog, 6<<10))
		}
	})
	return p
}

func (p *postfix) path(name string) string { return filepath.Join(p.dir, name) }

// certificate writes a self-signed certificate and its key.
func (p *postfix) certificate(t testing.TB) string {
	t.Helper()
	c := smtptest.SelfSigned(t, "mx.e2e.example").Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	path := p.path("chain.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ownData gives the data directory to the user that Postfix runs as.
func (p *postfix) ownData(t testing.TB) {
	t.Helper()
	owner := strings.TrimSpace(mustRun(t, "postconf", "-c", p.dir, "-h", "mail_owner"))
	mustRun(t, "chown", owner, p.path("data"))
}

func (p *postfix) greets(t testing.TB) bool {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", loopback(p.port))
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // a failure shows in the read
	line, err := bufio.NewReader(c).ReadString('\n')
	_, _ = c.Write([]byte("QUIT\r\n")) // politeness
	return err == nil && strings.HasPrefix(line, "220 ")
}

// master is the process id of Postfix's first process, 0 when there is none.
func (p *postfix) master() int {
	pid, err := strconv.Atoi(strings.TrimSpace(string(after(p.path("queue/pid/master.pid"), 0))))
	if err != nil {
		return 0
	}
	return pid
}

// set changes a parameter of the running Postfix.
func (p *postfix) set(t testing.TB, parameter string) {
	t.Helper()
	mustRun(t, "postconf", "-c", p.dir, "-e", parameter)
	p.reload(t)
}

// reload has every process of Postfix read its configuration and queue anew.
func (p *postfix) reload(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(p.master(), syscall.SIGHUP); err != nil {
		t.Fatalf("reload Postfix: %v", err)
	}
}

// stop ends Postfix: the first process ends the others.
func (p *postfix) stop() {
	if pid := p.master(); pid > 1 && !p.proc.ended() {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		select {
		case <-p.proc.done:
		case <-time.After(20 * time.Second):
		}
		_ = syscall.Kill(-pid, syscall.SIGKILL) // its group, if it made one
	}
	p.proc.stop()
}

// trace gives the log lines of every queue id that carried a message.
func (p *postfix) trace(uuid string) string {
	lines := strings.SplitAfter(string(after(p.mailLog, 0)), "\n")
	ids := map[string]bool{}
	for _, line := range lines {
		if strings.Contains(line, uuid) {
			if _, rest, ok := strings.Cut(line, "]: "); ok {
				id, _, _ := strings.Cut(rest, ":")
				ids[id] = true
			}
		}
	}
	var out strings.Builder
	for _, line := range lines {
		for id := range ids {
			if strings.Contains(line, id) {
				out.WriteString(line)
				break
			}
		}
	}
	return out.String()
}

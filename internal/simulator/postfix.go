package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PostfixConfig sets up a private Postfix instance.
type PostfixConfig struct {
	Dir      string // exists, absolute; its parents can be entered by the user postfix
	Hostname string // of the instance; "" : relay.example
	NextHop  string // "127.0.0.1:port" that all mail goes to
	Policy   string // "127.0.0.1:port" of a policy service; "" : none
}

// ErrNoPostfix is the cause when Postfix cannot be used on this machine.
var ErrNoPostfix = errors.New("no Postfix to use")

// commandWithin is how long a start or stop may take; Postfix itself kills
// what is left after five seconds of stopping.
const commandWithin = 30 * time.Second

// CheckPostfix tells whether a private instance can be started: Postfix and
// its user are there, and this process is root's. The error wraps ErrNoPostfix
// and says what to do.
func CheckPostfix() error {
	for _, program := range []string{"postfix", "postconf"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: the program %q is not in PATH; install Postfix, or leave --postfix out to use the built-in simulator", ErrNoPostfix, program)
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: its master process must be started by root; run this as root, or leave --postfix out to use the built-in simulator", ErrNoPostfix)
	}
	if _, err := user.Lookup("postfix"); err != nil {
		return fmt.Errorf("%w: there is no user postfix: %w", ErrNoPostfix, err)
	}
	return nil
}

// RunPostfix starts a private Postfix instance below c.Dir, calls ready with
// the address of its SMTP server and the path of its log, and stops it when
// ctx ends. The installed Postfix, running or not, is neither used nor changed
// but for its programs.
func RunPostfix(ctx context.Context, c PostfixConfig, ready func(smtp, mailLog string)) error {
	if err := CheckPostfix(); err != nil {
		return err
	}
	if c.Hostname == "" {
		c.Hostname = "relay.example"
	}
	addr, err := c.start(ctx)
	if err != nil {
		return err
	}
	ready(addr, c.mailLog())
	<-ctx.Done()
	return c.command(ctx, "stop")
}

// start starts the instance on a port of loopback, on another one when somebody
// was faster.
func (c *PostfixConfig) start(ctx context.Context) (addr string, err error) {
	for range 5 {
		if addr, err = freePort(ctx); err != nil {
			return "", err
		}
		if err = c.startOn(ctx, addr); !errors.Is(err, errPortTaken) {
			return addr, err
		}
	}
	return "", err
}

// errPortTaken means that somebody else listens where Postfix was to.
var errPortTaken = errors.New("its port was taken by another program in the meantime")

func (c *PostfixConfig) startOn(ctx context.Context, addr string) error {
	if err := c.write(addr); err != nil {
		return fmt.Errorf("write the configuration of Postfix: %w", err)
	}
	err := c.command(ctx, "start")
	if err == nil {
		return nil
	}
	var listen net.ListenConfig
	l, taken := listen.Listen(ctx, "tcp", addr)
	if taken != nil {
		return fmt.Errorf("%w: %w", errPortTaken, err)
	}
	_ = l.Close()
	return err
}

func (c *PostfixConfig) mailLog() string { return filepath.Join(c.Dir, "mail.log") }

// command runs postfix(1) for the instance, to its end whatever becomes of
// ctx: a start cut short would leave a server behind. What it says goes to a
// file, as the daemons keep what they inherit; the error has the end of it, or
// of the log.
func (c *PostfixConfig) command(ctx context.Context, verb string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandWithin)
	defer cancel()
	out, err := os.Create(filepath.Join(c.Dir, verb+".out"))
	if err != nil {
		return fmt.Errorf("postfix %s: %w", verb, err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(ctx, "postfix", "-c", filepath.Join(c.Dir, "etc"), verb)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if err == nil {
		return nil
	}
	for _, name := range []string{out.Name(), c.mailLog()} {
		if b, readErr := os.ReadFile(name); readErr == nil && len(b) > 0 {
			return fmt.Errorf("postfix %s: %w: %s", verb, err, strings.TrimSpace(string(b[max(0, len(b)-1000):])))
		}
	}
	return fmt.Errorf("postfix %s: %w", verb, err)
}

// freePort finds a port of loopback that nobody listens on at this moment.
func freePort(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// write makes the directories and the two configuration files.
func (c *PostfixConfig) write(addr string) error {
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	for _, sub := range []string{"etc", "queue", "data"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chown(filepath.Join(c.Dir, "data"), uid, -1); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "etc", "main.cf"), []byte(c.mainCF()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "etc", "master.cf"), []byte(addr+" inet n - n - - smtpd\n"+PostfixServices), 0o644)
}

// mainCF is postconf(5) of the instance: loopback only, no local delivery, no
// tables, all mail to the next hop, retries within seconds, a log without
// syslog.
func (c *PostfixConfig) mainCF() string {
	restrictions := "permit_mynetworks, reject"
	if c.Policy != "" {
		restrictions = "check_policy_service inet:" + c.Policy + ", " + restrictions
	}
	host, port, _ := net.SplitHostPort(c.NextHop)
	return fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[2]s
maillog_file_prefixes = %[1]s
myhostname = %[3]s
mydestination =
local_transport = error:no local delivery here
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [%[4]s]:%[5]s
smtpd_recipient_restrictions = %[6]s
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
smtp_tls_security_level = none
disable_dns_lookups = yes
queue_run_delay = 1s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
maximal_queue_lifetime = 1h
bounce_queue_lifetime = 1h
`, c.Dir, c.mailLog(), c.Hostname, host, port, restrictions)
}

// PostfixServices is what a private Postfix needs in its master.cf, see
// master(5), beside the SMTP server that each chooses for itself: Postfix's own
// services, outside of chroot.
const PostfixServices = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

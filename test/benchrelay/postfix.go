package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost-mail/waypost/internal/simulator"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/test/ports"
)

// postfixServer is a Postfix with configuration, queue and data of its own,
// OpenDKIM as its milter and the sink as its relay host.
type postfixServer struct {
	programs programs
	sessions int

	dir    string
	port   int
	milter *opendkim
	master *child
}

func (p *postfixServer) name() string { return "Postfix + OpenDKIM" }

func (p *postfixServer) start(ctx context.Context, dir string, sinkPort int) error {
	p.dir = dir
	var err error
	if p.port, err = ports.Take(ctx); err != nil {
		return err
	}
	if p.milter, err = startOpenDKIM(ctx, p.programs.opendkim, dir); err != nil {
		return err
	}
	if err := p.configure(sinkPort); err != nil {
		return err
	}
	// The check makes the queue's directories with their owners and rights.
	check := exec.CommandContext(ctx, p.programs.postfix, "-c", p.config(), "check") //nolint:gosec // found by findPrograms
	if out, err := check.CombinedOutput(); err != nil {
		return fmt.Errorf("postfix check: %w\n%s", err, out)
	}
	master := exec.CommandContext(ctx, p.programs.master, "-c", p.config(), "-d") //nolint:gosec // found by findPrograms
	if p.master, err = startChild(master, "Postfix's master", filepath.Join(dir, "master.log")); err != nil {
		return err
	}
	return awaitListener(ctx, "tcp", p.address(), p.master, p.milter.child)
}

func (p *postfixServer) config() string  { return filepath.Join(p.dir, "etc") }
func (p *postfixServer) queue() string   { return filepath.Join(p.dir, "queue") }
func (p *postfixServer) logFile() string { return filepath.Join(p.dir, "postfix.log") }
func (p *postfixServer) address() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

// configure writes main.cf and master.cf and makes the directories.
func (p *postfixServer) configure(sinkPort int) error {
	data := filepath.Join(p.dir, "data")
	for _, d := range []string{p.config(), p.queue(), data} {
		if err := os.Mkdir(d, 0o755); err != nil { //nolint:gosec // read by user postfix
			return fmt.Errorf("make Postfix's directories: %w", err)
		}
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return fmt.Errorf("find the user of Postfix: %w", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return fmt.Errorf("user postfix has the id %q: %w", owner.Uid, err)
	}
	if err := os.Chown(data, uid, -1); err != nil {
		return fmt.Errorf("give Postfix its data directory: %w", err)
	}
	for name, text := range map[string]string{
		"main.cf":   p.mainConfig(data, sinkPort),
		"master.cf": p.address() + " inet n - n - - smtpd\n" + simulator.PostfixServices,
	} {
		if err := os.WriteFile(filepath.Join(p.config(), name), []byte(text), 0o644); err != nil { //nolint:gosec // read by user postfix
			return fmt.Errorf("configure Postfix: %w", err)
		}
	}
	return nil
}

// mainConfig is Postfix tuned for this work: no look-ups, no throttle of the
// input, all sessions to the relay from the start and reused, a queue manager
// that holds everything in memory. Durability is as always: fsync before 250.
func (p *postfixServer) mainConfig(data string, sinkPort int) string {
	return fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %s
data_directory = %s
maillog_file = %s
maillog_file_prefixes = %s
myhostname = mx.%s
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:%d
alias_maps =
alias_database =
local_recipient_maps =
smtpd_milters = unix:%s
milter_default_action = tempfail
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_reject_unlisted_recipient = no
smtpd_client_connection_count_limit = 0
receive_override_options = no_address_mappings
message_size_limit = 0
mailbox_size_limit = 0
in_flow_delay = 0
default_process_limit = 200
qmgr_message_active_limit = 1000000
qmgr_message_recipient_limit = 1000000
initial_destination_concurrency = %[8]d
default_destination_concurrency_limit = %[8]d
smtp_connection_cache_on_demand = yes
smtp_connection_reuse_time_limit = 300s
`, p.queue(), data, p.logFile(), p.dir, senderDomain, sinkPort, p.milter.socket, p.sessions)
}

// send injects over as many sessions, each used for many messages, with
// pipelining.
func (p *postfixServer) send(ctx context.Context, w work) error {
	pool := smtp.NewPool(smtp.Config{Host: "127.0.0.1", Port: p.port, AllowPrivate: true}, smtp.PoolOptions{MaxConns: p.sessions})
	defer func() { _ = pool.Close() }()
	body, now := text(w.size, numberField), time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.sessions)
	for i := w.first; i < w.first+w.n && ctx.Err() == nil; i++ {
		group.Go(func() error {
			envelope := smtp.Envelope{From: senderEmail, To: recipient(i)}
			if _, err := pool.Send(ctx, envelope, w.mail(body, i, now)); err != nil {
				return fmt.Errorf("inject message %d: %w", i, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// queued counts the files of Postfix's queue.
func (p *postfixServer) queued(context.Context) (int, error) {
	n := 0
	for _, name := range []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"} {
		err := filepath.WalkDir(filepath.Join(p.queue(), name), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("count Postfix's queue: %w", err)
		}
	}
	return n, nil
}

func (p *postfixServer) processes() []int { return []int{p.master.pid(), p.milter.pid()} }

func (p *postfixServer) keyRecord() (host, value string) {
	return selector + "._domainkey." + senderDomain, p.milter.record
}

func (p *postfixServer) log() string {
	if s := logTail(p.logFile()); s != "" {
		return s
	}
	return logTail(filepath.Join(p.dir, "master.log"))
}

func (p *postfixServer) stop() {
	p.master.stop()
	if p.milter != nil {
		p.milter.stop()
	}
}

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// syslogDaemon writes what Postfix says into a log file.
type syslogDaemon struct {
	file string   // the log
	wrap []string // put before the command that starts Postfix
	conf string   // lines for main.cf
}

// The two formats of rsyslog that are met on real hosts.
const (
	traditional = "RSYSLOG_TraditionalFileFormat"
	rfc3339     = "RSYSLOG_FileFormat"
)

// syslogModeEnv chooses how Postfix's lines reach the log: namespace, devlog
// or postlogd. Without it the first that works here is taken.
const syslogModeEnv = "WAYPOST_E2E_SYSLOG"

// devLog is held by the one test that owns /dev/log.
var devLog sync.Mutex

// privateDev gives a command a /dev of its own, whose log is the socket given,
// in a mount namespace that ends with it. Arguments: an empty directory, the
// socket, the command.
const privateDev = `set -e
dev=$1 socket=$2
shift 2
for name in null zero full random urandom; do
	: >"$dev/$name"
	mount --bind "/dev/$name" "$dev/$name"
done
ln -s /proc/self/fd "$dev/fd"
ln -s "$socket" "$dev/log"
mount --rbind "$dev" /dev
exec "$@"`

// startSyslog starts a private rsyslogd. Postfix writes to /dev/log by the C
// library, so that the socket must be there for Postfix and for nobody else.
func startSyslog(t testing.TB, format string) *syslogDaemon {
	t.Helper()
	dir := openDir(t)
	s := &syslogDaemon{file: filepath.Join(dir, "mail.log")}
	socket := filepath.Join(dir, "log.sock")
	rsyslogd, installed := find("rsyslogd")
	mode := os.Getenv(syslogModeEnv)
	if mode == "" {
		mode = syslogMode(t, installed)
	}
	switch mode {
	case "namespace":
		dev := filepath.Join(dir, "dev")
		if err := os.Mkdir(dev, 0o755); err != nil {
			t.Fatal(err)
		}
		s.wrap = []string{"unshare", "--mount", "sh", "-c", privateDev, "sh", dev, socket}
		t.Logf("rsyslogd writes Postfix's log as %s; its socket is Postfix's /dev/log in a mount namespace", format)
	case "devlog":
		devLog.Lock()
		t.Cleanup(devLog.Unlock)
		socket = "/dev/log"
		t.Cleanup(func() { _ = os.Remove(socket) })
		t.Logf("rsyslogd writes Postfix's log as %s; it listens on /dev/log", format)
	default:
		s.conf = fmt.Sprintf("maillog_file = %s\nmaillog_file_prefixes = %s\n", s.file, dir)
		t.Logf("rsyslogd installed: %v; Postfix's postlogd writes the log by itself, because neither a mount namespace nor /dev/log can be had", installed)
		return s
	}
	config := write(t, filepath.Join(dir, "rsyslog.conf"), fmt.Sprintf(`global(workDirectory=%q)
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket=%q RateLimit.Interval="0")
mail.* action(type="omfile" file=%q template=%q fileCreateMode="0644")
`, dir, socket, s.file, format))
	daemon := start(t, dir, "rsyslogd", command(rsyslogd, "-n", "-f", config, "-i", filepath.Join(dir, "rsyslogd.pid")))
	eventually(t, "rsyslogd to listen on "+socket, waitStart, func() bool {
		if daemon.ended() {
			t.Fatalf("rsyslogd ended:\n%s", tail(daemon.log, 4<<10))
		}
		return listening(t, socket)
	})
	return s
}

// syslogMode finds what this machine allows.
func syslogMode(t testing.TB, rsyslogd bool) string {
	t.Helper()
	if !rsyslogd {
		return "postlogd"
	}
	if _, ok := find("unshare"); ok {
		code, _, _ := run(t, "unshare", "--mount", "sh", "-c", privateDev, "sh", t.TempDir(), "/nowhere", "true")
		if code == 0 {
			return "namespace"
		}
	}
	if _, err := os.Lstat("/dev/log"); os.IsNotExist(err) {
		return "devlog"
	}
	return "postlogd"
}

// listening tells whether a datagram socket has a reader.
func listening(t testing.TB, socket string) bool {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "unixgram", socket)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

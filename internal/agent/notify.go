package agent

import (
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells a service manager how the agent is (sd_notify(3)): that it is
// ready, what it is at, and that its reader still turns. Without a manager
// that listens it does nothing.
type notifier struct {
	socket string
	every  time.Duration // between signs of life, 0: none are wanted
	last   time.Time
}

// newNotifier reads what the manager put into the environment.
func newNotifier() *notifier {
	n := &notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	if us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			n.every = time.Duration(us) * time.Microsecond / 3
		}
	}
	return n
}

// send gives the manager assignments, one a line. A manager that cannot be
// reached is no reason to stop working.
func (n *notifier) send(state string) {
	if n.socket == "" {
		return
	}
	name := n.socket
	if name[0] == '@' { // abstract
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}

// alive is told by the reader each time it has looked at the log.
func (n *notifier) alive(now time.Time) {
	if n.every > 0 && now.Sub(n.last) >= n.every {
		n.last = now
		n.send("WATCHDOG=1")
	}
}

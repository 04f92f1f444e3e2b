package simulator

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/smtp"
)

// instanceDir is a directory that the user postfix can reach: the test's own
// temporary directory is closed to it.
func instanceDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "waypost-postfix-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A private Postfix takes mail, asks the policy service, relays to the far end
// and logs all of it.
func TestRunPostfix(t *testing.T) {
	if err := CheckPostfix(); err != nil {
		t.Skip(err)
	}
	far, policy := &FarEnd{}, &Policy{}
	farAddr, policyAddr := running(t, far.Run), running(t, policy.Run)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var at, log string
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		c := PostfixConfig{Dir: instanceDir(t), NextHop: farAddr.String(), Policy: policyAddr.String()}
		ended <- RunPostfix(ctx, c, func(smtpAddr, mailLog string) {
			at, log = smtpAddr, mailLog
			close(up)
		})
	}()
	select {
	case <-up:
	case err := <-ended:
		t.Fatal(err)
	}
	addr := resolve(t, at)
	c := dial(t, addr, "", "")
	envelope := smtp.Envelope{From: sender, To: "refused@mailbox.example"}
	var e *smtp.Error
	if _, err := c.Send(t.Context(), envelope, []byte(body)); !errors.As(err, &e) || e.Reply == nil || e.Reply.Code != 451 {
		t.Fatalf("the first attempt: %v", err)
	}
	if _, err := c.Send(t.Context(), envelope, []byte(body)); err != nil {
		t.Fatalf("the second attempt: %v", err)
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for far.Taken() == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			b, _ := os.ReadFile(log)
			t.Fatalf("nothing arrived; the log is\n%s", b)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(b), "from=<"+sender+">") || !strings.Contains(string(b), "status=sent") {
		t.Errorf("%v; the log is\n%s", err, b)
	}
}

func TestCheckPostfixWithoutPostfix(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := CheckPostfix()
	if !errors.Is(err, ErrNoPostfix) || !strings.Contains(err.Error(), "install Postfix") {
		t.Errorf("%v", err)
	}
	err = RunPostfix(t.Context(), PostfixConfig{Dir: t.TempDir()}, func(string, string) { t.Error("it started") })
	if !errors.Is(err, ErrNoPostfix) {
		t.Errorf("%v", err)
	}
}

// A start that fails says why, in Postfix's own words.
func TestRunPostfixThatCannotStart(t *testing.T) {
	if err := CheckPostfix(); err != nil {
		t.Skip(err)
	}
	dir := instanceDir(t)
	if err := os.WriteFile(filepath.Join(dir, "queue"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := RunPostfix(t.Context(), PostfixConfig{Dir: dir, NextHop: "127.0.0.1:1"}, func(string, string) { t.Error("it started") })
	if err == nil || !strings.Contains(err.Error(), "queue") {
		t.Errorf("%v", err)
	}
}

// A port that another program took is told from other reasons not to start.
func TestPostfixOnATakenPort(t *testing.T) {
	if err := CheckPostfix(); err != nil {
		t.Skip(err)
	}
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	c := PostfixConfig{Dir: instanceDir(t), NextHop: "127.0.0.1:1", Hostname: "relay.example"}
	if err := c.startOn(t.Context(), l.Addr().String()); !errors.Is(err, errPortTaken) {
		t.Errorf("%v", err)
	}
}

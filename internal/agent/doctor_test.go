package agent

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// look runs one examination and gives its findings, one a line.
func look(examine func(adder)) string {
	var b strings.Builder
	examine(func(check string, g Grade, detail, remedy string) {
		fmt.Fprintf(&b, "%s %s: %s", check, g, detail)
		if remedy != "" {
			b.WriteString(" -> " + remedy)
		}
		b.WriteString("\n")
	})
	return b.String()
}

// putFile writes a file below a directory.
func putFile(t *testing.T, root, name, text string, mode os.FileMode) string {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDoctorRotation(t *testing.T) {
	f := func(rule, want string) {
		t.Helper()
		dir := t.TempDir()
		putFile(t, dir, "mail", rule, 0o600)
		got := look(func(add adder) { examineRotation(&Config{LogPath: "/var/log/mail.log"}, dir, add) })
		if !strings.Contains(got, want) {
			t.Errorf("%q: %q; want %q", rule, got, want)
		}
	}
	f("/var/log/mail.log\n/var/log/mail.err\n{\n\tweekly\n\tcopytruncate\n}\n", "rotation warning")
	f("/var/log/*.log {\n\tcopytruncate\n}\n", "rotation warning")
	f("\"/var/log/mail.log\" {\n\tweekly\n\t# not copytruncate\n}\n", "by renaming")
	f("/var/log/other {\n\tcopytruncate\n}\n/var/log/mail.log {\n\tdaily\n}\n", "by renaming")
	f("/var/log/mail.log.old {\n\tcopytruncate\n}\n", "no rule")
	f("/var/log/mail.log", "no rule")
	f("", "no rule")
}

func TestDoctorPostfix(t *testing.T) {
	f := func(script, want string) {
		t.Helper()
		dir := t.TempDir()
		putFile(t, dir, "postconf", "#!/bin/sh\n"+script, 0o700)
		t.Setenv("PATH", dir)
		got := look(func(add adder) {
			examinePostfix(t.Context(), &Config{MTA: "postfix", LogPath: "/var/log/mail.log"}, add)
		})
		if !strings.Contains(got, want) || strings.Contains(want, "warning") && !strings.Contains(got, " -> ") {
			t.Errorf("%s: %q; want %q", script, got, want)
		}
	}
	f("echo content_filter = smtp:[127.0.0.1]:10024", "postfix ok: no setting is in the way; content_filter = smtp:[127.0.0.1]:10024")
	f("echo enable_long_queue_ids = no", "yes would avoid it")
	f("echo maillog_file = /var/log/postfix.log", "postfix warning: maillog_file is /var/log/postfix.log")
	f("echo maillog_file = /var/log/mail.log", "postfix ok")
	f("echo sender_canonical_maps = hash:/x; echo sender_canonical_classes = envelope_sender, header_sender", "postfix warning: sender_canonical_maps")
	f("echo sender_canonical_maps = hash:/x; echo sender_canonical_classes = header_sender", "postfix ok")
	f("echo multi_instance_directories = /etc/postfix-far", "postfix warning: there are further instances")
	f("echo postconf: fatal: open main.cf: Permission denied >&2; exit 1", "could not be asked for")
	f("echo always_bcc = a@b; echo unknown parameter >&2", "always_bcc = a@b")
	service := `if [ "$1" = -P ]; then echo "relay/unix/sender_canonical_maps = hash:/x"; echo "smtp/inet/content_filter = scan:9"; echo "smtp/inet/syslog_name = postfix/in"; else echo syslog_name = postfix; fi`
	f(service, "postfix warning: in master.cf relay/unix has its own sender_canonical_maps = hash:/x")
	f(service, "postfix ok: services with settings of their own in master.cf: smtp/inet: content_filter = scan:9")
	if got := look(func(add adder) { examinePostfix(t.Context(), &Config{MTA: "exim"}, add) }); got != "" {
		t.Errorf("with Exim: %q", got)
	}
}

func TestDoctorRealPostfix(t *testing.T) {
	if _, err := exec.LookPath("postconf"); err != nil {
		t.Skip("Postfix is not installed")
	}
	got := look(func(add adder) {
		examinePostfix(t.Context(), &Config{MTA: "postfix", LogPath: "/var/log/mail.log"}, add)
	})
	if !strings.Contains(got, "syslog_name = postfix") && !strings.Contains(got, "warning") {
		t.Errorf("of a real Postfix: %q", got)
	}
}

func TestDoctorJournal(t *testing.T) {
	f := func(files map[string]string, lines []string, direct bool, want string) {
		t.Helper()
		root := t.TempDir()
		for name, text := range files {
			putFile(t, root, name, text, 0o600)
		}
		got := look(func(add adder) { examineJournal("postfix", &Place{root: root}, direct, lines, add) })
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%v: %q; want %q", files, got, want)
		}
	}
	const between, qlen = "run/systemd/journal/dev-log", "proc/sys/net/unix/max_dgram_qlen"
	f(nil, nil, false, "")
	f(map[string]string{qlen: "10\n"}, nil, false, "") // no journal here
	f(map[string]string{between: "", qlen: "10\n"}, nil, false, "max_dgram_qlen is 10")
	f(map[string]string{between: "", qlen: "10\n"}, nil, true, "")
	f(map[string]string{between: "", qlen: "512\n"}, nil, false, "journal ok: stands before the log; its limit of 10000 lines in 30s")
	var busy []string
	for i := range 3000 {
		busy = append(busy, fmt.Sprintf("Nov 24 04:00:%02d mta1 postfix/qmgr[1]: 000019EE5BF: removed", i/1000))
	}
	f(map[string]string{between: "", qlen: "512"}, busy, false, "drops what exceeds 10000 lines in 30s")
	f(map[string]string{between: "", "etc/systemd/journald.conf": "[Journal]\n#RateLimitBurst=5\nRateLimitIntervalSec=0\n"}, busy, false, "limit of 10000 lines in 0s")
	f(map[string]string{between: "", "etc/systemd/journald.conf.d/a.conf": "[Journal]\nRateLimitBurst=2000000\nRateLimitIntervalSec=1min\n"}, busy, false, "limit of 2000000 lines in 1m")
	f(map[string]string{"var/log/syslog": "Nov 24 04:00:01 mta1 systemd-journald[7]: Suppressed 1248 messages from postfix.service\n"}, nil, true, "1 notes about lost log lines")
	f(nil, []string{"Nov 24 04:00:01 mta1 rsyslogd: imjournal: begin to drop messages due to rate-limiting"}, false, "1 notes about lost log lines")
	f(nil, []string{"Nov 24 04:00:01 mta1 systemd-journald[7]: Journal started"}, false, "")
}

func TestDoctorJournalctl(t *testing.T) {
	f := func(script, want string) {
		t.Helper()
		dir := t.TempDir()
		putFile(t, dir, "journalctl", "#!/bin/sh\n"+script, 0o700)
		t.Setenv("PATH", dir)
		if got := look(func(add adder) { examineJournalctl(t.Context(), &Place{}, add) }); !strings.Contains(got, want) {
			t.Errorf("%s: %q; want %q", script, got, want)
		}
	}
	f("echo line", "log ok")
	f("exit 0", "log warning")
	f("exit 1", "log problem")
}

func TestDoctorSecrets(t *testing.T) {
	f := func(mode os.FileMode, want string) {
		t.Helper()
		file := putFile(t, t.TempDir(), "config.yaml", "", mode)
		if got := look(func(add adder) { examineSecrets(&Place{ConfigFile: file}, add) }); !strings.Contains(got, want) {
			t.Errorf("%04o: %q; want %q", mode, got, want)
		}
	}
	f(0o600, "file ok")
	f(0o640, "file ok")
	f(0o644, "chmod 0640")
	f(0o660, "file warning")
	absent := filepath.Join(t.TempDir(), "config.yaml")
	if got := look(func(add adder) { examineSecrets(&Place{ConfigFile: absent, KeyByFlag: true}, add) }); !strings.HasPrefix(got, "key warning") || strings.Count(got, "\n") != 1 {
		t.Errorf("a key given by flag: %q", got)
	}
}

func TestDoctorState(t *testing.T) {
	f := func(dir string, size int64, want string) {
		t.Helper()
		got := look(func(add adder) { examineState(t.Context(), &Config{StateDir: dir, SpoolSize: size}, &Place{}, add) })
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q; want %q", dir, got, want)
		}
	}
	dir := t.TempDir()
	f(dir, 1<<20, "state ok")
	f(filepath.Join(dir, "a", "b"), 1<<20, "state ok")
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("doctor made a directory")
	}
	f(dir, 1<<60, "state warning")
	f(putFile(t, dir, "file", "", 0o600), 1<<20, "no directory")
}

// TestDoctorAsService has root examine for a user who may read nothing.
func TestDoctorAsService(t *testing.T) {
	at := &Place{User: "nobody"}
	if at.credential() == nil {
		t.Skip("needs root and a user nobody")
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // others must get as far as the file
			t.Fatal(err)
		}
	}
	cfg := &Config{MTA: "postfix", StateDir: dir, SpoolSize: 1, LogPath: putFile(t, dir, "mail.log", "x\n", 0o600)}
	if got := look(func(add adder) { examineLog(t.Context(), cfg, at, add) }); !strings.Contains(got, "log problem") || !strings.Contains(got, "nobody") {
		t.Errorf("an unreadable log: %q", got)
	}
	if got := look(func(add adder) { examineState(t.Context(), cfg, at, add) }); !strings.Contains(got, "state problem") {
		t.Errorf("a state directory of somebody else: %q", got)
	}
	putFile(t, dir, "mail.log", "x\n", 0o644)
	if got := look(func(add adder) { examineLog(t.Context(), cfg, at, add) }); strings.Contains(got, "log problem") {
		t.Errorf("a readable log: %q", got)
	}
}

// TestDoctorWay wants a certificate that is not trusted to be a problem, and
// nothing to be sent there.
func TestDoctorWay(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "")
	}
	asked := false
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	defer s.Close()
	f := func(endpoint, want string) {
		t.Helper()
		cfg := &Config{APIKey: "k-secret", Endpoint: endpoint, Batch: 1}
		got := look(func(add adder) { examineServer(t.Context(), cfg, add) })
		if !strings.Contains(got, want) || strings.Contains(got, "k-secret") {
			t.Errorf("%s: %q; want %q", endpoint, got, want)
		}
	}
	f(s.URL, "tls problem")
	f("https://waypost.invalid", "dns problem")
	f("http://127.0.0.1:1", "server problem")
	if asked {
		t.Error("a report went to a server whose certificate is not trusted")
	}
}

// TestDoctorUnknown: outcomes without a message are explained, the commonest
// cause first, when they are many.
func TestDoctorUnknown(t *testing.T) {
	for _, tt := range []struct {
		n    Counts
		want string
	}{
		{Counts{ReturnPath: 100, Foreign: 5}, ""},
		{Counts{ReturnPath: 10, Foreign: 30, NotSeen: 2}, "unknown ok: 30 are of mail that carries no trace"},
		{Counts{ReturnPath: 10, Foreign: 3, NotSeen: 20}, "unknown ok: 20 are of messages whose arrival"},
		{Counts{NotSeen: 20}, "unknown warning: 20 are of messages whose arrival"},
	} {
		got := look(func(add adder) { examineMessages(tt.n, add) })
		if said := strings.Contains(got, "unknown "); said != (tt.want != "") || !strings.Contains(got, tt.want) {
			t.Errorf("%+v: %q; want %q", tt.n, got, tt.want)
		}
	}
}

// TestDoctorWriters: the doctor names who writes the log: here this process.
func TestDoctorWriters(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	f, err := os.Create(log)
	must(t, err)
	defer f.Close()
	if _, err := os.Stat("/proc/self/fdinfo"); err != nil {
		t.Skip("no /proc on this system")
	}
	self, err := os.ReadFile("/proc/self/comm")
	must(t, err)
	var at Place
	if got, want := at.writers(log), ", by "+strings.TrimSpace(string(self)); got != want {
		t.Errorf("writers %q, want %q", got, want)
	}
	must(t, f.Close())
	r, err := os.Open(log)
	must(t, err)
	defer r.Close()
	if got := at.writers(log); got != "" {
		t.Errorf("writers %q of a log that is only read", got)
	}
}

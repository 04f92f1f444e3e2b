package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandLine: mistakes on the command line and in the configuration end
// the program before it does anything, with an exit code and a reason.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	mustRun(t, waypost(), "init", "--data", data)
	unknownKey := write(t, filepath.Join(dir, "unknown.yaml"), "retry-schedul: 1h\n")
	goodFile := write(t, filepath.Join(dir, "good.yaml"), "retry_schedule: 1h,2h\nroles: [api, send]\n")
	for _, c := range []struct {
		name    string
		program string
		args    []string
		code    int
		stderr  string
	}{
		{"init twice", waypost(), []string{"init", "--data", data}, 1, "installation here already"},
		{"no command", waypost(), nil, 2, "--help"},
		{"unknown flag", waypost(), []string{"serve", "--data", data, "--no-such-flag"}, 2, "no-such-flag"},
		{"unknown key in the file", waypost(), []string{"serve", "--data", data, "--config", unknownKey}, 2, "retry-schedul"},
		{"bad schedule", waypost(), []string{"serve", "--data", data, "--retry-schedule", "nonsense"}, 2, "nonsense"},
		{"bad role", waypost(), []string{"serve", "--data", data, "--roles", "cook"}, 2, "cook"},
		{"bad address", waypost(), []string{"serve", "--data", data, "--http", "8080"}, 2, "8080"},
		{"bad database", waypost(), []string{"serve", "--data", data, "--database", "mysql://x"}, 2, "postgres://"},
		{"check", waypost(), []string{"config", "check", "--data", data, "--config", goodFile}, 0, ""},
		{"agent without key", agentBin(), []string{"run", "--endpoint", "http://127.0.0.1:1", "--state-dir", dir, "--log-path", goodFile}, 1, "api-key"},
		{"agent without endpoint", agentBin(), []string{"run", "--api-key", "k", "--state-dir", dir, "--log-path", goodFile}, 1, "endpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, c.program, c.args...)
			if code != c.code || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d with %q:\n%s%s", code, c.code, c.stderr, stdout, stderr)
			}
			if strings.Contains(stderr, "goroutine ") {
				t.Errorf("a stack trace:\n%s", stderr)
			}
		})
	}
}

package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// rpmArch is how RPM calls this machine's architecture.
var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// TestRPM installs the .rpm with its scripts, upgrades and erases it. Its
// dependencies are Red Hat's, so they are not looked at here.
func TestRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is not installed")
	}
	dir := packages(t)
	db := filepath.Join(t.TempDir(), "rpm")
	rpm := func(args ...string) (string, error) {
		return command(t, nil, "rpm", append([]string{"--dbpath", db}, args...)...)
	}
	t.Cleanup(func() {
		_, _ = rpm("-e", "--nodeps", "--force-debian", "waypost-agent") // a test that failed may have left it
		for _, path := range []string{state, filepath.Dir(conf)} {
			if err := os.RemoveAll(path); err != nil {
				t.Error(err)
			}
		}
		_, _ = command(t, nil, "userdel", "waypost-agent")
		_, _ = command(t, nil, "groupdel", "waypost-agent")
	})
	file := filepath.Join(dir, "waypost-agent-"+runtime.GOARCH+".rpm")
	want := "waypost-agent 0.9.1 " + rpmArch[runtime.GOARCH] + " Apache-2.0"
	if got, err := rpm("-qp", "--qf", "%{NAME} %{VERSION} %{ARCH} %{LICENSE}", file); err != nil || !strings.HasSuffix(got, want) {
		t.Fatalf("the package calls itself %q (%v), want %q", got, err, want)
	}
	out, err := rpm("-i", "--nodeps", "--force-debian", file)
	if err != nil || !strings.Contains(out, "set api-key and endpoint") {
		t.Fatalf("install: %v; the next step is not told:\n%s", err, out)
	}
	if got := must(t, binary, "version"); got != "0.9.1\n" {
		t.Errorf("version %q", got)
	}
	if got := must(t, "stat", "-c", "%a %U %G", conf, state); got != "640 root waypost-agent\n700 waypost-agent waypost-agent\n" {
		t.Errorf("configuration and state are %q", got)
	}
	for _, path := range []string{"/usr/lib/systemd/system/" + unit, "/usr/share/doc/waypost-agent/copyright"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}

	setKeys(t, "\napi-key: k-secret\nendpoint: http://waypost.example.com\n")
	if out, err := rpm("-U", "--nodeps", "--force-debian", "--force", file); err != nil { // an upgrade keeps what is configured
		t.Fatalf("upgrade: %v\n%s", err, out)
	}
	if b, err := os.ReadFile(conf); err != nil || !strings.Contains(string(b), "api-key: k-secret") {
		t.Errorf("the configuration after an upgrade: %v\n%s", err, b)
	}

	if out, err := rpm("-e", "--nodeps", "--force-debian", "waypost-agent"); err != nil {
		t.Fatalf("erase: %v\n%s", err, out)
	}
	if _, err := os.Stat(binary); err == nil {
		t.Error("the binary is still there after the package was erased")
	}
	if _, err := os.Stat(conf + ".rpmsave"); err != nil {
		t.Errorf("the configuration that was changed was not saved: %v", err)
	}
}

package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAgentShelf(t *testing.T) {
	c := config(t)
	c.PublicURL = "http://mail.example.com/$(touch x)'`id`"
	shelf := filepath.Join(c.Data, "agent")
	r, stop := start(t, c)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	url := "http://" + r.HTTP
	f := func(path string, want int, text string) string {
		t.Helper()
		status, body := get(t, url+path)
		if status != want || !strings.Contains(body, text) {
			t.Errorf("%s: %d %.300s; want %d with %q", path, status, body, want, text)
		}
		return body
	}

	// Nothing on the shelf yet.
	script := f("/agent/install.sh", 200, "#!/bin/sh")
	if strings.Contains(script, "deb/amd64 ") {
		t.Error("the script names a checksum of a file that is not there")
	}
	f("/agent/download/deb/amd64", 404, "make packages")

	write := func(name, content string) string {
		t.Helper()
		if err := os.MkdirAll(shelf, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shelf, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:])
	}
	sum := write("waypost-agent-amd64.deb", "first")
	f("/agent/install.sh", 200, "\ndeb/amd64 "+sum+"\n")
	if body := f("/agent/download/deb/amd64", 200, "first"); body != "first" {
		t.Errorf("the package is %q", body)
	}
	sum = write("waypost-agent-amd64.deb", "a second one")
	f("/agent/install.sh", 200, "\ndeb/amd64 "+sum+"\n")

	// Names that are not on the list, whatever they lead to.
	write("other", "secret")
	for _, path := range []string{
		"/agent/download/deb/other", "/agent/download/other/amd64", "/agent/download/deb/..%2f..%2fsecret.key",
		"/agent/download/..%2f/secret.key", "/agent/download/%2e%2e/secret.key", "/agent/download/deb/amd64%00", "/agent/download/deb/amd64.deb",
	} {
		if status, body := get(t, url+path); status != http.StatusNotFound || strings.Contains(body, "secret\n") {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	// A link may not lead out of the directory, and a directory is no package.
	if err := os.Symlink("../secret.key", filepath.Join(shelf, "waypost-agent-arm64.deb")); err != nil {
		t.Fatal(err)
	}
	f("/agent/download/deb/arm64", 404, "this server has no")
	if err := os.Mkdir(filepath.Join(shelf, "waypost-agent-arm64.rpm"), 0o700); err != nil {
		t.Fatal(err)
	}
	f("/agent/download/rpm/arm64", 404, "this server has no")

	checkScript(t, f("/agent/install.sh", 200, "sums()"))
}

// checkScript holds the script against a shell and, where it is installed,
// shellcheck.
func checkScript(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "install.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", file, "--help")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--api-key KEY") {
		t.Errorf("sh install.sh --help: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("the public URL is run as a command")
	}
	// A download that ends too early runs nothing.
	if err := os.WriteFile(file, []byte(script[:len(script)*9/10]), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), "sh", file)
	if out, err := cmd.CombinedOutput(); strings.Contains(string(out), "waypost-agent:") {
		t.Errorf("a part of the script runs: %v\n%s", err, out)
	}
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Log("shellcheck is not installed: the script was not held against it")
		return
	}
	cmd = exec.CommandContext(t.Context(), "shellcheck", "-s", "sh", "-e", "SC2016", "-") // the URL of this test is odd on purpose
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

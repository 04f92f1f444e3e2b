package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// verifySignatures has programs that share no code with the signer check the
// DKIM signature of every message: OpenDKIM, and dkimpy with the key that the
// test's name server publishes. It returns the names of those that did.
func verifySignatures(t testing.TB, ns nameserver, keyHost, domain string, messages [][]byte) []string {
	t.Helper()
	published, err := resolverAt(ns.addr()).LookupTXT(t.Context(), keyHost)
	if err != nil || len(published) != 1 {
		t.Fatalf("look up %s: %d records, %v", keyHost, len(published), err)
	}
	dir := t.TempDir()
	keyFile := write(t, filepath.Join(dir, "keys"), keyHost+" "+published[0]+"\n")
	forged := bytes.Replace(messages[0], []byte("\r\nSubject: "), []byte("\r\nSubject: Changed "), 1)
	var files []string
	for i, m := range append(messages, forged) {
		files = append(files, write(t, filepath.Join(dir, fmt.Sprintf("%d.eml", i)), string(m)))
	}
	var by []string
	if openDKIM(t, dir, keyFile, domain, files) {
		by = append(by, "OpenDKIM")
	}
	if dkimpy(t, keyFile, files) {
		by = append(by, "dkimpy")
	}
	if len(by) == 0 {
		t.Log("DKIM signatures are not verified: neither opendkim nor python3-dkim is installed")
	}
	return by
}

// openDKIM runs opendkim in its test mode over all files; the last one is
// forged.
func openDKIM(t testing.TB, dir, keyFile, domain string, files []string) bool {
	t.Helper()
	program, ok := find("opendkim")
	if !ok {
		return false
	}
	config := write(t, filepath.Join(dir, "opendkim.conf"), "Mode v\nTestPublicKeys "+keyFile+"\n")
	ctx, cancel := context.WithTimeout(t.Context(), waitMail)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-x", config, "-vv", "-t", strings.Join(files, ",")).CombinedOutput()
	if err != nil {
		t.Fatalf("opendkim: %v\n%s", err, out)
	}
	good := len(files) - 1
	if n := strings.Count(string(out), "dkim=pass"); n != good || strings.Count(string(out), "header.d="+domain) < good {
		t.Errorf("OpenDKIM passed %d of %d signatures:\n%s", n, good, out)
	}
	return true
}

// dkimpyScript prints pass or fail for each file; the keys are in the first.
const dkimpyScript = `import sys, dkim
keys = dict(line.split(" ", 1) for line in open(sys.argv[1]))
def txt(name, timeout=5):
    return keys[name.decode().rstrip(".")].strip().encode()
for path in sys.argv[2:]:
    print("pass" if dkim.verify(open(path, "rb").read(), dnsfunc=txt) else "fail")
`

func dkimpy(t testing.TB, keyFile string, files []string) bool {
	t.Helper()
	python := ""
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import dkim").Run() == nil {
			python = name
			break
		}
	}
	if python == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitMail)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{"-c", dkimpyScript, keyFile}, files...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dkimpy: %v\n%s", err, out)
	}
	if want := strings.Repeat("pass\n", len(files)-1) + "fail\n"; string(out) != want {
		t.Errorf("dkimpy says of %d messages, the last one forged:\n%s", len(files), out)
	}
	return true
}

package dkim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// signedFiles writes signed messages (those of testdata and arbitrary ones),
// a forged one at the end, and a file of keys for the verifiers.
func signedFiles(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	signers := testSigners(t)
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var keys bytes.Buffer
	for _, s := range signers {
		fmt.Fprintf(&keys, "%s._domainkey.%s %s\n", s.Selector, s.Domain, s.Key.Record())
	}
	write("keys", keys.Bytes())

	var messages [][]byte
	golden, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(golden) == 0 {
		t.Fatalf("no messages in testdata: %v", err)
	}
	for _, path := range golden {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, crlfLines(string(text)))
	}
	arbitrary := rapid.Custom(drawMessage)
	for seed := range 40 {
		messages = append(messages, arbitrary.Example(seed))
	}
	for i, message := range messages {
		// Neither program reads NUL as it travels in SMTP, and SMTP ends
		// the last line if the message did not.
		signed := mustSign(t, bytes.ReplaceAll(message, []byte{0}, []byte("0")), signers...)
		if !bytes.HasSuffix(signed, crlf) {
			signed = append(signed, crlf...)
		}
		files = append(files, write(fmt.Sprintf("%d.eml", i), signed))
	}
	forged := mustSign(t, []byte("From: a@example.com\r\n\r\nbody\r\n"), signers...)
	files = append(files, write("forged.eml", append(forged, "more\r\n"...)))
	return dir, files
}

func TestVerifiedByDKIMPy(t *testing.T) {
	python := ""
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import dkim, nacl").Run() == nil {
			python = name
			break
		}
	}
	if python == "" {
		t.Skip("no Python with dkimpy and PyNaCl (Debian: python3-dkim, python3-nacl)")
	}
	dir, files := signedFiles(t)
	args := append([]string{"testdata/verify.py", filepath.Join(dir, "keys")}, files...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	want := strings.Repeat("pass\n", 2*len(files)-2) + "fail\nfail\n"
	if string(out) != want {
		t.Errorf("%d messages: %s%s", len(files), out, &stderr)
	}
}

func TestVerifiedByOpenDKIM(t *testing.T) {
	program, err := exec.LookPath("opendkim")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/opendkim"); err != nil {
			t.Skip("opendkim is not installed (Debian: opendkim)")
		}
	}
	dir, files := signedFiles(t)
	config := filepath.Join(dir, "conf")
	// Nothing but the built-in defaults: no sockets are opened with -t.
	text := "Mode v\nTestPublicKeys " + filepath.Join(dir, "keys") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		out, err := exec.CommandContext(t.Context(), program, "-x", config, "-vv", "-t", file).CombinedOutput()
		if err != nil {
			t.Fatalf("opendkim: %v\n%s", err, out)
		}
		want := 2
		if i == len(files)-1 {
			want = 0 // forged
		}
		passed := strings.Count(string(out), "dkim=pass")
		if passed != want {
			message, _ := os.ReadFile(file)
			t.Errorf("%d of %d signatures passed for\n%q\n%s", passed, want, message, out)
		}
	}
}

package secret

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreLongDistinctAndHinted(t *testing.T) {
	a, b := NewKey("wpa"), NewKey("wpa")
	if a == b || len(a) < 50 || !strings.HasPrefix(a, "wpa_") {
		t.Fatalf("keys %q and %q", a, b)
	}
	if HashKey(a) == HashKey(b) {
		t.Fatal("hashes do not tell keys apart")
	}
	if h := Hint(a); strings.Contains(h, a[8:20]) || !strings.HasSuffix(h, a[len(a)-4:]) {
		t.Fatalf("hint %q of %q shows too much or too little", h, a)
	}
	if Hint("short") != "…" {
		t.Fatal("a hint of a short key shows some of it")
	}
}

func TestBoxOpensOnlyWhatItSealedForThePlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	box, err := OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenOrCreate(path) // the same key after a restart
	if err != nil {
		t.Fatal(err)
	}
	sealed := box.Seal([]byte("hunter2"), "provider password")
	if bytes.Contains(sealed, []byte("hunter2")) {
		t.Fatal("sealed value shows the secret")
	}
	if plain, err := again.Open(sealed, "provider password"); err != nil || string(plain) != "hunter2" {
		t.Fatalf("got %q, %v", plain, err)
	}
	f := func(value []byte, place string) {
		t.Helper()
		if _, err := box.Open(value, place); !errors.Is(err, ErrOpen) {
			t.Fatalf("got %v, want ErrOpen", err)
		}
	}
	f(sealed, "dkim key")
	f(nil, "provider password")
	f(sealed[:5], "provider password")
	f(append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1), "provider password")
	stranger, err := OpenOrCreate(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	f(stranger.Seal([]byte("x"), "provider password"), "provider password")
}

func TestRotationKeepsOldValuesReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	old, err := OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed := old.Seal([]byte("v"), "p")
	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh := "2 " + strings.Repeat("ab", 32) + "\n"
	if err := os.WriteFile(path, append([]byte(fresh), line...), 0o600); err != nil {
		t.Fatal(err)
	}
	box, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := box.Open(sealed, "p"); err != nil || string(plain) != "v" {
		t.Fatalf("old value: %q, %v", plain, err)
	}
	if now := box.Seal([]byte("v"), "p"); now[1] != 2 {
		t.Fatalf("sealed under key %d, want the file's first, 2", now[1])
	}
}

func TestKeyFileErrors(t *testing.T) {
	f := func(text string, mode os.FileMode, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "secret.key")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	good := strings.Repeat("0f", 32)
	f("1 "+good+"\n", 0o644, "chmod 600")
	f("1 abcd\n", 0o600, "64 hexadecimal digits")
	f("\n", 0o600, "number hex")
	f("1 "+good+"\n1 "+good+"\n", 0o600, "stands twice")
}

// TestDerive: the same file gives the same keys, each purpose its own, and a
// key that was replaced keeps what it derives.
func TestDerive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	one := "1 " + strings.Repeat("0f", 32) + "\n"
	derive := func(text, purpose string) (byte, map[byte][]byte) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		box, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		first, keys, err := box.Derive(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return first, keys
	}
	first, before := derive(one, "a")
	if first != 1 || len(before) != 1 || len(before[1]) != 32 {
		t.Fatalf("first %d of %d keys", first, len(before))
	}
	if _, other := derive(one, "b"); bytes.Equal(before[1], other[1]) {
		t.Error("two purposes share a key")
	}
	first, after := derive("2 "+strings.Repeat("ab", 32)+"\n"+one, "a")
	if first != 2 || !bytes.Equal(before[1], after[1]) || bytes.Equal(after[1], after[2]) {
		t.Errorf("first %d; the old key derives another after the rotation, or both the same", first)
	}
}

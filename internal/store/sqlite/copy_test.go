package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// TestCopyRelative copies by paths that are relative, and leaves nothing of a
// copy that fails.
func TestCopyRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	d, err := Open(t.Context(), "a?b.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if err := Copy(t.Context(), "a?b.db", "copy #1.db"); err != nil {
		t.Fatal(err)
	}
	if err := Copy(t.Context(), "a?b.db", "copy #1.db"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	whole, err := os.ReadFile("copy #1.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("cut.db", whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(t.Context(), "cut.db", "of cut.db"); err == nil {
		t.Error("half a database was copied")
	}
	if left, err := fs.Glob(os.DirFS("."), "of cut*"); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}

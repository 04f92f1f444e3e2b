package server

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestAsOwner: what this user may not open is told with the way out.
func TestAsOwner(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/srv/waypost/secret.key", Err: os.ErrPermission}
	if err := asOwner(denied, "/srv/waypost"); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "chown") || !strings.Contains(err.Error(), "/srv/waypost") {
		t.Errorf("denied: %v", err)
	}
	if err := asOwner(os.ErrExist, "/srv/waypost"); !errors.Is(err, os.ErrExist) || strings.Contains(err.Error(), "chown") {
		t.Errorf("another error: %v", err)
	}
	if err := asOwner(nil, "/srv/waypost"); err != nil {
		t.Errorf("none: %v", err)
	}
}

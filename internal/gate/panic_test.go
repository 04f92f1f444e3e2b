package gate

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestPanics holds that of what the library logs a panic is kept, bounded.
func TestPanics(t *testing.T) {
	var out bytes.Buffer
	l := Panics(slog.New(slog.NewTextHandler(&out, nil)))
	l.Printf("error handling %v: %s", "192.0.2.1", "broken pipe")
	l.Println("anything")
	if out.Len() > 0 {
		t.Errorf("kept: %s", &out)
	}
	l.Printf("panic serving %v: %v\n%s", "192.0.2.1", "index out of range", strings.Repeat("stack\n", 10_000))
	got := out.String()
	if !strings.Contains(got, "BUG: panic") || !strings.Contains(got, "index out of range") || len(got) > 3*longestPanic || strings.Count(got, "\n") != 1 {
		t.Errorf("kept of a panic: %d bytes: %.300s", len(got), got)
	}
}

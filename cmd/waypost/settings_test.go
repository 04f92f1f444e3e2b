package main

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestSettingsAreDescribed wants a place in doc/settings.md for every flag of
// serve, and no row there for a flag that is gone.
func TestSettingsAreDescribed(t *testing.T) {
	text, err := os.ReadFile("../../doc/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for row := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(row, "| `"); ok {
			first, _, _ := strings.Cut(rest, " |")
			for name := range strings.SplitSeq(first, ", ") {
				described[strings.Trim(name, "`")] = true
			}
		}
	}
	parser, err := kong.New(&serveCmd{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parser.Model.Flags {
		if f.Name != "help" && !described[f.Name] {
			t.Errorf("doc/settings.md does not describe %s", f.Name)
		}
		delete(described, f.Name)
	}
	for name := range described {
		t.Errorf("doc/settings.md describes %s, which is no flag of serve", name)
	}
}

package mtalog_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

var update = flag.Bool("update", false, "write the facts the parsers give now into testdata")

// rule parts a golden's lines (above) from their facts (below); an empty line parts the facts.
const rule = "\n----\n"

// TestGolden walks testdata/<mta>/*.txt for every MTA there is. To add a case, write the lines,
// run with -update and read what came out.
func TestGolden(t *testing.T) {
	for _, mta := range mtalog.MTAs() {
		files, err := filepath.Glob(filepath.Join("testdata", mta, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("%s has no goldens in testdata/%s", mta, mta)
		}
		for _, file := range files {
			t.Run(mta+"/"+filepath.Base(file), func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				lines, want, _ := strings.Cut(string(raw), rule)
				lines = strings.TrimRight(lines, "\n")
				got := describe(t, mta, lines)
				if *update {
					if err := os.WriteFile(file, []byte(lines+rule+got), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("facts of %s (-want +got):\n%s", file, diff)
				}
			})
		}
	}
}

// describe parses lines and writes each fact as its fields that are set.
func describe(t *testing.T, mta, lines string) string {
	t.Helper()
	p := newParser(t, mta)
	var out []string
	for line := range strings.SplitSeq(lines, "\n") {
		var f mtalog.Fact
		if !p.Parse([]byte(line), &f) {
			out = append(out, "nothing\n")
			continue
		}
		out = append(out, fields(f))
	}
	return strings.Join(out, "\n")
}

func fields(f mtalog.Fact) string {
	var b strings.Builder
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		switch x := field.Interface().(type) {
		case time.Time:
			fmt.Fprintf(&b, "%s: %s\n", name, x.Format(time.RFC3339Nano))
		default:
			if name == "Plain" || name == "Tag" && strings.Count(f.Tag, "/") == 1 || field.IsZero() {
				continue
			}
			fmt.Fprintf(&b, "%s: %v\n", name, x)
		}
	}
	return b.String()
}

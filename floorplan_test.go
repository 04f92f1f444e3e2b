package waypost_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/waypost-mail/waypost"

// floors says on which floor each package stands: it imports packages of lower
// floors only. A package that is not here has no place in the house yet; give
// it one in doc/architecture.md first.
var floors = map[string]int{
	"": 0, "internal/smtp": 0, "internal/dkim": 0, "internal/mtalog": 0, "internal/secret": 0, "internal/gate": 0,
	"packaging": 0, // files of an installation, embedded

	"internal/compose/merge": 1, "internal/store": 1, "internal/route": 1, "internal/bounce": 1,
	"internal/track": 1, "internal/agent": 1, "internal/suppresslist": 1, "internal/sso": 1,

	"internal/store/sqlite": 2, "internal/store/postgres": 2, "internal/compose": 2,
	"internal/ingest": 2, "internal/webhook": 2, "internal/senderdomain": 2,

	"internal/queue": 3, "internal/store/storetest": 3,
	"internal/api": 4, "internal/dash": 4, "internal/submission": 4,
	"internal/server":    5,
	"internal/simulator": 5, // the quickstart's mail server: speaks the agent's log format
	"cmd/waypost":        6, "cmd/waypost-agent": 6,
}

// attics are for tests and benchmarks: they import what they need, and nothing
// of the house imports them outside of tests.
var attics = []string{"test/", "internal/smtp/smtptest", "internal/store/postgres/pgtest"}

// TestFloorPlan holds every import of ours against the floors.
func TestFloorPlan(t *testing.T) {
	seen := map[string]bool{}
	eachGoFile(t, func(dir, file string, imports []string) {
		if isAttic(dir) {
			return
		}
		floor, known := floors[dir]
		if !known {
			t.Errorf("%s: the package %q has no floor; give it one in floorplan_test.go and doc/architecture.md", file, dir)
			return
		}
		seen[dir] = true
		for _, to := range imports {
			switch target, ok := floors[to]; {
			case isAttic(to):
				if !strings.HasSuffix(file, "_test.go") {
					t.Errorf("%s imports %s, which is for tests", file, to)
				}
			case !ok:
				t.Errorf("%s imports %s, which has no floor", file, to)
			case strings.HasSuffix(file, "_test.go") && (to == dir || target <= floor+1):
				// A test may import its own package, and a neighbour or the
				// suite one floor up that exercises it.
			case target >= floor:
				t.Errorf("%s on floor %d imports %s on floor %d; a package imports lower floors only", file, floor, to, target)
			}
		}
	})
	if !seen["internal/queue"] || !seen["cmd/waypost"] {
		t.Fatalf("the walk found %d packages and not the main ones; it looks in the wrong place", len(seen))
	}
}

// TestPackagesAreExplained wants a doc comment of some length on every package:
// its tour.
func TestPackagesAreExplained(t *testing.T) {
	docs := map[string]int{}
	eachFile(t, func(dir, file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		docs[dir] = max(docs[dir], len(f.Doc.Text()))
	})
	for dir, n := range docs {
		if n < 80 {
			t.Errorf("package %q has a doc comment of %d characters; say what it promises and what it may import", dir, n)
		}
	}
}

func isAttic(dir string) bool {
	for _, a := range attics {
		if dir == strings.TrimSuffix(a, "/") || strings.HasPrefix(dir, strings.TrimSuffix(a, "/")+"/") {
			return true
		}
	}
	return false
}

func eachGoFile(t *testing.T, visit func(dir, file string, imports []string)) {
	t.Helper()
	eachFile(t, func(dir, file string) {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		var ours []string
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if p == module {
				ours = append(ours, "")
			} else if rest, ok := strings.CutPrefix(p, module+"/"); ok {
				ours = append(ours, rest)
			}
		}
		visit(dir, file, ours)
	})
}

func eachFile(t *testing.T, visit func(dir, file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".go") {
			dir := path.Dir(filepath.ToSlash(p))
			if dir == "." {
				dir = ""
			}
			visit(dir, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

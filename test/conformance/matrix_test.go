package conformance

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// row is one behaviour of one server: a subtest and a line of the table.
type row struct {
	name      string // of the subtest
	behaviour string
	result    string // what the client makes of it; the subtest holds it
	run       func(*testing.T, *server)
	tls       bool // skipped when the server's TLS does not work
}

// group is the rows of one server; they run as subtests of test, one after the
// other, on one instance.
type group struct {
	server, test string
	rows         []row
}

func groups() []group {
	return []group{
		{"Postfix", "TestPostfix", postfixRows()},
		{"Exim", "TestExim", eximRows()},
		{"OpenSMTPD", "TestOpenSMTPD", openSMTPDRows()},
		{"scripted", "TestScripted", scriptedRows()},
	}
}

func runRows(t *testing.T, s *server, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if r.tls && s.noTLS != nil {
				t.Skipf("skipped: the TLS of this server does not work: %v", s.noTLS)
			}
			r.run(t, s)
			if t.Failed() && s.log != "" {
				t.Logf("the end of the server's log:\n%s", tail(s.log))
			}
		})
	}
}

// elsewhere are behaviours that the tests of internal/smtp hold already, with
// the scripted server or an independent one.
var elsewhere = []struct{ server, behaviour, result, test string }{
	{"go-smtp library", "STARTTLS, AUTH PLAIN, DSN, pipelining, refused and accepted messages on one session", "sent; refusal at RCPT", "TestInteropLibraryServer"},
	{"scripted", "any body of whole lines, any dots", "arrives as it was", "TestDotStuffing"},
	{"scripted", "command lines for every combination of extensions", "only parameters that were offered", "TestSendCommands"},
	{"scripted", "addresses and bodies that would break out of a command", "refused before anything is written", "TestSendRefusesLocally"},
	{"scripted", "every refusal of MAIL, RCPT and the body, pipelined and not", "session goes on", "TestSendRefusals"},
	{"scripted", "connection cut under TLS", "as without TLS", "TestSendCutTLS"},
	{"scripted", "context cancelled in each phase", "connection closed; unknown after the final dot only", "TestSendContext"},
	{"scripted", "replies with escape sequences, NUL, bytes that are not UTF-8", "made harmless", "TestReadReply"},
	{"scripted", "replies that break the grammar", "protocol_error", "TestReadReplyRefuses"},
	{"scripted", "password echoed by the server", "shown nowhere", "TestPasswordStaysSecret"},
	{"scripted", "several addresses, the first dead", "the next is tried", "TestDialTriesAddresses"},
	{"scripted", "name that does not resolve, port nobody listens on", "dns_failure, connection_refused", "TestDialRefusedAndUnresolved"},
	{"scripted", "server that knows HELO only", "HELO", "TestHELOFallback"},
	{"scripted", "idle sessions closed between messages", "repeated once on a new session", "TestPoolStale"},
	{"scripted", "PIPELINING offered and broken, the messages after the first loss", "sent one command at a time", "TestPoolBrokenPipelining"},
	{"scripted", "452 to MAIL when a session had its messages", "repeated once on a new session", "TestPoolSessionFull"},
	{"scripted", "a session lost once its body may have left", "not repeated", "TestPoolDoesNotRepeat"},
}

var update = flag.Bool("update", false, "write the table in doc/conformance.md")

const (
	document   = "../../doc/conformance.md"
	beginTable = "<!-- table: written by go test ./test/conformance -run TestTable -update -->\n"
	endTable   = "<!-- end of table -->\n"
)

// TestTable holds the table of the document against the subtests.
func TestTable(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), beginTable)
	old, after, closed := strings.Cut(rest, endTable)
	if !found || !closed {
		t.Fatalf("%s lacks the marks of the table", document)
	}
	want := table(t)
	if *update {
		if err := os.WriteFile(document, []byte(before+beginTable+want+endTable+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, old); diff != "" {
		t.Errorf("%s differs from the subtests (- subtests, + document); write it with -update:\n%s", document, diff)
	}
}

func table(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n| server | behaviour | result | test |\n|---|---|---|---|\n")
	seen := map[string]bool{}
	line := func(server, behaviour, result, test string) {
		if behaviour == "" || result == "" || seen[test] || strings.ContainsAny(behaviour+result+test, "|\n") {
			t.Errorf("row %s: empty, repeated, or with a character that a table cannot hold", test)
		}
		seen[test] = true
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` |\n", server, behaviour, result, test)
	}
	for _, g := range groups() {
		for _, r := range g.rows {
			line(g.server, r.behaviour, r.result, g.test+"/"+r.name)
		}
	}
	known := testsOf(t, "../../internal/smtp")
	for _, e := range elsewhere {
		if !known[e.test] {
			t.Errorf("internal/smtp has no test %s", e.test)
		}
		line(e.server, e.behaviour, e.result, "internal/smtp "+e.test)
	}
	b.WriteString("\n")
	return b.String()
}

// testsOf names the test functions in a directory.
func testsOf(t *testing.T, dir string) map[string]bool {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

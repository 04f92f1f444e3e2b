package suppresslist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

// readAll gives a line for each entry and each refusal of a list.
func readAll(t *testing.T, in io.Reader, reason *waypost.SuppressionReason) (format Format, out []string, err error) {
	t.Helper()
	r, err := NewReader(in, reason)
	if err != nil {
		return "", nil, err
	}
	for {
		e, err := r.Next()
		var bad *LineError
		switch {
		case errors.Is(err, io.EOF):
			return r.Format(), out, nil
		case errors.As(err, &bad):
			out = append(out, fmt.Sprintf("%d! %s", bad.Line, bad.Msg))
			continue
		case err != nil:
			return r.Format(), out, err
		}
		line := fmt.Sprintf("%d %s %s", e.Line, e.Email, TypeName(e.Reason))
		if !e.Created.IsZero() {
			line += " " + e.Created.Format(time.RFC3339)
		}
		if !e.Expires.IsZero() {
			line += " until " + e.Expires.Format(time.RFC3339)
		}
		if e.Text != "" {
			line += " | " + e.Text
		}
		out = append(out, line)
	}
}

func TestExportsOfOthers(t *testing.T) {
	read := map[string]bool{}
	f := func(file string, format Format, want ...string) {
		t.Helper()
		read[file] = true
		in, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = in.Close() }()
		got, lines, err := readAll(t, in, nil)
		if err != nil || got != format {
			t.Errorf("%s: read as %q, want %q; %v", file, got, format, err)
		}
		if a, b := strings.Join(lines, "\n"), strings.Join(want, "\n"); a != b {
			t.Errorf("%s:\n%s\nwant:\n%s", file, a, b)
		}
	}
	f("sendpost.json", SendPost,
		"1 gone@reader.example hardBounce 2026-03-01T13:30:00Z | 550 5.1.1 <gone@reader.example>: user unknown",
		"2 left@reader.example unsubscribe 2026-03-01T13:30:01Z", "3 angry@reader.example spamComplaint 2026-03-01T13:30:02Z",
		"4 legal@reader.example manual 2026-03-01T13:30:03Z")
	f("sendpost-v1.json", SendPost, "1 gone@reader.example hardBounce 2026-03-01T13:30:00Z | 550 5.1.1 user unknown")
	f("sendpost.csv", SendPost, "2 gone@reader.example hardBounce 2026-03-01T13:30:00Z", "3 left@reader.example unsubscribe 2026-03-01T13:30:01Z")
	f("postmark.json", Postmark,
		"1 gone@reader.example hardBounce 2026-03-01T13:30:00Z", "2 left@reader.example unsubscribe 2026-03-01T13:30:01Z",
		"3 legal@reader.example manual 2026-03-01T13:30:02Z", "4 angry@reader.example spamComplaint 2026-03-01T13:30:03Z")
	f("postmark.csv", Postmark,
		"2 gone@reader.example hardBounce 2026-03-01T13:30:00Z", "3 left@reader.example unsubscribe 2026-03-01T13:30:01Z",
		"4 legal@reader.example manual 2026-03-01T13:30:02Z")
	f("mailgun-bounces.json", Mailgun,
		"1 gone@reader.example hardBounce 2026-03-01T13:30:00Z | 550 No such mailbox", "2 full@reader.example hardBounce 2026-03-01T13:30:01Z | 552")
	f("mailgun-unsubscribes.csv", Mailgun,
		"2 left@reader.example unsubscribe 2026-03-01T13:30:00Z", "3 alsoleft@reader.example unsubscribe 2026-03-01T13:30:01Z")
	f("mailgun-complaints.json", Mailgun, "1 angry@reader.example manual 2026-03-01T13:30:00Z") // nothing in it says complaint
	f("ses.json", SES, "1 gone@reader.example hardBounce 2026-03-01T13:30:00Z", "2 angry@reader.example spamComplaint 2026-03-01T13:30:01Z")
	f("ses.ndjson", SES, "1 gone@reader.example hardBounce", "2 angry@reader.example spamComplaint")
	f("ses.csv", Plain, "1 gone@reader.example hardBounce", "2 angry@reader.example spamComplaint")
	f("sendgrid-bounces.csv", SendGrid,
		"2 gone@reader.example hardBounce 2026-03-01T13:30:00Z | 550 5.1.1 The email account that you tried to reach does not exist, at all.",
		"3 nowhere@reader.example hardBounce 2026-03-01T13:30:01Z | unknown mail domain")
	f("sendgrid-bounces.json", SendGrid, "1 gone@reader.example hardBounce 2026-03-01T13:30:00Z | 550 5.1.1 no such user",
		"2 odd@reader.example hardBounce 2026-03-01T13:30:01Z | Mail domain mentioned in email address is unknown")
	f("sendgrid-spam.json", SendGrid, "1 angry@reader.example spamComplaint 2026-03-01T13:30:00Z")
	f("sendgrid-unsubscribes.json", SendGrid, "1 left@reader.example unsubscribe 2026-03-01T13:30:00Z")
	f("plain.csv", Plain,
		"2 gone@reader.example hardBounce", "3 left@reader.example unsubscribe",
		`4! has the reason "birthday", which is none of hardBounce, manual, unsubscribe and spamComplaint`, "5! has no address",
		"6 last@reader.example spamComplaint")
	f("bare.txt", Plain, "1 one@reader.example manual", "2 two@reader.example manual")
	f("own.csv", Waypost, "2 gone@reader.example hardBounce 2026-03-01T13:30:00Z | 550 5.1.1 user unknown",
		"3 +odd@reader.example manual 2026-03-01T13:30:01Z until 2126-03-01T00:00:00Z",
		"4! has an expiry that is no time; write 2026-03-14T09:26:53Z")
	f("call.json", Plain, "1 gone@reader.example hardBounce", "2 legal@reader.example manual", "3 left@reader.example unsubscribe",
		"4 angry@reader.example spamComplaint")
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !file.IsDir() && !read[file.Name()] {
			t.Errorf("%s is read by no test", file.Name())
		}
	}
}

func TestCallersWord(t *testing.T) {
	complaint := waypost.SuppressComplaint
	_, got, err := readAll(t, strings.NewReader(`{"items":[{"address":"a@b.example"},{"address":"c@d.example","code":"550"}]}`), &complaint)
	if want := "1 a@b.example spamComplaint\n2 c@d.example hardBounce | 550"; err != nil || strings.Join(got, "\n") != want {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSeveralColumnsOfOneKind holds that of several fields that may hold the
// same thing the one whose name says it best is read, each time.
func TestSeveralColumnsOfOneKind(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		for range 40 {
			if _, got, err := readAll(t, strings.NewReader(text), nil); err != nil || strings.Join(got, "\n") != want {
				t.Fatalf("%s: %q, %v; want %q", text, got, err, want)
			}
		}
	}
	const want = "2 gone@reader.example manual 2026-03-01T13:30:00Z until 2126-03-01T00:00:00Z | left us"
	f("date,mail,address,Email,text,description,created,expiry,expires\n"+
		"2020-01-01,desk 3,1 Main Street,gone@reader.example,left us,a customer,2026-03-01T13:30:00Z,2027-01-01,2126-03-01\n", want)
	f(`[{"address":"1 Main Street","mail":"desk 3","email":"gone@reader.example","text":"left us","details":"a customer","timestamp":1,`+
		`"created":"2026-03-01T13:30:00Z","expiry":"2027-01-01","expires":"2126-03-01"}]`, "1"+want[1:])
}

// TestMoments holds that numbers are read by their size, and that no time
// passes that an answer could not show.
func TestMoments(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got := "none"
		if at, ok := moment(text); ok {
			got = at.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	f("1772371800", "2026-03-01T13:30:00Z")
	f("1772371800000", "2026-03-01T13:30:00Z")
	f("1772371800000000", "2026-03-01T13:30:00Z")
	f("1772371800000000000", "2026-03-01T13:30:00Z")
	f("99999999999999", "5138-11-16T09:46:39Z") // of milliseconds
	f("99999999999", "5138-11-16T09:46:39Z")
	f("999999999999999", "2001-09-09T01:46:39Z")
	f("9999-12-31T23:59:59-01:00", "none")
	f("-1", "none")
}

func TestNoList(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if _, lines, err := readAll(t, strings.NewReader(text), nil); !errors.Is(err, ErrList) {
			t.Errorf("%.60q: %v, read %q", text, err, lines)
		}
	}
	f("")
	f(" \r\n ")
	f("name,first\nx,y\n")
	f("[{")
	f(`[{"email":"a@b.example"},`)
	f(`{"items":[`)
	f(`{"items":`)
	f(`[{"email":"a@b.example"} {"email":"c@d.example"}]`)
	f("email\n\"" + strings.Repeat("never closed ", MaxEntry/8))
	f(`[{"email":"` + strings.Repeat("x", 3*MaxEntry) + `"}]`)
	f(strings.Repeat("[", 3*MaxEntry))
}

// endless is a list that has no end, and no entry either.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestEndlessEntry(t *testing.T) {
	e := &endless{}
	if _, _, err := readAll(t, io.MultiReader(strings.NewReader("email,reason\na@b.example,"), e), nil); !errors.Is(err, ErrList) {
		t.Error(err)
	}
	if e.read > 4*MaxEntry {
		t.Errorf("%d bytes read of one entry", e.read)
	}
}

// FuzzReader wants every list to end, and lines to ascend.
func FuzzReader(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := NewReader(strings.NewReader(string(text)), nil)
		if err != nil {
			return
		}
		last := 0
		for n := 0; ; n++ {
			if n > len(text) {
				t.Fatal("more entries than bytes")
			}
			e, err := r.Next()
			line := e.Line
			if bad, ok := errors.AsType[*LineError](err); ok {
				line = bad.Line
			} else if err != nil {
				return
			}
			if line <= last {
				t.Fatalf("line %d after %d", line, last)
			}
			last = line
			if err == nil && e.Email == "" {
				t.Fatal("an entry without an address")
			}
		}
	})
}

package bounce

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
)

const ourUUID = "0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"

func readReport(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "reports", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParse(t *testing.T) {
	uuid, err := waypost.ParseUUID(ourUUID)
	if err != nil {
		t.Fatal(err)
	}
	path := waypost.ReturnPath{UUID: uuid, SubAccount: 7, Domain: "sp-bounce.example.org"}
	f := func(name string, want Report) {
		t.Helper()
		data := readReport(t, name)
		if diff := cmp.Diff(want, Parse(bytes.NewReader(data), 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		crlf := bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		if diff := cmp.Diff(want, Parse(bytes.NewReader(crlf), 0)); diff != "" {
			t.Errorf("%s with CRLF (-want +got):\n%s", name, diff)
		}
	}
	f("postfix", Report{
		Kind: KindBounce,
		Recipients: []Recipient{
			{Address: "kim@example.com", Action: "failed", Reply: Reply{Enhanced: "5.1.1", Text: "550 5.1.1 <kim@example.com>: Recipient address rejected: User unknown"}},
			{Address: "lee@example.com", Action: "delayed", Reply: Reply{Enhanced: "4.2.2", Text: "452 4.2.2 mailbox full"}},
		},
		ReturnPath: path, EnvelopeID: ourUUID, QueueID: "4F1B2C3D", Message: uuid,
		MessageID: "<" + ourUUID + "@example.org>",
	})
	f("delayed", Report{
		Kind: KindDelayed,
		Recipients: []Recipient{
			{Address: "kim@example.com", Action: "delayed", Reply: Reply{Enhanced: "4.4.1", Text: "connect to mail.example.com[192.0.2.5]:25: Connection timed out"}},
		},
		ReturnPath: path,
	})
	f("complaint", Report{
		Kind: KindFeedback, FeedbackType: "opt-out", Recipients: []Recipient{{Address: "kim@example.com"}},
		Message: uuid, MessageID: "<one@example.org>",
	})
	f("vacation", Report{Kind: KindVacation, ReturnPath: path})
	f("other", Report{Kind: KindOther, ReturnPath: path})
}

func TestParseFreeText(t *testing.T) {
	rep := Parse(bytes.NewReader(readReport(t, "exim")), 0)
	if rep.Kind != KindBounce || len(rep.Recipients) != 1 || rep.Recipients[0].Address != "kim@example.com" {
		t.Fatalf("got %+v", rep)
	}
	if rep.Message.String() != ourUUID || rep.MessageID != "<one@example.org>" {
		t.Errorf("message %s, id %s", rep.Message, rep.MessageID)
	}
	want := waypost.Verdict{Hard: true, Reason: MailboxUnknown, Rule: "phrase.mailbox_unknown"}
	if v := newJudge(t).Judge(rep.Recipients[0].Reply); v != want {
		t.Errorf("verdict %+v of %+v", v, rep.Recipients[0].Reply)
	}
}

func TestParseReadsNoFurtherThanItsLimit(t *testing.T) {
	r := strings.NewReader("Subject: x\n\n" + strings.Repeat("y", 2*MaxReport))
	before := r.Len()
	Parse(r, 0)
	if read := before - r.Len(); read > MaxReport {
		t.Errorf("read %d bytes", read)
	}
	r.Reset(strings.Repeat("z", 100))
	Parse(r, 10)
	if r.Len() != 90 {
		t.Errorf("%d bytes left of 100 with a limit of 10", r.Len())
	}
}

func TestParseOfDeepNesting(t *testing.T) {
	var mail strings.Builder
	for range 2000 {
		mail.WriteString("Content-Type: multipart/mixed; boundary=b\n\n--b\n")
	}
	mail.WriteString("Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.com\nAction: failed\n")
	if rep := Parse(strings.NewReader(mail.String()), 0); rep.Kind == "" {
		t.Errorf("no kind: %+v", rep)
	}
}

// TestParseOfBrokenContentType: a type that is no UTF-8 has another length in
// lower case, and boundaries are found in it all the same.
func TestParseOfBrokenContentType(t *testing.T) {
	for _, odd := range []string{"\x86", "\x86\xff\xfe", "\u0130\u212a"} {
		for _, end := range []string{"", "b", "\"b\""} {
			Parse(strings.NewReader("Content-Type:"+odd+"BoundArY="+end), 0)
		}
		mail := "Content-Type: multipart/report" + odd + " ; x=(; BOUNDARY=\"b\"\n\n--b\nContent-Type: message/delivery-status\n\n" +
			"Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n--b--\n"
		if rep := Parse(strings.NewReader(mail), 0); rep.Kind != KindBounce || len(rep.Recipients) != 1 {
			t.Errorf("%q: %+v", odd, rep)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"postfix", "delayed", "exim", "vacation", "complaint", "other"} {
		f.Add(readReport(f, name))
	}
	f.Add([]byte("From x\nContent-Type: multipart/report; boundary=\"b\n\n--b\n\n--b--"))
	f.Add([]byte("Content-TYpe:\x86BoundArY="))
	f.Fuzz(func(t *testing.T, data []byte) {
		rep := Parse(bytes.NewReader(data), 0)
		if rep.Kind == "" || len(rep.Recipients) > maxRecipients {
			t.Errorf("report %+v", rep)
		}
		for _, r := range rep.Recipients {
			if strings.ContainsAny(r.Address, "\r\n\x00") || len(r.Reply.Text) > maxText {
				t.Errorf("recipient %+v", r)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	j := newJudge(b)
	mails := [][]byte{readReport(b, "postfix"), readReport(b, "exim"), readReport(b, "vacation")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, r := range Parse(bytes.NewReader(mails[i%len(mails)]), 0).Recipients {
			j.Judge(r.Reply)
		}
	}
}

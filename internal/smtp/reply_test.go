package smtp

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestReadReply(t *testing.T) {
	f := func(in string, want Reply) {
		t.Helper()
		got, err := readReply(newReplyReader(strings.NewReader(in)))
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	f("250 ok\r\n", Reply{250, "", "ok"})
	f("250\r\n", Reply{250, "", ""})
	f("250 ok\n", Reply{250, "", "ok"})
	f("550 5.1.1 no such user\r\n", Reply{550, "5.1.1", "no such user"})
	f("550 5.1.1\r\n", Reply{550, "5.1.1", ""})
	f("550-5.7.26 one\r\n550-5.7.26 two\r\n550 5.7.26 three\r\n", Reply{550, "5.7.26", "one\ntwo\nthree"})
	f("550-5.1.1 one\r\n550 5.2.2 two\r\n", Reply{550, "5.1.1", "one\n5.2.2 two"})
	f("550-first\r\n550 5.1.1 second\r\n", Reply{550, "5.1.1", "first\nsecond"})
	f("250 2.1234.5 x\r\n", Reply{250, "", "2.1234.5 x"})
	f("250 5.1.1x\r\n", Reply{250, "", "5.1.1x"})
	f("250 3.1.1 x\r\n", Reply{250, "", "3.1.1 x"})
	f("250 10.0.0.1 is fine\r\n", Reply{250, "", "10.0.0.1 is fine"})
	f("550 a\x1b[31mb\x00c\td\r\n", Reply{550, "", "a[31mbc d"})
	f("550 gr\xfc\xdf\r\n", Reply{550, "", "gr\uFFFD"})
	f("550 grüß \u202e!\r\n", Reply{550, "", "grüß !"})
	f("550 a\rb\r\n", Reply{550, "", "ab"})
	f("250 "+strings.Repeat("x", maxLine-4)+"\r\n", Reply{250, "", strings.Repeat("x", maxLine-4)})
}

func TestReadReplyRefuses(t *testing.T) {
	f := func(in string) {
		t.Helper()
		_, err := readReply(newReplyReader(strings.NewReader(in)))
		if _, ok := errors.AsType[*garbageError](err); !ok {
			t.Errorf("%.40q: %v, want garbage", in, err)
		}
		if len(err.Error()) > 400 {
			t.Errorf("%.40q: error of %d bytes", in, len(err.Error()))
		}
	}
	f("hello\r\n")
	f("\r\n")
	f("25 x\r\n")
	f("950 x\r\n")
	f("150 x\r\n")
	f("250_ok\r\n")
	f("250-one\r\n550 two\r\n")
	f("HTTP/1.1 400 Bad Request\r\n")
	f("\x15\x03\x01\x00\x02\x02\x0a")
	f("250 " + strings.Repeat("x", maxLine) + "\r\n")
	f(strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 80))
	f(strings.Repeat("250-\r\n", 20000))
}

func TestReadReplyEnd(t *testing.T) {
	f := func(in string, want error) {
		t.Helper()
		if _, err := readReply(newReplyReader(strings.NewReader(in))); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
	f("", io.EOF)
	f("250-one\r\n", io.EOF)
	f("250 on", io.ErrUnexpectedEOF)
}

func TestReplyString(t *testing.T) {
	f := func(r Reply, want string) {
		t.Helper()
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(Reply{550, "5.1.1", "no such\nuser"}, "550 5.1.1 no such user")
	f(Reply{250, "", ""}, "250")
	f(Reply{250, "", "by\rhand\x00"}, "250 byhand")
	if got := (Reply{550, "", strings.Repeat("ü", 4000)}).String(); len(got) > maxString || !utf8.ValidString(got) {
		t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}

func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		"220 mx ESMTP\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 x\r\n", "550-5.1.1 x\n550 5.1.1 y\n",
		"\x15\x03\x01\x00\x02\x02\x0a", "250 \xff\xfe\r\n", "421", "250-\r\n", "354 \u202e\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := readReply(newReplyReader(strings.NewReader(string(in))))
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 {
			t.Fatalf("code %d", r.Code)
		}
		if !utf8.ValidString(r.Text) || len(r.Text) > 3*maxReply {
			t.Fatalf("text of %d bytes, valid %v", len(r.Text), utf8.ValidString(r.Text))
		}
		for _, s := range []string{r.String(), strings.ReplaceAll(r.Text, "\n", "")} {
			if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
				t.Fatalf("control character in %q", s)
			}
		}
		if len(r.String()) > maxString {
			t.Fatalf("String of %d bytes", len(r.String()))
		}
		parseExtensions(r.Text)
	})
}

package dkim

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestRecord(t *testing.T) {
	rsa := readKey(t, "rsa2048.pem").Record()
	if !strings.HasPrefix(rsa, "v=DKIM1;k=rsa;s=email;h=sha256;p=MIIBIjANBgkqh") || len(rsa) != 425 {
		t.Errorf("RSA record of %d bytes: %s", len(rsa), rsa)
	}
	ed := readKey(t, "ed25519.pem").Record()
	if !strings.HasPrefix(ed, "v=DKIM1;k=ed25519;s=email;h=sha256;p=") || len(ed) != 37+44 {
		t.Errorf("Ed25519 record of %d bytes: %s", len(ed), ed)
	}
	if got := (Key{}).Record(); got != "" {
		t.Errorf("record of no key: %s", got)
	}
}

func TestCheckRecord(t *testing.T) {
	key, ed := readKey(t, "rsa2048.pem"), readKey(t, "ed25519.pem")
	other, err := GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	otherEd, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	p := key.publicBase64()
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.p.rsa().PublicKey))
	f := func(want error, says string, key Key, found ...string) {
		t.Helper()
		err := CheckRecord(found, key.Record())
		if !errors.Is(err, want) {
			t.Errorf("%.80q: %v, want %v", found, err, want)
		}
		if err != nil && (!strings.Contains(err.Error(), says) || len(err.Error()) > 250) {
			t.Errorf("%.80q: %v, want %q", found, err, says)
		}
	}
	f(nil, "", key, key.Record())
	f(nil, "", ed, ed.Record())
	f(nil, "", key, "p="+p)
	f(nil, "", key, "p="+pkcs1)
	f(nil, "", key, " v = DKIM1 ;\tk=rsa; t=y:s; n=a note, free text; s=other : *; h=sha1:sha256; p="+p[:100]+" \r\n "+p[100:]+";")
	f(nil, "", key, "v=DKIM1;x=unknown tag;p="+p)

	f(ErrRecordMissing, "add the TXT record", key)
	f(ErrRecordSeveral, "delete the others", key, "v=spf1 -all", key.Record())
	f(ErrRecordSeveral, "replace them", key, "v=spf1 -all", other.Record())
	f(ErrRecordSeveral, "leave only", key, make([]string, 100)...)
	f(ErrRecordRevoked, "empty", key, "v=DKIM1; p=")
	f(ErrRecordRevoked, "empty", key, "v=DKIM1; p= ; k=rsa")
	f(ErrRecordWrongKey, "differs", key, other.Record())
	f(ErrRecordWrongKey, "differs", ed, otherEd.Record())
	f(ErrRecordWrongKey, `k="ed25519", expected k=rsa`, key, ed.Record())
	f(ErrRecordWrongKey, "expected k=ed25519", ed, key.Record())
	f(ErrRecordWrongKey, "expected k=ed25519", ed, "p="+ed.publicBase64())

	f(ErrRecordMalformed, "p= tag", key, "")
	f(ErrRecordMalformed, "p= tag", key, "v=DKIM1;k=rsa")
	f(ErrRecordMalformed, "must come first", key, "v=spf1 include:x -all")
	f(ErrRecordMalformed, "must come first", key, "k=rsa; v=DKIM1; p="+p)
	f(ErrRecordMalformed, "must come first", key, "v=DKIM2; p="+p)
	f(ErrRecordMalformed, "name=value", key, "google-site-verification")
	f(ErrRecordMalformed, "occurs twice", key, "p=;p="+p)
	f(ErrRecordMalformed, "quotation marks", key, `"`+key.Record()+`"`)
	f(ErrRecordMalformed, "quotation marks", key, strings.ReplaceAll(key.Record(), ";", `\;`))
	f(ErrRecordMalformed, "sha256", key, "h=sha1;p="+p)
	f(ErrRecordMalformed, "email", key, "s=web;p="+p)
	f(ErrRecordMalformed, "cut off after 220 of 392", key, "p="+p[:220])
	f(ErrRecordMalformed, "base64", key, "p=!"+p)
	f(ErrRecordMalformed, "not an RSA public key", key, "p=AAAA")
	f(ErrRecordMalformed, "3 bytes", ed, "k=ed25519;p=AAAA")
	f(ErrRecordMalformed, "bytes long", key, key.Record()+strings.Repeat(" ", maxRecordLength))
	f(ErrRecordMalformed, "more than", key, manyTags())

	if err := CheckRecord([]string{key.Record()}, Key{}.Record()); err == nil {
		t.Error("no key to compare with and no error")
	}
}

func manyTags() string {
	var b strings.Builder
	for i := range 100 {
		b.WriteString("x" + strings.Repeat("y", i) + "=1;")
	}
	return b.String()
}

func FuzzCheckRecord(f *testing.F) {
	key := readKey(f, "rsa2048.pem")
	f.Add(key.Record(), "")
	f.Add("v=DKIM1; p=", "v=spf1")
	f.Add("p=MIIB;=;a", "k=rsa;k=rsa")
	known := []error{ErrRecordMissing, ErrRecordSeveral, ErrRecordMalformed, ErrRecordRevoked, ErrRecordWrongKey}
	f.Fuzz(func(t *testing.T, a, b string) {
		found := []string{a}
		if b != "" {
			found = append(found, b)
		}
		err := CheckRecord(found, key.Record())
		if err == nil {
			if b != "" || !strings.Contains(removeSpace(a), "p=") {
				t.Errorf("accepted %q %q", a, b)
			}
			return
		}
		if len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("error %q", err)
		}
		for _, k := range known {
			if errors.Is(err, k) {
				return
			}
		}
		t.Errorf("unknown error %v", err)
	})
}

package dkim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestKeyRoundTrip(t *testing.T) {
	for _, generate := range []func() (Key, error){GenerateRSA, GenerateEd25519} {
		k, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		der := k.Marshal()
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		for _, input := range [][]byte{der, text, append([]byte("\n  "), text...)} {
			again, err := ParseKey(input)
			if err != nil {
				t.Fatalf("%s: %v", k.Algorithm(), err)
			}
			if !bytes.Equal(again.Marshal(), der) || again.Record() != k.Record() || again.Algorithm() != k.Algorithm() {
				t.Errorf("%s: another key after Marshal and ParseKey", k.Algorithm())
			}
		}
		if err := CheckRecord([]string{k.Record()}, k.Record()); err != nil {
			t.Errorf("own record: %v", err)
		}
	}
	if k := (Key{}); k.Marshal() != nil || k.Algorithm() != "" || !k.IsZero() {
		t.Error("the zero Key is not empty")
	}
}

func TestParseKeyPKCS1(t *testing.T) {
	k := readKey(t, "rsa2048.pem")
	der := x509.MarshalPKCS1PrivateKey(k.p.rsa())
	for _, input := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})} {
		again, err := ParseKey(input)
		if err != nil {
			t.Fatal(err)
		}
		if again.Record() != k.Record() {
			t.Error("another key")
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	secret := "c2VjcmV0IHNlY3JldA=="
	f := func(want string, input []byte) {
		t.Helper()
		k, err := ParseKey(input)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) || !k.IsZero() {
			t.Errorf("%.40q: %v, want %q", input, err, want)
		}
	}
	block := func(kind, headers string) []byte {
		return []byte("-----BEGIN " + kind + "-----\n" + headers + secret + "\n-----END " + kind + "-----\n")
	}
	f("not a PKCS#8", nil)
	f("not a PKCS#8", []byte(secret))
	f("not a PKCS#8", block("PRIVATE KEY", ""))
	f("damaged", []byte("-----BEGIN PRIVATE KEY-----\n"+secret))
	f("passphrase", block("ENCRYPTED PRIVATE KEY", ""))
	f("passphrase", block("RSA PRIVATE KEY", "DEK-Info: AES-128-CBC,00\n\n"))
	f("not a private key", block("PUBLIC KEY", ""))
	f("more than any key", make([]byte, maxKeyInput+1))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	f("RSA and Ed25519 keys only", der)
}

// TestKeyHidden prints keys in every way and looks for the private part.
func TestKeyHidden(t *testing.T) {
	for _, s := range testSigners(t) {
		var secret []byte
		if s.Key.p.alg == RSA {
			secret = s.Key.p.rsa().D.Bytes()
		} else {
			secret = s.Key.p.ed()
		}
		hidden := struct{ s Signer }{s}
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t"} {
			for _, value := range []any{s.Key, &s.Key, s, &s, hidden, []Key{s.Key}} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("x", "key", s.Key, "signer", s, "hidden", hidden)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		numbers := strings.Trim(fmt.Sprintf("%d", secret[:16]), "[]")
		for _, trace := range []string{
			string(secret[:16]), hex.EncodeToString(secret[:16]), numbers,
			base64.StdEncoding.EncodeToString(secret[:15]), fmt.Sprintf("%X", secret[:16]),
		} {
			if strings.Contains(out.String(), trace) {
				t.Errorf("%s key is visible as %q", s.Key.Algorithm(), trace)
			}
		}
		if want := "dkim.Key(" + string(s.Key.Algorithm()) + ", private)"; !strings.Contains(out.String(), want) {
			t.Errorf("%q not found", want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, name := range []string{"testdata/rsa2048.pem", "testdata/ed25519.pem"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		block, _ := pem.Decode(text)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		k, err := ParseKey(input)
		if err != nil {
			return
		}
		if again, err := ParseKey(k.Marshal()); err != nil || again.Record() != k.Record() {
			t.Errorf("round trip: %v", err)
		}
	})
}

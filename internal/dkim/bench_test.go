package dkim

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// benchMessage is an HTML mail of about size bytes with indented lines.
func benchMessage(size int) []byte {
	const header = `From: "Shop" <news@example.com>
To: reader@example.net
Subject: Your order is on its way
Date: Mon, 24 Nov 2025 16:00:00 +0000
Message-ID: <1764000000.4f9b1c@example.com>
Reply-To: help@example.com
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable
List-Unsubscribe: <https://track.example.com/u/4f9b1c>
List-Unsubscribe-Post: List-Unsubscribe=One-Click

`
	const line = "    <td>A row of  the order, with some words in it</td>\n"
	return crlfLines(header + strings.Repeat(line, max(1, (size-len(header))/(len(line)+1))))
}

// BenchmarkSign compares Sign with go-msgauth and with the bare private-key
// operation, which neither can undercut.
func BenchmarkSign(b *testing.B) {
	for _, s := range testSigners(b) {
		b.Run(string(s.Key.Algorithm())+"/bare", func(b *testing.B) {
			digest := sha256.Sum256([]byte("x"))
			for b.Loop() {
				if _, err := s.Key.p.sign(digest); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, size := range []int{2 << 10, 20 << 10} {
			message := benchMessage(size)
			b.Run(fmt.Sprintf("%s/own/%dKB", s.Key.Algorithm(), size>>10), func(b *testing.B) {
				b.ReportAllocs()
				var buf []byte
				for b.Loop() {
					var err error
					if buf, err = s.Sign(buf[:0], message, testTime); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/go-msgauth/%dKB", s.Key.Algorithm(), size>>10), func(b *testing.B) {
				b.ReportAllocs()
				var out bytes.Buffer
				for b.Loop() {
					out.Reset()
					if err := msgauth.Sign(&out, bytes.NewReader(message), libraryOptions(s)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func libraryOptions(s Signer) *msgauth.SignOptions {
	var key crypto.Signer
	if s.Key.p.alg == RSA {
		key = s.Key.p.rsa()
	} else {
		key = s.Key.p.ed()
	}
	o := &msgauth.SignOptions{
		Domain: s.Domain, Selector: s.Selector, Signer: key, Hash: crypto.SHA256,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
		BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
	}
	for _, f := range signedFields[:11] {
		o.HeaderKeys = append(o.HeaderKeys, f.name, f.name)
	}
	return o
}

// BenchmarkPrepare is Sign without the private-key operation.
func BenchmarkPrepare(b *testing.B) {
	for _, size := range []int{2 << 10, 20 << 10} {
		message := benchMessage(size)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				fields, body, err := splitMessage(nil, message)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := canonicalHeader(fields); err != nil {
					b.Fatal(err)
				}
				hashBody(body)
			}
		})
	}
}

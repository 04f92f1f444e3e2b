package main

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// verifySignatures looks at the messages that a sink kept: each must carry one
// good signature of the sender domain, made with the contender's key of 2048
// bits.
func verifySignatures(dir string, c contender) error {
	files, err := filepath.Glob(filepath.Join(dir, "message.*"))
	if err != nil {
		return fmt.Errorf("list the sink's messages: %w", err)
	}
	checked := 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("read a message of the sink: %w", err)
		}
		mail, err := relayed(raw)
		if err != nil {
			return fmt.Errorf("message %s of the sink: %w", filepath.Base(f), err)
		}
		if !bytes.Contains(mail, []byte("Subject: "+subject)) {
			continue // a connection test
		}
		if err := verifySignature(mail, c); err != nil {
			return fmt.Errorf("a relayed message: %w", err)
		}
		checked++
	}
	if checked != probes {
		return fmt.Errorf("the sink kept %d of %d messages", checked, probes)
	}
	return nil
}

// relayed is the message as it came to the sink: without the sink's own
// headers, of which Received, in three lines, is the last, with CRLF, and
// without the empty line that the sink adds.
func relayed(dump []byte) ([]byte, error) {
	_, after, ok := bytes.Cut(dump, []byte("\nReceived: "))
	for range 3 {
		if ok {
			_, after, ok = bytes.Cut(after, []byte("\n"))
		}
	}
	if !ok {
		return nil, errors.New("its headers are not those of smtp-sink")
	}
	after = bytes.TrimSuffix(after, []byte("\n"))
	return bytes.ReplaceAll(after, []byte("\n"), []byte("\r\n")), nil
}

func verifySignature(mail []byte, c contender) error {
	host, record := c.keyRecord()
	if bits := keyBits(record); bits != 2048 {
		return fmt.Errorf("its key has %d bits, not 2048; the record is %q", bits, record)
	}
	verdicts, err := dkim.VerifyWithOptions(bytes.NewReader(mail), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if strings.TrimSuffix(name, ".") != host {
				return nil, fmt.Errorf("it is signed with %s, not with %s", name, host)
			}
			return []string{record}, nil
		},
	})
	switch {
	case err != nil:
		return fmt.Errorf("verify its signature: %w", err)
	case len(verdicts) != 1:
		return fmt.Errorf("it has %d DKIM signatures, not 1; its header:\n%s", len(verdicts), header(mail))
	case verdicts[0].Err != nil:
		return fmt.Errorf("its signature is not good: %w", verdicts[0].Err)
	}
	return nil
}

// header is the part before the empty line.
func header(mail []byte) string {
	var b strings.Builder
	for in := bufio.NewReader(bytes.NewReader(mail)); ; {
		line, err := in.ReadString('\n')
		if strings.TrimSpace(line) == "" || errors.Is(err, io.EOF) {
			return b.String()
		}
		b.WriteString(line)
	}
}

// keyBits is the size of the RSA key in a DKIM record, 0 when it holds none.
func keyBits(record string) int {
	_, after, _ := strings.Cut(record, "p=")
	encoded, _, _ := strings.Cut(after, ";")
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return 0
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return 0
	}
	if public, ok := key.(*rsa.PublicKey); ok {
		return public.N.BitLen()
	}
	return 0
}

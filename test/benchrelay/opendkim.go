package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// opendkim is an OpenDKIM that signs mail from the sender domain with a key of
// its own and does nothing else.
type opendkim struct {
	*child
	socket string // of the milter
	record string // TXT record of the key
}

const selector = "bench"

// startOpenDKIM makes a key of 2048 bits and starts the milter.
func startOpenDKIM(ctx context.Context, program, dir string) (*opendkim, error) {
	o := &opendkim{socket: filepath.Join(dir, "opendkim.sock")}
	keyFile := filepath.Join(dir, "opendkim.key")
	var err error
	if o.record, err = writeKey(keyFile); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "opendkim.conf")
	// RequireSafeKeys minds the owners of directories above the key, which
	// are none of its business here. UMask lets Postfix reach the socket.
	settings := fmt.Sprintf(`Mode s
Domain %s
Selector %s
KeyFile %s
Socket local:%s
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
OversignHeaders From
InternalHosts 127.0.0.1
RequireSafeKeys no
AutoRestart no
Syslog no
UMask 000
`, senderDomain, selector, keyFile, o.socket)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		return nil, fmt.Errorf("configure OpenDKIM: %w", err)
	}
	logFile := filepath.Join(dir, "opendkim.log")
	o.child, err = startChild(exec.CommandContext(ctx, program, "-f", "-x", config), "opendkim", logFile) //nolint:gosec // found by findPrograms
	if err != nil {
		return nil, err
	}
	if err := awaitListener(ctx, "unix", o.socket, o.child); err != nil {
		o.stop()
		return nil, fmt.Errorf("OpenDKIM: %w\n%s", err, logTail(logFile))
	}
	return o, nil
}

// writeKey makes a key file and returns the record that publishes it.
func writeKey(file string) (record string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("make a DKIM key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", fmt.Errorf("make a DKIM record: %w", err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, private, 0o600); err != nil {
		return "", fmt.Errorf("write the DKIM key: %w", err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public), nil
}

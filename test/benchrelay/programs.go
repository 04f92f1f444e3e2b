package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are the paths of what this benchmark starts.
type programs struct {
	sink     string // smtp-sink
	postfix  string
	master   string // Postfix's master daemon
	opendkim string
}

// findPrograms finds what a side needs, and says what to do when it is absent.
func findPrograms(side string) (programs, error) {
	var p programs
	var missing []error
	find := func(what string, to *string, names ...string) {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				*to = path
				return
			}
		}
		missing = append(missing, fmt.Errorf("%s is missing: install the package %s (Debian: apt-get install %[2]s)", names[0], what))
	}
	find("postfix", &p.sink, "smtp-sink", "/usr/sbin/smtp-sink")
	if side != "waypost" {
		if os.Geteuid() != 0 {
			missing = append(missing, errors.New("the Postfix side needs root, as Postfix's own processes do; run as root, or with -side waypost"))
		}
		find("postfix", &p.postfix, "postfix", "/usr/sbin/postfix")
		find("postfix", &p.master, "/usr/lib/postfix/sbin/master", "/usr/libexec/postfix/master", "/usr/lib/postfix/master")
		find("opendkim", &p.opendkim, "opendkim", "/usr/sbin/opendkim")
	}
	return p, errors.Join(missing...)
}

// build makes the server's binary as releases do, unless one was named.
func (b *bench) build(ctx context.Context) error {
	if b.side == "postfix" || b.profile != "" || b.binary != "" {
		return nil
	}
	b.binary = filepath.Join(b.dir, "waypost")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", b.tags, "-o", b.binary, "github.com/waypost-mail/waypost/cmd/waypost") //nolint:gosec // our own tree
	if b.tags == "" {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return nil
}

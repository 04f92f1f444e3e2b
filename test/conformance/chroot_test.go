package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Exim and OpenSMTPD cannot be installed beside Postfix: Debian permits one mail
// server. So their packages are downloaded and unpacked, not installed, and the
// programs run in a small root directory of their own, where they find their
// users and their compiled-in paths. The machine's own configuration is not
// touched.

// unpacked is a Debian package whose programs run in a chroot.
type unpacked struct {
	name     string   // of the package, and of its place in the cache
	programs []string // files and directories of the package to keep
}

// root makes a fresh root directory with the programs, the libraries they need
// and the users, or skips the test.
func (u unpacked) root(t testing.TB, users ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("skipped: %s starts as root only; run the tests as root", u.name)
	}
	for _, program := range []string{"apt-get", "dpkg", "ldd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("skipped: there is no %s, which fetches %s; run the tests on Debian", program, u.name)
		}
	}
	cached, err := u.cache(t.Context())
	if err != nil {
		t.Skipf("skipped: %s could not be fetched: %v", u.name, err)
	}
	root := openDir(t)
	if err := copyTree(cached, root); err != nil {
		t.Fatal(err)
	}
	passwd, group := "root:x:0:0::/:/bin/sh\n", "root:x:0:\n"
	for i, user := range users {
		passwd += fmt.Sprintf("%s:x:%d:%d::/:/bin/false\n", user, firstUID+i, firstUID+i)
		group += fmt.Sprintf("%s:x:%d:\n", user, firstUID+i)
	}
	write(t, filepath.Join(root, "etc/passwd"), passwd, 0o644)
	write(t, filepath.Join(root, "etc/group"), group, 0o644)
	write(t, filepath.Join(root, "etc/hosts"), "127.0.0.1 localhost\n", 0o644)
	for _, dir := range []string{"dev", "tmp", "run", "var/run", "var/spool", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	null := filepath.Join(root, "dev/null")
	if err := device(null, 1, 3); err != nil {
		t.Skipf("skipped: %s needs a /dev/null in its root directory, and this user may not make one: %v", u.name, err)
	}
	if err := os.Chmod(null, 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return root
}

// firstUID is where the ids of the users in a chroot begin; nobody else has them.
const firstUID = 64_900

// cache is the directory with the programs and their libraries. It is made once
// under the user's cache directory, in whole or not at all.
func (u unpacked) cache(ctx context.Context) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	base = filepath.Join(base, "waypost-conformance")
	dir := filepath.Join(base, u.name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(base, "unpack-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := u.fetch(ctx, work); err != nil {
		return "", err
	}
	kept := filepath.Join(work, "kept")
	if err := u.keep(ctx, filepath.Join(work, "all"), kept); err != nil {
		return "", err
	}
	if err := os.Rename(kept, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err // a test that ran beside this one was not faster either
	}
	return dir, nil
}

// fetch downloads the package with those of its dependencies that the machine
// lacks, without installing anything, and unpacks them into work/all.
func (u unpacked) fetch(ctx context.Context, work string) error {
	archives := filepath.Join(work, "archives")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return err
	}
	download := []string{
		"apt-get", "install", "--download-only", "--assume-yes", "--no-install-recommends",
		"-o", "Dir::Cache::archives=" + archives, "-o", "APT::Sandbox::User=root",
		"-o", "DPkg::Lock::Timeout=120", u.name,
	}
	if err := quietly(ctx, download...); err != nil { // on a fresh machine there are no lists yet
		if err := quietly(ctx, "apt-get", "update"); err != nil {
			return err
		}
		if err := quietly(ctx, download...); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return fmt.Errorf("apt-get downloaded nothing; is %s installed? Then its mail server is not the one for this test", u.name)
	}
	for _, p := range packages {
		if err := quietly(ctx, "dpkg", "--extract", p, filepath.Join(work, "all")); err != nil {
			return err
		}
	}
	return nil
}

// keep copies the programs and the libraries they are linked with, from the
// unpacked packages or from the machine.
func (u unpacked) keep(ctx context.Context, all, kept string) error {
	dirs, err := filepath.Glob(filepath.Join(all, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return err
	}
	for _, program := range u.programs {
		from := filepath.Join(all, program)
		if err := copyTree(from, filepath.Join(kept, program)); err != nil {
			return err
		}
		if info, err := os.Stat(from); err != nil || info.IsDir() {
			continue // small programs that need no more than libc
		}
		cmd := exec.CommandContext(ctx, "ldd", from)
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(dirs, ":"))
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("ldd %s: %w", program, err)
		}
		for _, lib := range libraries(string(out)) {
			to := strings.TrimPrefix(lib, all)
			if err := copyFile(lib, filepath.Join(kept, to)); err != nil {
				return err
			}
		}
	}
	return nil
}

// libraries are the paths in what ldd(1) says.
func libraries(ldd string) []string {
	var paths []string
	for line := range strings.SplitSeq(ldd, "\n") {
		for word := range strings.FieldsSeq(line) {
			if filepath.IsAbs(word) {
				paths = append(paths, word)
				break
			}
		}
	}
	return paths
}

// quietly runs a program; the error has the end of what it said.
func quietly(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), err, out[max(0, len(out)-400):])
	}
	return nil
}

// copyTree copies a file or directory with its modes, set-user-id included.
// Links are followed where they lead to files.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, b, 0o700); err != nil {
		return err
	}
	return os.Chmod(to, info.Mode().Perm()|info.Mode()&(fs.ModeSetuid|fs.ModeSetgid))
}

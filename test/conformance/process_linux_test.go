package conformance

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a program a process group of its own below root ("" is /), and
// has the kernel end it when the test binary is killed.
func ownGroup(cmd *exec.Cmd, root string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, Chroot: root}
}

// device makes a character device.
func device(path string, major, minor int) error {
	return syscall.Mknod(path, syscall.S_IFCHR|0o666, major<<8|minor)
}

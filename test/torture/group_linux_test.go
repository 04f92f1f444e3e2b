package torture

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a program a process group of its own, and has the kernel end
// it when the test binary is killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

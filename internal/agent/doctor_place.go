package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// path gives a path of the system that is examined.
func (p *Place) path(name string) string { return filepath.Join(p.root, name) }

// credential gives the service's user when root examines on its behalf; nil
// when the examining user speaks for itself.
func (p *Place) credential() *syscall.Credential {
	if p.User == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(p.User)
	if err != nil {
		return nil // not installed as a service
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return c
	}
	for _, g := range groups {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(id))
		}
	}
	return c
}

// serviceMay tells whether the service's user may read (-r) or write (-w) a
// path. The kernel is asked, through test(1) as that user, so that groups and
// access lists count as they do for the service.
func (p *Place) serviceMay(ctx context.Context, flag, path string) bool {
	c := p.credential()
	if c == nil {
		return true // the caller has tried it itself
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "test", flag, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c}
	var exit *exec.ExitError
	return !errors.As(cmd.Run(), &exit) // test itself missing proves nothing
}

// examineSecrets looks at how the key is kept.
func examineSecrets(at *Place, add adder) {
	if at.KeyByFlag {
		add("key", Warn, "the key was given on the command line, where every user of this machine sees it in the process list", "set api-key in the configuration file, or api-key-file, or WAYPOST_AGENT_API_KEY")
	}
	for _, file := range []string{at.ConfigFile, at.KeyFile} {
		if file != "" {
			examineSecretFile(file, add)
		}
	}
}

func examineSecretFile(file string, add adder) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		add("file", Bad, err.Error(), "run doctor as root")
		return
	}
	f, err := os.Open(file)
	if err != nil {
		add("file", Bad, file+" may not be read by this user, so its settings are not in use here", "run doctor as root")
		return
	}
	_ = f.Close()
	mode := info.Mode().Perm()
	switch {
	case mode&0o007 != 0:
		add("file", Bad, fmt.Sprintf("%s has the mode %04o: every user of this machine may get at the key", file, mode), "chmod 0640 "+file+" && chown root:waypost-agent "+file)
	case mode&0o020 != 0:
		add("file", Warn, fmt.Sprintf("%s has the mode %04o: its group may change it", file, mode), "chmod g-w "+file)
	default:
		add("file", Good, fmt.Sprintf("%s has the mode %04o", file, mode), "")
	}
}

// examineState looks at the state directory and the room on its disk.
func examineState(ctx context.Context, cfg *Config, at *Place, add adder) {
	dir := cfg.StateDir
	info, err := os.Stat(dir)
	for ; errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir); info, err = os.Stat(dir) {
		dir = filepath.Dir(dir)
	}
	switch {
	case err != nil:
		add("state", Bad, err.Error(), "create state-dir and give it to the agent's user")
		return
	case !info.IsDir():
		add("state", Bad, dir+" is no directory", "set state-dir")
		return
	case dir != cfg.StateDir && (at.credential() != nil || syscall.Access(dir, 2) != nil):
		add("state", Bad, cfg.StateDir+" does not exist and the agent may not make it", "create state-dir and give it to the agent's user; the systemd unit does it")
		return
	case syscall.Access(dir, 2) != nil, !at.serviceMay(ctx, "-w", dir):
		add("state", Bad, "the agent may not write to "+dir, "give state-dir to the agent's user")
		return
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		add("state", Bad, fmt.Sprintf("look at the disk of %s: %v", dir, err), "see whether the disk is well")
		return
	}
	free := int64(disk.Bavail) * disk.Bsize
	text := fmt.Sprintf("%s is writable, %d MiB free for a spool of up to %d MiB", cfg.StateDir, free>>20, cfg.SpoolSize>>20)
	switch {
	case free < 16<<20:
		add("state", Bad, text, "make room on the disk: the agent stops reading when it cannot write")
	case free < cfg.SpoolSize:
		add("state", Warn, text, "make room, or set spool-size to what is there")
	default:
		add("state", Good, text, "")
	}
}

// writers names the processes that hold the log open for writing, as far as
// this user may see them: "" when it sees none.
func (p *Place) writers(log string) string {
	log, err := filepath.EvalSymlinks(log)
	if err != nil {
		return ""
	}
	links, err := filepath.Glob(p.path("/proc/[0-9]*/fd/*"))
	if err != nil {
		return ""
	}
	var names []string
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != log || !writes(link) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err == nil && !slices.Contains(names, strings.TrimSpace(string(name))) {
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", by " + strings.Join(names, ", ")
}

// writes tells whether a link below /proc/PID/fd stands for a file open for
// writing: the flags in fdinfo are octal.
func writes(link string) bool {
	info, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(link)), "fdinfo", filepath.Base(link)))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(info), "flags:")
	field := strings.Fields(rest)
	if len(field) == 0 {
		return false
	}
	flags, err := strconv.ParseInt(field[0], 8, 64)
	return err == nil && flags&syscall.O_ACCMODE != syscall.O_RDONLY
}

// Package pgtest gives tests a PostgreSQL server of their own: a real one from
// the system's packages, in a temporary directory, with fsync on, reached by a
// Unix socket only.
//
// [Start] shares one server among all tests of a process and gives each call a
// new database, which goes with the server. [New] starts a server that a test may stop and start again. A
// server ends with its test process, also when that is killed: a small shell
// waits for the end of a pipe that the process holds, and stops the server and
// deletes its directory then.
//
// Without the server's programs the test is skipped, naming the package to
// install. The server refuses to run as root; for a test that does, it runs as
// the user postgres that the package made.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server of a test.
type Server struct {
	bin  string // where its programs are
	dir  string // holds data, log and socket
	cred *syscall.Credential
	life io.Closer // its end is the server's
	next atomic.Int64
}

// errMissing: the server's programs are not installed.
var errMissing = errors.New("no PostgreSQL server on this machine: install Debian's package postgresql (it wants /usr/lib/postgresql/*/bin/initdb)")

var shared = sync.OnceValues(start)

// Start gives the URL of a new and empty database on the process's server. It
// stays until the process ends: dropping it would cost a checkpoint.
func Start(t testing.TB) (url string) {
	t.Helper()
	s, err := shared()
	must(t, err)
	return s.Database(t)
}

// New starts a server for the test alone.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	must(t, err)
	t.Cleanup(func() { _ = s.life.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// watch is the shell that ends a server when its standard input ends. It is
// told the directory and the path of pg_ctl, and deletes the directory.
const watch = `trap '' INT TERM HUP
cat >/dev/null
"$2" -D "$1/data" -m immediate -t 30 stop
rm -rf "$1"`

func start() (*Server, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errMissing
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	s := &Server{bin: filepath.Dir(newest)}
	if s.cred, err = account(); err != nil {
		return nil, err
	}
	// Not below the test's own directory: the path of a socket is short, and
	// the server's user must get there.
	if s.dir, err = os.MkdirTemp("/tmp", "pgtest-"); err != nil {
		return nil, err
	}
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if err := s.guard(); err != nil {
		return nil, err
	}
	if err := s.initialise(); err != nil {
		_ = s.life.Close()
		return nil, err
	}
	return s, nil
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// account is the user postgres when we are root, nil otherwise.
func account() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("the server does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres has id %q: %w", u.Uid, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres has group %q: %w", u.Gid, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// guard starts the shell that outlives us. It must not hold our standard
// output: go test waits for that.
func (s *Server) guard() error {
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", watch, "sh", s.dir, filepath.Join(s.bin, "pg_ctl"))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.cred}
	var err error
	if s.life, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server's watch: %w", err)
	}
	return nil
}

const config = `
listen_addresses = ''
fsync = on
max_connections = 200
shared_buffers = 128MB
max_wal_size = 1GB
`

func (s *Server) initialise() error {
	data := filepath.Join(s.dir, "data")
	if err := s.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(config + "unix_socket_directories = '" + s.dir + "'\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.run("pg_ctl", "-D", data, "-l", filepath.Join(s.dir, "log"), "-w", "-t", "60", "start")
}

// run runs one of the server's programs. Its output goes to a file: a server
// that it leaves behind would hold a pipe open.
func (s *Server) run(name string, args ...string) error {
	out, err := os.CreateTemp(s.dir, "out-")
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.cred}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("%s: %w\n%s\n%s", name, err, bytes.TrimSpace(said), bytes.TrimSpace(log))
	}
	return nil
}

// Stop ends the server: at once, as a crash would, or after ending its
// sessions in order.
func (s *Server) Stop(t testing.TB, crash bool) {
	t.Helper()
	mode := "fast"
	if crash {
		mode = "immediate"
	}
	must(t, s.run("pg_ctl", "-D", filepath.Join(s.dir, "data"), "-m", mode, "-t", "60", "-w", "stop"))
}

// Start starts the server after Stop; it returns when the server answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	must(t, s.run("pg_ctl", "-D", filepath.Join(s.dir, "data"), "-l", filepath.Join(s.dir, "log"), "-w", "-t", "60", "start"))
}

// Database makes a new and empty database and gives its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.next.Add(1))
	must(t, s.admin("CREATE DATABASE "+name))
	return s.url(name)
}

func (s *Server) url(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"postgres"}}.Encode()
}

func (s *Server) admin(sql string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

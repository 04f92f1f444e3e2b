package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/waypost-mail/waypost/packaging"
)

// agentFiles are the only names that are handed out, by KIND/ARCH.
var agentFiles = map[string]string{
	"deb/amd64": "waypost-agent-amd64.deb", "deb/arm64": "waypost-agent-arm64.deb",
	"rpm/amd64": "waypost-agent-amd64.rpm", "rpm/arm64": "waypost-agent-arm64.rpm",
	"binary/amd64": "waypost-agent-linux-amd64", "binary/arm64": "waypost-agent-linux-arm64",
}

// agentKinds lists the keys of agentFiles in the order of the script.
var agentKinds = []string{"deb/amd64", "deb/arm64", "rpm/amd64", "rpm/arm64", "binary/amd64", "binary/arm64"}

// maxAgentFile bounds what is taken for a package, in bytes.
const maxAgentFile = 64 << 20

// agentShelf hands the agent to the hosts of mail servers: the script that
// installs it, and the packages that an operator laid into its directory. The
// directory may be absent; the script then says what to do.
type agentShelf struct {
	dir    string
	url    string
	script *template.Template
	log    *slog.Logger

	mu   sync.Mutex
	sums map[string]agentSum // by file name
}

// agentSum is the checksum of a file as it was.
type agentSum struct {
	size     int64
	modified time.Time
	sum      string
}

func newAgentShelf(c *Config) (*agentShelf, error) {
	t, err := template.New("install.sh").Funcs(template.FuncMap{"quote": shellQuote}).Parse(packaging.InstallScript)
	if err != nil {
		return nil, fmt.Errorf("parse the agent's install script: %w", err)
	}
	return &agentShelf{dir: c.AgentPackages, url: c.PublicURL, script: t, log: c.Log, sums: map[string]agentSum{}}, nil
}

// shellQuote makes a text one word of sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// install answers GET /agent/install.sh.
func (a *agentShelf) install(w http.ResponseWriter, r *http.Request) {
	sums := []string{}
	for _, kind := range agentKinds {
		sum, err := a.sum(agentFiles[kind])
		switch {
		case err == nil:
			sums = append(sums, kind+" "+sum)
		case !errors.Is(err, fs.ErrNotExist):
			a.log.WarnContext(r.Context(), "a package of the agent cannot be handed out", "file", agentFiles[kind], "error", err)
		}
	}
	var b bytes.Buffer
	err := a.script.Execute(&b, map[string]any{
		"URL": a.url, "Sums": sums, "Unit": packaging.AgentUnit, "Config": packaging.AgentConfig,
		"Postinst": packaging.AgentPostinst, "Prerm": packaging.AgentPrerm, "Postrm": packaging.AgentPostrm,
	})
	if err != nil {
		a.log.ErrorContext(r.Context(), "the agent's install script could not be written", "error", err)
		http.Error(w, "the script could not be written; see the server's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/x-shellscript; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache") // the checksums follow the files
	_, _ = w.Write(b.Bytes())
}

// download answers GET /agent/download/{kind}/{arch}.
func (a *agentShelf) download(w http.ResponseWriter, r *http.Request) {
	kind := r.PathValue("kind") + "/" + r.PathValue("arch")
	name, known := agentFiles[kind]
	if !known {
		http.Error(w, "known are "+strings.Join(agentKinds, ", "), http.StatusNotFound)
		return
	}
	f, info, err := a.open(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.log.WarnContext(r.Context(), "a package of the agent cannot be handed out", "file", name, "error", err)
		}
		http.Error(w, "this server has no "+name+": its operator builds it with make packages and lays it into the directory agent/ of the server's data", http.StatusNotFound)
		return
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// open opens a regular file of the directory; links may not lead out of it.
func (a *agentShelf) open(name string) (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(a.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open the directory of agent packages: %w", err)
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(name) // before opening: a pipe would make that wait
	if err != nil {
		return nil, nil, fmt.Errorf("look for an agent package: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxAgentFile {
		return nil, nil, fmt.Errorf("%s is no regular file of at most %d bytes", name, maxAgentFile)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("open an agent package: %w", err)
	}
	return f, info, nil
}

// sum gives the SHA-256 of a file, read again only after a change.
func (a *agentShelf) sum(name string) (string, error) {
	f, info, err := a.open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	a.mu.Lock() // held while reading: many requests at once read the file once
	defer a.mu.Unlock()
	if known := a.sums[name]; known.size == info.Size() && known.modified.Equal(info.ModTime()) && known.sum != "" {
		return known.sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxAgentFile)); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	a.sums[name] = agentSum{info.Size(), info.ModTime(), sum}
	return sum, nil
}

// Command waypost is the server: it accepts mail by HTTP, relays it through
// the customer's own SMTP servers, and closes the loop with what the agent
// reports. Run it with --help for its subcommands.
//
// Exit codes: 0 after an orderly end, 1 when something failed, 2 when the
// command line or the configuration is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/waypost-mail/waypost/internal/dkim"
)

// version is set by the release build.
var version = "dev"

// cli is the command line; every flag is also an environment variable
// (WAYPOST_HTTP …) and, for serve, a key of the configuration file.
type cli struct {
	LogLevel  string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"text or json." enum:"text,json" default:"text"`

	Init       initCmd       `cmd:"" help:"Create an installation and print its keys, once."`
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Quickstart quickstartCmd `cmd:"" help:"Show the whole way of a message on this machine, with nothing installed."`
	Doctor     doctorCmd     `cmd:"" help:"Look at everything that mail needs, and say what to do. Sends no mail."`
	Provider   providerCmd   `cmd:"" help:"Look at and change providers of a running server."`
	Person     personCmd     `cmd:"" help:"Help people who cannot log in to the dashboard."`
	Queue      queueCmd      `cmd:"" help:"See and change what waits in a running server."`
	Message    messageCmd    `cmd:"" help:"Look at messages of a running server."`
	Bounce     bounceCmd     `cmd:"" help:"Read a mail that came back."`
	Classify   classifyCmd   `cmd:"" help:"Judge what a mail server said: hard or soft, why, and by which rule."`
	Backup     backupCmd     `cmd:"" help:"Write the database of a server on SQLite to a file, while it runs."`
	Restore    restoreCmd    `cmd:"" help:"Make a data directory of a backup, with every provider paused."`
	Config     configCmd     `cmd:"" help:"Work with the configuration file."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// env is what commands act on.
type env struct {
	ctx    context.Context //nolint:containedctx // the process's own, handed to the one command that runs
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("waypost"),
		kong.Description("Self-hosted email sending through your own SMTP servers."),
		kong.DefaultEnvars("WAYPOST"),
		kong.Configuration(loadYAML),
		kong.Writers(stdout, stderr),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(stderr, "BUG: command line:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "waypost:", err)
		fmt.Fprintln(stderr, "run waypost --help for what there is")
		return 2
	}
	e := &env{ctx: ctx, stdout: stdout, stderr: stderr, log: logger(stderr, c.LogLevel, c.LogFormat)}
	err = parsed.Run(e)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "waypost:", err)
		return 2
	}
	fmt.Fprintln(stderr, "waypost:", err)
	return 1
}

// usageError is a mistake in the settings rather than a failure.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func logger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // one of four words that kong checked
	options := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

type versionCmd struct{}

// Run prints the version, and who does RSA in this build.
func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintf(e.stdout, "waypost %s (RSA by %s)\n", version, dkim.RSAEngine)
	return err
}

// Command waypost-agent runs beside a mail server, follows its log and reports
// to Waypost what became of the messages that Waypost relayed through it.
//
//	waypost-agent run --api-key K --endpoint https://waypost.example.com
//
// Every option of run is also a key of the YAML file given with --config
// (/etc/waypost-agent/config.yaml is read when it exists) and an environment
// variable: --log-path is log-path and WAYPOST_AGENT_LOG_PATH. The command
// line wins over the environment, that over the file. run ends with exit code
// 0 on SIGTERM or SIGINT, after it has sent what it has, and with 1 when it
// cannot start; doctor gives 0, 1 with warnings and 2 with problems.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// configFile is read when it exists and --config names no other.
const configFile = "/etc/waypost-agent/config.yaml"

// version is set by the release build.
var version = "dev"

type command struct {
	Run       runCommand       `cmd:"" help:"Follow the log and report to Waypost."`
	Parse     parseCommand     `cmd:"" help:"Print the events in a log as lines of JSON, sending nothing."`
	CheckLine checkLineCommand `cmd:"" help:"Explain what the agent sees in one log line."`
	Explain   explainCommand   `cmd:"" help:"Show the log lines and events of a queue id or a message."`
	Doctor    doctorCommand    `cmd:"" help:"Look at log, server, key and clock, and say what to do."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// console is where a command reads and writes.
type console struct {
	ctx      context.Context //nolint:containedctx // handed to one command by kong
	in       io.Reader
	out, err io.Writer
	args     []string
}

// keyInArgs tells whether the key is on the command line, where the process
// list shows it to everyone.
func (c *console) keyInArgs() bool {
	return slices.ContainsFunc(c.args, func(a string) bool { return a == "--api-key" || strings.HasPrefix(a, "--api-key=") })
}

// exitCode ends a command without a message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(&console{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(c *console, args []string) int {
	var cli command
	c.args = args
	exit := -1
	parser, err := kong.New(&cli,
		kong.Name("waypost-agent"),
		kong.Description("Reports the deliveries, bounces and deferrals of your mail server to Waypost."),
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exit = code }),
		kong.Configuration(loadYAML, configFile),
		kong.UsageOnError(),
		kong.Vars{"mtas": strings.Join(mtalog.MTAs(), ", ")},
	)
	if err != nil {
		return c.fail(err)
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help
	}
	if err == nil {
		err = k.Run(c)
	}
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	if code := c.fail(err); len(args) == 0 || args[0] != "doctor" {
		return code
	}
	return 2 // what keeps doctor from looking at anything is a problem
}

func (c *console) fail(err error) int {
	_, _ = fmt.Fprintf(c.err, "waypost-agent: %s\n", strings.TrimSpace(err.Error()))
	return 1
}

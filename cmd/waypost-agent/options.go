package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/waypost-mail/waypost/internal/agent"
)

// options are what run and doctor are told (D-41).
type options struct {
	Config          kong.ConfigFlag `help:"YAML file with these options as keys." placeholder:"FILE" env:"WAYPOST_AGENT_CONFIG"`
	APIKey          string          `name:"api-key" help:"The provider's event key." placeholder:"KEY" env:"WAYPOST_AGENT_API_KEY"`
	APIKeyFile      string          `name:"api-key-file" help:"File that holds the key." placeholder:"FILE" env:"WAYPOST_AGENT_API_KEY_FILE"`
	Endpoint        string          `help:"Base URL of Waypost, or the whole events URL." placeholder:"URL" env:"WAYPOST_AGENT_ENDPOINT"`
	MTA             string          `name:"mta" help:"The mail server: ${mtas}." default:"postfix" env:"WAYPOST_AGENT_MTA"`
	LogPath         string          `help:"The mail server's log; by default /var/log/mail.log or where the mail server puts it." env:"WAYPOST_AGENT_LOG_PATH"`
	StateDir        string          `help:"Directory for the place reached and unsent events." default:"/var/lib/waypost-agent" env:"WAYPOST_AGENT_STATE_DIR"`
	HealthAddr      string          `help:"Address of /health and /metrics; 'none' for no server." default:"127.0.0.1:9113" env:"WAYPOST_AGENT_HEALTH_ADDR"`
	Hostname        string          `help:"This machine's name in reports." env:"WAYPOST_AGENT_HOSTNAME"`
	BatchSize       int             `help:"Events in one request, at most." default:"500" env:"WAYPOST_AGENT_BATCH_SIZE"`
	Flush           time.Duration   `name:"flush-interval" help:"Longest wait before an event is sent." default:"2s" env:"WAYPOST_AGENT_FLUSH_INTERVAL"`
	Heartbeat       time.Duration   `name:"heartbeat-interval" help:"Sign of life when there is nothing to send." default:"60s" env:"WAYPOST_AGENT_HEARTBEAT_INTERVAL"`
	SpoolSize       size            `help:"Room for unsent events on disk; when it is full, reading waits." default:"256MiB" env:"WAYPOST_AGENT_SPOOL_SIZE"`
	FromStart       bool            `help:"Without a place reached before, read the log from its beginning." env:"WAYPOST_AGENT_FROM_START"`
	IgnoreDiscarded bool            `name:"ignore-discarded" help:"Report nothing of mail that Postfix's discard transport swallowed; by default it counts as delivered, as Postfix says." env:"WAYPOST_AGENT_IGNORE_DISCARDED"`
	HopRelays       string          `help:"Relays that only pass a message on (a content filter on another machine), separated by commas: host or address, with or without :port." env:"WAYPOST_AGENT_HOP_RELAYS"`
	Journald        bool            `help:"Read systemd's journal instead of a file." env:"WAYPOST_AGENT_JOURNALD"`
}

// agentConfig reads the key and gives the agent's configuration.
func (o *options) agentConfig(c *console) (agent.Config, error) {
	key := o.APIKey
	if o.APIKeyFile != "" {
		if key != "" {
			return agent.Config{}, errors.New("api-key and api-key-file are both set: keep one")
		}
		b, err := os.ReadFile(o.APIKeyFile)
		if err != nil {
			return agent.Config{}, fmt.Errorf("read api-key-file: %w", err)
		}
		key = strings.TrimSpace(string(b))
	}
	health := o.HealthAddr
	if health == "none" {
		health = ""
	}
	return agent.Config{
		APIKey: key, KeyFile: o.APIKeyFile, Endpoint: o.Endpoint, MTA: o.MTA, LogPath: o.LogPath, StateDir: o.StateDir, Health: health,
		Hostname: o.Hostname, Batch: o.BatchSize, Flush: o.Flush, Heartbeat: o.Heartbeat, SpoolSize: int64(o.SpoolSize),
		FromStart: o.FromStart, Journald: o.Journald, HopRelays: strings.FieldsFunc(o.HopRelays, func(r rune) bool { return r == ',' || r == ' ' }), IgnoreDiscarded: o.IgnoreDiscarded, Version: version, Ready: c.err,
	}, nil
}

// size is a number of bytes, written with an optional unit: 64MiB, 1GB.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	digits := strings.TrimRight(text, "KMGTiBkb ")
	n, err := strconv.ParseInt(digits, 10, 64)
	units := map[string]int64{
		"": 1, "B": 1, "K": 1 << 10, "KiB": 1 << 10, "KB": 1e3, "M": 1 << 20, "MiB": 1 << 20, "MB": 1e6, "G": 1 << 30, "GiB": 1 << 30, "GB": 1e9,
	}
	unit, ok := units[strings.TrimSpace(text[len(digits):])]
	if err != nil || !ok || n < 0 || n > 1<<40/unit {
		return fmt.Errorf("%q is no size: use a number with B, KiB, MiB or GiB", text)
	}
	*s = size(n * unit)
	return nil
}

// yamlFile answers kong's questions from a YAML file.
type yamlFile map[string]any

// loadYAML reads a configuration file: one level of keys.
func loadYAML(r io.Reader) (kong.Resolver, error) {
	values := yamlFile{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return values, nil
}

// Validate refuses keys that are no options of run.
func (y yamlFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, node := range app.Children {
		if node.Name != "run" {
			continue
		}
		for _, f := range node.Flags {
			known[f.Name] = true
		}
	}
	delete(known, "config")
	for _, key := range slices.Sorted(maps.Keys(y)) {
		if !known[key] {
			return fmt.Errorf("configuration file: unknown key %q; known are %s", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return nil
}

// Resolve gives the value of a flag unless the environment has one.
func (y yamlFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := y[flag.Name]
	if !ok || value == nil {
		return nil, nil //nolint:nilnil // kong's way to say "not here"
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil //nolint:nilnil // the environment wins
		}
	}
	switch v := value.(type) {
	case string, bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	default:
		return nil, fmt.Errorf("configuration file: %s must be a single value", flag.Name)
	}
}

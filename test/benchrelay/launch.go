package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// installation is what waypost init prints.
type installation struct {
	AccountKey    string `json:"accountApiKey"`
	SubAccountKey string `json:"subAccountApiKey"`
}

// initialise runs waypost init.
func initialise(ctx context.Context, binary, data string) (installation, error) {
	var keys installation
	out, err := exec.CommandContext(ctx, binary, "init", "--data", data, "--json").Output() //nolint:gosec // the binary to measure
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return keys, fmt.Errorf("waypost init: %w\n%s", err, exit.Stderr)
		}
		return keys, fmt.Errorf("waypost init: %w", err)
	}
	if err := json.Unmarshal(out, &keys); err != nil {
		return keys, fmt.Errorf("read what waypost init printed: %w", err)
	}
	return keys, nil
}

// serve runs waypost serve and waits for its ready line, which names the
// address it listens on.
func serve(ctx context.Context, binary string, s waypostSettings, logFile string) (*child, string, error) {
	cmd := exec.CommandContext(ctx, binary, "serve", //nolint:gosec // the binary to measure
		"--data", s.data, "--http", "127.0.0.1:0", "--dns-resolver", s.dns, "--bounce-host", s.bounceHost,
		"--allow-private-networks", "--sessions", strconv.Itoa(s.sessions))
	server, err := startChild(cmd, "waypost serve", logFile)
	if err != nil {
		return nil, "", err
	}
	var addr string
	err = poll(ctx, 10*time.Millisecond, startLimit, func() (bool, error) {
		b, err := os.ReadFile(logFile)
		if err != nil {
			return false, fmt.Errorf("read the server's log: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			if after, ok := strings.CutPrefix(line, "ready http="); ok && strings.HasSuffix(line, "\n") {
				addr, _, _ = strings.Cut(strings.TrimSpace(after), " ")
				return true, nil
			}
		}
		return false, server.ended()
	})
	if err != nil {
		return server, "", fmt.Errorf("wait for the server's ready line: %w", err)
	}
	return server, addr, nil
}

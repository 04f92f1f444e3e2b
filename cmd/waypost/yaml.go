package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// loadYAML reads a configuration file: a flat map whose keys are flags of the
// command, with dashes or underscores. Command line and environment win over
// it; a key that is no flag is refused.
func loadYAML(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	file := yamlFile{}
	for key, v := range values {
		name := strings.ReplaceAll(key, "_", "-")
		if _, twice := file[name]; twice {
			return nil, fmt.Errorf("configuration file: %s stands twice", key)
		}
		file[name] = v
	}
	return file, nil
}

type yamlFile map[string]any

// Validate refuses keys that no command knows.
func (y yamlFile) Validate(app *kong.Application) error {
	var known []string
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known = append(known, f.Name)
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(app.Node)
	for key := range y {
		if key == "config" || !slices.Contains(known, key) {
			return fmt.Errorf("configuration file: there is no setting %q; the settings are the flags of waypost serve", key)
		}
	}
	return nil
}

// Resolve gives the value of a flag that neither the command line nor the
// environment sets.
func (y yamlFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	v, ok := y[flag.Name]
	if !ok {
		return nil, nil
	}
	if list, ok := v.([]any); ok {
		parts := make([]string, len(list))
		for i, p := range list {
			parts[i] = fmt.Sprint(p)
		}
		return strings.Join(parts, ","), nil
	}
	return fmt.Sprint(v), nil
}

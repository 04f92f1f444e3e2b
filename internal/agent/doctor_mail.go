package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// examineRotation looks for the logrotate rule of the log.
func examineRotation(cfg *Config, dir string, add adder) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		body, ok := rotationRule(string(b), cfg.LogPath)
		if !ok {
			continue
		}
		if hasWord(body, "copytruncate") {
			add("rotation", Warn, name+" rotates the log with copytruncate", "lines written between copy and truncation are lost to everyone: rotate by renaming, with a postrotate that tells the log's writer")
			return
		}
		add("rotation", Good, name+" rotates the log by renaming", "")
		return
	}
	add("rotation", Good, "no rule in "+dir+" names the log; the agent follows whatever else rotates it", "")
}

// rotationRule finds the block of a logrotate file whose patterns match path.
func rotationRule(text, path string) (body string, ok bool) {
	var clean strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			clean.WriteString(line + "\n")
		}
	}
	for rest := clean.String(); ; {
		names, after, found := strings.Cut(rest, "{")
		if !found {
			return "", false
		}
		body, rest, _ = strings.Cut(after, "\n}")
		for pattern := range strings.FieldsSeq(names) {
			if m, err := filepath.Match(strings.Trim(pattern, `"'`), path); err == nil && m {
				return body, true
			}
		}
	}
}

func hasWord(text, word string) bool {
	return slices.Contains(strings.Fields(text), word)
}

// postfixSettings are those that decide what the log says.
var postfixSettings = []string{
	"enable_long_queue_ids", "content_filter", "smtpd_proxy_filter", "sender_canonical_maps", "sender_canonical_classes",
	"always_bcc", "maillog_file", "syslog_name", "multi_instance_directories",
}

// examinePostfix asks postconf, where there is one and it may be asked, and
// tells whether Postfix writes the log itself.
func examinePostfix(ctx context.Context, cfg *Config, add adder) (direct bool) {
	if cfg.MTA != "postfix" {
		return false
	}
	program, err := exec.LookPath("postconf")
	if err != nil {
		program = "/usr/sbin/postconf" // not in every user's PATH
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// Unlike -h, this says which value is whose when a setting is unknown to
	// this version.
	cmd := exec.CommandContext(ctx, program, append([]string{"-x"}, postfixSettings...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if len(out) == 0 {
		add("postfix", Good, fmt.Sprintf("its settings could not be asked for (%v)", err), "")
		return false
	}
	set := map[string]string{}
	for line := range strings.SplitSeq(string(out), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			set[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	direct = judgePostfix(cfg, set, add)
	cmd = exec.CommandContext(ctx, program, "-P")
	cmd.WaitDelay = time.Second
	if out, err = cmd.Output(); err == nil {
		judgeServices(string(out), add)
	}
	return direct
}

// judgeServices looks for what single services of master.cf say otherwise than
// main.cf (postconf -P prints "service/type/setting = value").
func judgeServices(overrides string, add adder) {
	var told []string
	for line := range strings.SplitSeq(overrides, "\n") {
		place, value, ok := strings.Cut(line, " = ")
		i := strings.LastIndexByte(place, '/')
		if !ok || i < 0 {
			continue
		}
		service, setting := place[:i], place[i+1:]
		switch {
		case setting == "sender_canonical_maps" && strings.TrimSpace(value) != "":
			add("postfix", Warn, fmt.Sprintf("in master.cf %s has its own %s = %s, which may rewrite the return paths that messages are found by", service, setting, excerpt([]byte(value))),
				"see that no rule matches bounces+...@, or that Waypost's mail does not pass through "+service)
		case setting == "content_filter", setting == "smtpd_proxy_filter", setting == "always_bcc":
			told = append(told, fmt.Sprintf("%s: %s = %s", service, setting, excerpt([]byte(value))))
		}
	}
	if len(told) > 0 {
		add("postfix", Good, "services with settings of their own in master.cf: "+strings.Join(told, "; "), "")
	}
}

func judgePostfix(cfg *Config, set map[string]string, add adder) (direct bool) {
	well := true
	warn := func(detail, remedy string) {
		well = false
		add("postfix", Warn, detail, remedy)
	}
	if file := set["maillog_file"]; file == cfg.LogPath {
		direct = true
	} else if file != "" {
		warn("maillog_file is "+file+", the agent reads "+cfg.LogPath, "set log-path to "+file)
	}
	if v := set["sender_canonical_maps"]; v != "" && strings.Contains(set["sender_canonical_classes"], "envelope_sender") {
		warn("sender_canonical_maps is "+v+" and may rewrite the return paths that messages are found by", "see that no rule matches bounces+...@, or set sender_canonical_classes = header_sender")
	}
	if v := set["multi_instance_directories"]; v != "" {
		warn("there are further instances in "+v, "see that the instance that relays Waypost's mail logs to "+cfg.LogPath)
	}
	if set["enable_long_queue_ids"] == "no" {
		set["enable_long_queue_ids"] = "no (ids are used again after a while, which the agent knows; yes would avoid it)"
	}
	if well {
		text := []string{"no setting is in the way"}
		for _, name := range []string{"enable_long_queue_ids", "content_filter", "smtpd_proxy_filter", "always_bcc", "syslog_name"} {
			if v := set[name]; v != "" {
				text = append(text, name+" = "+excerpt([]byte(v)))
			}
		}
		add("postfix", Good, strings.Join(text, "; "), "")
	}
	return direct
}

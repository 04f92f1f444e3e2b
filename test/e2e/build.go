package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// binaries is the directory of the two programs under test.
var binaries string

// build makes both programs in dir, with the race detector when the tests
// themselves run with it: a race in a program under test ends it with code 66.
func build(dir string) error {
	args := []string{"build", "-o", dir + string(os.PathSeparator)}
	if raceDetector {
		args = append(args, "-race")
	}
	args = append(args, "github.com/waypost-mail/waypost/cmd/waypost", "github.com/waypost-mail/waypost/cmd/waypost-agent")
	if out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs under test: %w\n%s", err, out)
	}
	binaries = dir
	return nil
}

func waypost() string  { return filepath.Join(binaries, "waypost") }
func agentBin() string { return filepath.Join(binaries, "waypost-agent") }

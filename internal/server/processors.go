package server

import (
	"os"
	"runtime"
)

// UseProcessors lets a process on a machine with one processor run two
// goroutines at a time, unless the environment's GOMAXPROCS says how many: the
// system then shares the processor out between what is long, such as a commit
// or a signature, and what is short. Go's own scheduler would look for new
// requests only every 10 ms while there is work.
func UseProcessors() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(2)
	}
}

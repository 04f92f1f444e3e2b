package dash

import "time"

// Node is what the process that answers says of itself. Nothing in it is
// secret.
type Node struct {
	Started  time.Time
	Engine   string // such as SQLite
	Database int64  // bytes on the disk, 0 when nobody knows

	Data      string // directory
	DiskFree  uint64 // bytes on its disk; both 0 when nobody knows
	DiskTotal uint64
	DiskWarn  uint64 // less than this is trouble

	Workers  []Worker
	Settings []Setting
}

// Worker is a kind of work, and what this node does of it.
type Worker struct {
	Name string
	On   bool   // this node has the role
	Text string // how much there is of it now
}

// Setting is one line of the configuration, in words.
type Setting struct{ Name, Value string }

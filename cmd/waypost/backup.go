package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost/internal/server"
)

type backupCmd struct {
	Data string `help:"Data directory of the server, which may go on running." required:"" placeholder:"DIR"`
	File string `arg:"" help:"File to write; it must not be there yet."`
}

// Run writes the backup.
func (c *backupCmd) Run(e *env) error {
	if err := server.Backup(e.ctx, c.Data, c.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "%s is written and checked. It needs the key file %s/secret.key to be of use: keep a copy of that in another place.\n", c.File, c.Data)
	return err
}

type restoreCmd struct {
	Data     string `help:"Directory to make; one with a database in it is refused." required:"" placeholder:"DIR"`
	KeyFile  string `help:"The key file of the backup's installation, unless it lies in the directory already." placeholder:"FILE"`
	Database string `help:"Database on PostgreSQL that was restored by its own means; takes no file." placeholder:"URL"`
	File     string `arg:"" optional:"" help:"What waypost backup wrote."`
}

// Validate wants one source.
func (c *restoreCmd) Validate() error {
	if (c.File == "") == (c.Database == "") {
		return errors.New("name the file that waypost backup wrote, or with --database a database that was restored by its own means")
	}
	return nil
}

// Run restores and says what to do next.
func (c *restoreCmd) Run(e *env) error {
	now := time.Now().Truncate(time.Millisecond)
	var r server.Restored
	var err error
	if c.Database != "" {
		r, err = server.RestoredDatabase(e.ctx, c.Database, c.KeyFile, c.Data, now)
	} else {
		r, err = server.Restore(e.ctx, c.File, c.KeyFile, c.Data, now)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, `%s is ready. Messages that wait in it: %d; providers paused: %d.

What waited when the backup was made may have been relayed since. Start the server,
look at it with "waypost queue list", cancel what went out already, and resume each
provider with "waypost queue resume ID" or in the dashboard.
`, c.Data, r.Waiting, len(r.Providers))
	return err
}

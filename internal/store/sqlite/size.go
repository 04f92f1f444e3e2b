package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Size implements [store.Store]: the database and its write-ahead log.
func (d *DB) Size(context.Context) (int64, error) {
	total := int64(0)
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(d.path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("measure the database: %w", err)
		}
		if err == nil {
			total += info.Size()
		}
	}
	return total, nil
}

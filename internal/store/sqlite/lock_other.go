//go:build !unix

package sqlite

import (
	"fmt"
	"os"
)

// lock opens the lock file. This platform has no advisory locks in the
// standard library's reach: keeping a second process away is the operator's.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	return f, nil
}

package agent

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxArchives bounds how many archives of one log are looked at.
const maxArchives = 400

// archive is the name of a rotated log: F.1, F.2.gz, F-20261124, F-20261124.gz.
type archive struct {
	path   string
	number int    // of F.N
	date   string // of F-DATE
}

// archives lists the log and its archives, newest first. Where a plain and a
// compressed form stand side by side, the compressed one is not finished yet.
func archives(path string) ([]archive, error) {
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	var found []archive
	plain := map[string]bool{}
	for _, d := range names {
		plain[d.Name()] = true
	}
	for _, d := range names {
		rest, ok := strings.CutPrefix(d.Name(), base)
		if !ok {
			continue
		}
		a := archive{path: filepath.Join(filepath.Dir(path), d.Name())}
		stem, zipped := strings.CutSuffix(rest, ".gz")
		if zipped && plain[base+stem] {
			continue
		}
		switch {
		case rest == "":
		case strings.HasPrefix(stem, "."):
			if a.number, err = strconv.Atoi(stem[1:]); err != nil || a.number < 0 {
				continue
			}
			a.number++ // F.0 is older than F
		case strings.HasPrefix(stem, "-") && len(stem) >= 9 && stem[1] >= '0' && stem[1] <= '9':
			a.number, a.date = 1, stem[1:]
		default:
			continue
		}
		found = append(found, a)
	}
	slices.SortFunc(found, func(a, b archive) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.date, a.date))
	})
	return found[:min(len(found), maxArchives)], nil
}

// find opens the file a position is in and all newer ones, oldest first. The
// source of the position, when it is found, stands at its offset; the others
// at their start. A rotation during the search starts it again.
func find(path string, p *Position) (at *source, newer []*source, err error) {
	for range 50 { // a search takes longer than a rotation on a slow disk
		var list, again []archive
		if list, err = archives(path); err != nil {
			return nil, nil, err
		}
		at, newer, err = search(path, list, p)
		if again, _ = archives(path); err == nil && slices.Equal(list, again) {
			return at, newer, nil
		}
		closeAll(append(newer, at))
	}
	if err == nil {
		err = errors.New("the log's archives keep changing")
	}
	return nil, nil, err
}

func search(live string, list []archive, p *Position) (at *source, newer []*source, err error) {
	if p.Offset == 0 && p.Before != nil {
		if at, newer, err = search(live, list, p.Before); err != nil || at != nil {
			return at, newer, err
		}
		closeAll(newer)
		newer = nil
	}
	for i, a := range list {
		s, err := openSource(a.path)
		if err != nil {
			if i == 0 && a.number == 0 && !errors.Is(err, fs.ErrNotExist) {
				return nil, nil, err
			}
			continue // gone, broken or not ours to read
		}
		ok, err := isAt(s, p)
		if err == nil && ok {
			slices.Reverse(newer)
			return s, newer, nil
		}
		s.close()
		if s, err = openSource(a.path); err != nil {
			continue
		}
		newer = append(newer, s)
	}
	return nil, since(newer, live, p.Modified), nil
}

// isAt moves s to p's offset and compares. Without bytes to compare, only the
// inode can tell.
func isAt(s *source, p *Position) (bool, error) {
	if p.Offset == 0 {
		return s.unzip == nil && s.dev == p.Dev && s.inode == p.Inode, nil
	}
	ok, err := s.seek(p.Offset)
	return ok && err == nil && s.at(p), err
}

// since keeps of the files, newest first, those written after a time, and the
// live log in any case; it gives them oldest first.
func since(newest []*source, live string, after time.Time) (oldest []*source) {
	for _, s := range newest {
		if s.name == live || s.modified().After(after) {
			oldest = append(oldest, s)
		} else {
			s.close()
		}
	}
	slices.Reverse(oldest)
	return oldest
}

func closeAll(list []*source) {
	for _, s := range list {
		s.close()
	}
}

package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	pollEvery = time.Second           // network and overlay file systems do not notify
	gather    = 10 * time.Millisecond // lines that come together are read together
)

// watcher wakes a reader when its log changes.
type watcher struct {
	notify *fsnotify.Watcher // nil when the system refused: then polling has to do
	base   string
}

// newWatcher watches the log's directory, as the log itself is renamed. The
// error says why there is only polling; the watcher works all the same.
func newWatcher(path string) (*watcher, error) {
	w := &watcher{base: filepath.Base(path)}
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return w, fmt.Errorf("watch files: %w", err)
	}
	if err := n.Add(filepath.Dir(path)); err != nil {
		_ = n.Close()
		return w, fmt.Errorf("watch directory of %s: %w", path, err)
	}
	w.notify = n
	return w, nil
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close()
	}
}

// wait returns when the log changed, after most at the latest, or when ctx
// ends.
func (w *watcher) wait(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(min(max(most, time.Millisecond), pollEvery))
	defer timer.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if w.notify != nil {
		events, errs = w.notify.Events, w.notify.Errors
	}
	gathering := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if filepath.Base(e.Name) == w.base && !gathering {
				gathering = true
				timer.Reset(gather)
			}
		case _, ok := <-errs: // events were dropped: look at the file
			if !ok {
				errs = nil
				continue
			}
			return
		}
	}
}

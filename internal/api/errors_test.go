package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost/internal/store"
)

// TestStorageAway: storage that is away is told as 503 with a time to come
// again, and whether anything may have been stored.
func TestStorageAway(t *testing.T) {
	a := &API{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	for cause, want := range map[error]string{store.ErrUnavailable: "nothing was stored", store.ErrUnknown: "may have been stored or not"} {
		err := a.explain(t.Context(), &huma.Operation{OperationID: "x"}, fmt.Errorf("accept: %w: host db.internal", cause))
		e, ok := errors.AsType[*Error](err)
		if !ok || e.GetStatus() != http.StatusServiceUnavailable || e.GetHeaders().Get("Retry-After") == "" {
			t.Fatalf("%v: %v", cause, err)
		}
		if !strings.Contains(e.Error(), want) || strings.Contains(e.Error(), "db.internal") {
			t.Errorf("%v: %s", cause, e.Error())
		}
	}
}

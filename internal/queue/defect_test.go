package queue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
)

// TestComposedDefect: a panic while one message is composed is that message's
// error, with the place where it happened.
func TestComposedDefect(t *testing.T) {
	m := waypost.Message{ID: waypost.NewUUID(time.Now()), Recipient: "ann@example.org", To: waypost.Address{Email: "ann@example.org"}}
	var p *compose.Prepared
	_, err := guarded(func() (compose.Signed, error) { return p.Message(&m, compose.Options{SenderDomain: "example.com"}) })
	if !errors.Is(err, errDefect) || !strings.Contains(err.Error(), "internal/compose") {
		t.Errorf("%v", err)
	}
}

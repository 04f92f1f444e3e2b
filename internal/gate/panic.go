package gate

import (
	"fmt"
	"log/slog"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
)

// Panics gives the log of an SMTP server of which only panics are kept: the
// library ends such a session with 421, and its sender comes again and again
// with what we cannot read. All else that it logs is strangers' doing.
func Panics(l *slog.Logger) gosmtp.Logger { return panics{l} }

type panics struct{ log *slog.Logger }

const longestPanic = 4 << 10 // bytes; what it quotes may be a stranger's

// Printf keeps a panic.
func (p panics) Printf(format string, args ...any) {
	if !strings.HasPrefix(format, "panic") {
		return
	}
	text := fmt.Sprintf(format, args...)
	p.log.Error("BUG: panic in a session of SMTP; the client was told to come again", "panic", text[:min(len(text), longestPanic)])
}

// Println keeps nothing.
func (panics) Println(...any) {}

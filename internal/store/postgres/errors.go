package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/waypost-mail/waypost/internal/store"
)

// sqlState is PostgreSQL's error code, "" when err is none of the server's.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// unavailable tells whether the server cannot work for now: the same call may
// succeed later. The codes are those of PostgreSQL's appendix A.
func unavailable(err error) bool {
	if errors.Is(err, store.ErrUnavailable) || disconnected(err) {
		return true
	}
	switch code := sqlState(err); code {
	case "25006", // the transaction is read only: a standby, or a full disk guarded by the operator
		"57014",          // a statement timeout of the operator's, or an administrator cancelled it
		"58000", "58030": // system error, I/O error
		return true
	default:
		return strings.HasPrefix(code, "53") || clashed(err) // disk full, out of memory, too many connections
	}
}

// disconnected tells whether the connection was never there or is gone.
func disconnected(err error) bool {
	if code := sqlState(err); code != "" {
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P")
	}
	var dial *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &dial) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, puddle.ErrClosedPool)
}

// clashed tells whether the server ended a transaction in favour of another.
func clashed(err error) bool {
	code := sqlState(err)
	return code == "40001" || code == "40P01"
}

// wrap names the act that failed and turns the server's codes into the
// contract's errors. The end of the caller's own context stays what it is.
func wrap(ctx context.Context, act string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w: %w", act, ctx.Err(), err)
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", act, store.ErrNotFound)
	case sqlState(err) == "23505":
		return fmt.Errorf("%s: %w: %w", act, store.ErrExists, err)
	case unavailable(err) && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, errUnknown):
		return fmt.Errorf("%s: %w: %w", act, store.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", act, err)
	}
}

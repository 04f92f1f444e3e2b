package postgres

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// clean makes a text that PostgreSQL stores: it refuses NUL and what is not
// UTF-8. Every text passes through it on its way in, those that are looked for
// included.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// millis is the stored form of a time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// ceilMillis is the first stored time that is not before t: as a bound, a part
// of a millisecond counts for the next.
func ceilMillis(t time.Time) int64 { return t.Add(time.Millisecond - time.Nanosecond).UnixMilli() }

// moment is the time of a stored form.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// dayOf is the UTC day of a time, counted from 1970.
func dayOf(t time.Time) int32 {
	const dayMillis = 24 * 60 * 60 * 1000
	ms := t.UnixMilli()
	d := ms / dayMillis
	if ms%dayMillis < 0 {
		d--
	}
	return int32(d)
}

// uuid is an id as the driver takes it; NULL when unset.
func uuid(u waypost.UUID) pgtype.UUID {
	return pgtype.UUID{Bytes: u, Valid: !u.IsZero()}
}

// into is where the driver writes an id to.
func into(u *waypost.UUID) *[16]byte { return (*[16]byte)(u) }

// page bounds a list; search is what names must contain.
func page(p store.Page) (limit, offset int, search string) {
	return min(max(p.Limit, 1), 1000), max(p.Offset, 0), clean(p.Search)
}

// asJSON is the stored form of a slice or map; "" for an empty one.
func asJSON[T any](v T, n int) (string, error) {
	if n == 0 {
		return "", nil
	}
	s, err := store.EncodeJSON(v)
	return clean(s), err
}

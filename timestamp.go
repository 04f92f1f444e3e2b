package waypost

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MarshalJSON writes RFC 3339 with microseconds, in UTC.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
}

// UnmarshalJSON reads RFC 3339 text, a number since 1970, or such a number as
// text; null and "" leave the time unset.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "" || s == "null" {
		return nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		t.Time, err = timeOf(n)
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("timestamp %q is neither RFC 3339 nor a number since 1970", clip(s, 40))
	}
	if y := at.UTC().Year(); y < 0 || y > 9999 { // could be written, and never read again
		return fmt.Errorf("timestamp %q is out of range", clip(s, 40))
	}
	t.Time = at
	return nil
}

func timeOf(n float64) (time.Time, error) {
	switch {
	case !(n >= 0 && n <= 9e18): // NaN too
		return time.Time{}, fmt.Errorf("timestamp %g is out of range", n)
	case n < 1e11: // seconds until the year 5138
		return time.UnixMicro(int64(n * 1e6)), nil
	case n < 1e14:
		return time.UnixMilli(int64(n)), nil
	case n < 1e17:
		return time.UnixMicro(int64(n)), nil
	}
	return time.Unix(0, int64(n)), nil
}

package submission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
)

// bucket is what is stored of the mails that a credential may hand in now. It
// fills evenly over the hour.
type bucket struct {
	Tokens float64   `json:"tokens"`
	At     time.Time `json:"at"`
}

var errNoToken = errors.New("no token is left")

// take spends a token of a credential with a bound of its own or the server's:
// one for each mail, whatever its recipients. A tenth of the hour's can be
// handed in at once, ten where that is less. The count is in the store, so that
// it holds on every node. Without a token it answers with a reply that says when
// the next comes; nothing is counted then.
func (s *Server) take(ctx context.Context, key *waypost.APIKey, now time.Time) error {
	perHour := key.PerHour
	if perHour == 0 {
		perHour = s.cfg.PerHour
	}
	if perHour <= 0 {
		return nil
	}
	size := math.Min(float64(perHour), math.Max(10, float64(perHour)/10))
	perSecond := float64(perHour) / 3600
	var wait time.Duration
	err := s.cfg.Store.ChangeMark(ctx, "smtp rate "+strconv.FormatInt(key.ID, 10), now, func(old []byte) ([]byte, time.Time, error) {
		b := bucket{Tokens: size, At: now}
		if old != nil && json.Unmarshal(old, &b) != nil {
			b = bucket{Tokens: size, At: now}
		}
		if passed := now.Sub(b.At); passed > 0 {
			b.Tokens += passed.Seconds() * perSecond
			b.At = now
		}
		b.Tokens = math.Min(b.Tokens, size) // the bound may have been lowered
		if b.Tokens < 1 {
			wait = seconds((1 - b.Tokens) / perSecond)
			return nil, time.Time{}, errNoToken
		}
		b.Tokens--
		next, err := json.Marshal(b)
		full := b.At.Add(seconds((size - b.Tokens) / perSecond))
		return next, full.Add(time.Second).Truncate(time.Millisecond), err
	})
	switch {
	case errors.Is(err, errNoToken):
		return tooFast(perHour, wait)
	case err != nil:
		return fmt.Errorf("count a mail of credential %d: %w", key.ID, err)
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// tooFast is the reply to a mail beyond the rate.
func tooFast(perHour int, wait time.Duration) *gosmtp.SMTPError {
	return reply(451, 4, 7, 0, fmt.Sprintf("This credential may hand in %d mails an hour; try again in %s, or have perHour of its key raised",
		perHour, max(wait, time.Second).Round(time.Second)))
}

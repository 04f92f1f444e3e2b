package waypost_test

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

func TestStatusOf(t *testing.T) {
	at := func(typ waypost.EventType, minute int, evidence bool) waypost.Event {
		return waypost.Event{ID: int64(minute + 1), Type: typ, At: time.Unix(int64(60*minute), 0), Evidence: evidence}
	}
	for _, tt := range []struct {
		name   string
		events []waypost.Event
		want   waypost.MessageStatus
		id     int64
	}{
		{"none left", nil, waypost.StatusExpired, 0},
		{"an open alone", []waypost.Event{at(waypost.CSOpen, 0, false)}, waypost.StatusExpired, 0},
		{"accepted", []waypost.Event{at(waypost.CSProcessed, 0, false)}, waypost.StatusQueued, 1},
		{"sent", []waypost.Event{at(waypost.CSSent, 1, false), at(waypost.CSProcessed, 2, false)}, waypost.StatusSent, 2},
		{"delivered before the relay said so", []waypost.Event{at(waypost.CSDelivered, 1, false), at(waypost.CSSent, 2, false), at(waypost.CSOpen, 3, false)}, waypost.StatusDelivered, 2},
		{"a late bounce", []waypost.Event{at(waypost.CSHardBounced, 5, false), at(waypost.CSDelivered, 1, false)}, waypost.StatusHardBounced, 6},
		{"told in the other order", []waypost.Event{at(waypost.CSDelivered, 6, false), at(waypost.CSSoftBounced, 5, false)}, waypost.StatusDelivered, 7},
		{"evidence", []waypost.Event{at(waypost.CSDelivered, 1, false), at(waypost.CSHardBounced, 5, true)}, waypost.StatusDelivered, 2},
		{"dropped", []waypost.Event{at(waypost.CSProcessed, 0, false), at(waypost.CSDropped, 0, false)}, waypost.StatusDropped, 1},
	} {
		got, e := waypost.StatusOf(tt.events)
		if got != tt.want || (e == nil) != (tt.id == 0) || e != nil && e.ID != tt.id {
			t.Errorf("%s: %s by %+v, want %s", tt.name, got, e, tt.want)
		}
	}
	for _, s := range waypost.MessageStatuses() {
		if back, ok := waypost.ParseMessageStatus(string(s)); !ok || back != s {
			t.Errorf("%s is read as %s", s, back)
		}
	}
	for _, word := range []string{"", "expired", "Sent", "bounced"} {
		if s, ok := waypost.ParseMessageStatus(word); ok {
			t.Errorf("%q is read as %s", word, s)
		}
	}
}

package waypost

// MessageStatus is where a message stands, by its events: one word of the
// constants below.
type MessageStatus string

// The statuses. Of several terminal events the latest counts, for a bounce may
// follow a delivery (D-32).
const (
	StatusQueued      MessageStatus = "queued"      // waits to be relayed, or for another attempt
	StatusSent        MessageStatus = "sent"        // the provider took it; what became of it then is not known
	StatusDelivered   MessageStatus = "delivered"   // the recipient's server took it
	StatusSoftBounced MessageStatus = "softBounced" // undelivered, the address may be good
	StatusHardBounced MessageStatus = "hardBounced" // undelivered, the address is not
	StatusDropped     MessageStatus = "dropped"     // given up, refused or cancelled here
	StatusExpired     MessageStatus = "expired"     // its events are past their retention
)

// finalStatus is the status that a terminal event gives.
var finalStatus = map[EventType]MessageStatus{
	CSDelivered: StatusDelivered, CSSoftBounced: StatusSoftBounced, CSHardBounced: StatusHardBounced, CSDropped: StatusDropped,
}

// MessageStatuses lists the statuses that messages can be selected by.
func MessageStatuses() []MessageStatus {
	return []MessageStatus{StatusQueued, StatusSent, StatusDelivered, StatusSoftBounced, StatusHardBounced, StatusDropped}
}

// ParseMessageStatus finds a status by its word.
func ParseMessageStatus(word string) (MessageStatus, bool) {
	for _, s := range MessageStatuses() {
		if string(s) == word {
			return s, true
		}
	}
	return "", false
}

// EventType is the terminal event that gives the status; 0 when none does.
func (s MessageStatus) EventType() EventType {
	for t, of := range finalStatus {
		if of == s {
			return t
		}
	}
	return 0
}

// StatusOf is where a message stands by its events, in any order, and the event
// that says so; nil for [StatusExpired]. Evidence is passed over.
func StatusOf(events []Event) (MessageStatus, *Event) {
	var best *Event
	for i := range events {
		if e := &events[i]; !e.Evidence && standing(e) > 0 && (best == nil || outweighs(e, best)) {
			best = e
		}
	}
	switch {
	case best == nil:
		return StatusExpired, nil
	case best.Type == CSSent:
		return StatusSent, best
	case best.Type == CSProcessed:
		return StatusQueued, best
	}
	return finalStatus[best.Type], best
}

// standing ranks the events that say where a message stands.
func standing(e *Event) int {
	switch {
	case e.Type.Final():
		return 3
	case e.Type == CSSent:
		return 2
	case e.Type == CSProcessed:
		return 1
	}
	return 0
}

// outweighs tells whether e says more of where a message stands than f does.
func outweighs(e, f *Event) bool {
	if a, b := standing(e), standing(f); a != b {
		return a > b
	}
	if !e.At.Equal(f.At) {
		return e.At.After(f.At)
	}
	return e.ID > f.ID
}

package waypost

import "strings"

// SimulatorDomain is the domain of simulated recipients unless another is
// configured (sendpost.md, a.3).
const SimulatorDomain = "playwithsendpost.io"

// SimulatorProvider stands in the place of a provider for messages to
// simulated recipients: no mail server sees them.
const SimulatorProvider = 0

// Simulated is a simulated recipient (D-40), by the local part of its address
// without a detail behind "+".
type Simulated string

// The simulated recipients.
const (
	SimulatedTest       Simulated = "test"       // delivered, opened, clicked
	SimulatedDeliver    Simulated = "deliver"    // delivered
	SimulatedHardBounce Simulated = "hardbounce" // the mailbox does not exist
	SimulatedSoftBounce Simulated = "softbounce" // the mailbox is full
	SimulatedDropped    Simulated = "dropped"    // refused by the mail server it would have gone to
)

// simulations are the events of each after CSProcessed, in their order.
var simulations = map[Simulated][]EventType{
	SimulatedTest:       {CSSent, CSDelivered, CSOpen, CSClick},
	SimulatedDeliver:    {CSSent, CSDelivered},
	SimulatedHardBounce: {CSSent, CSHardBounced},
	SimulatedSoftBounce: {CSSent, CSSoftBounced},
	SimulatedDropped:    {CSDropped},
}

// Simulate tells whether an address is below a simulator domain, and which
// recipient it is there; "" when there is none of that name. An empty domain
// simulates nobody.
func Simulate(email, domain string) (s Simulated, here bool) {
	email = FoldEmail(email)
	at := strings.LastIndexByte(email, '@')
	if domain == "" || at < 0 || !strings.EqualFold(email[at+1:], domain) {
		return "", false
	}
	local, _, _ := strings.Cut(email[:at], "+")
	if s = Simulated(local); simulations[s] == nil {
		return "", true
	}
	return s, true
}

// SimulatedNames lists the local parts of simulated recipients.
func SimulatedNames() []string {
	return []string{
		string(SimulatedTest), string(SimulatedDeliver), string(SimulatedHardBounce), string(SimulatedSoftBounce), string(SimulatedDropped),
	}
}

// Events are those that a message to the recipient gets after CSProcessed.
func (s Simulated) Events() []EventType { return simulations[s] }

// SimulatedReply is what a mail server would have said to bring about an event
// of a simulated recipient: code, enhanced status code (RFC 3463) and text.
// Opens and clicks have none.
func SimulatedReply(t EventType) (code int, enhanced, text string) {
	switch t { //nolint:exhaustive // the others have none
	case CSSent:
		return 250, "2.0.0", "250 2.0.0 Simulated: accepted for relaying"
	case CSDelivered:
		return 250, "2.1.5", "250 2.1.5 Simulated: delivered"
	case CSDropped:
		return 550, "5.0.0", "550 5.0.0 Simulated: transaction refused"
	case CSHardBounced:
		return 550, "5.1.1", "550 5.1.1 Simulated: the email account that you tried to reach does not exist"
	case CSSoftBounced:
		return 452, "4.2.2", "452 4.2.2 Simulated: the recipient's mailbox is full"
	}
	return 0, "", ""
}

package dash

import (
	"fmt"

	"github.com/waypost-mail/waypost"
)

// eventWords give an event type its chip.
var eventWords = map[waypost.EventType]chip{
	waypost.CSProcessed:   {"info", "arrow", "accepted", ""},
	waypost.CSSent:        {"info", "mail", "sent", ""},
	waypost.CSDelivered:   {"ok", "check", "delivered", ""},
	waypost.CSDropped:     {"bad", "block", "dropped", ""},
	waypost.CSHardBounced: {"bad", "cross", "hard bounce", ""},
	waypost.CSSoftBounced: {"warn", "alert", "soft bounce", ""},
	waypost.CSOpen:        {"quiet", "eye", "opened", ""},
	waypost.CSClick:       {"quiet", "link", "clicked", ""},
	waypost.CSSpamReport:  {"bad", "flag", "spam report", ""},
	waypost.CSUnsubscribe: {"warn", "out", "unsubscribed", ""},
}

func eventChip(e *waypost.Event) chip {
	c := eventWords[e.Type]
	c.More = fmt.Sprintf("%s (%d)", e.Type, e.Type)
	if e.Evidence {
		c.Kind, c.Text = "quiet", c.Text+", again"
	}
	if e.Late {
		c.Text += ", late"
	}
	return c
}

// sourceWords say whose word an event is.
var sourceWords = map[waypost.Source]string{
	waypost.SourceAPI: "Waypost, when it was accepted", waypost.SourceRelay: "the conversation with the provider",
	waypost.SourceAgent: "the agent beside the mail server", waypost.SourceBounce: "a report that came back by mail", waypost.SourceTrack: "a request for a tracked address",
	waypost.SourceSimulator: "a simulated recipient: no mail left this installation",
}

// dropWords say why a message was dropped.
var dropWords = map[waypost.Reason]string{
	waypost.DropNoReturnPath: "its sender domain has no verified return path", waypost.DropSuppressed: "the recipient is on the suppression list",
	waypost.DropInvalid: "the address cannot be mailed", waypost.DropRelayFailed: "every attempt failed",
	waypost.DropRelayRefused: "the provider refused it for good", waypost.DropTooLarge: "it is larger than the provider takes",
	waypost.DropUnrenderable: "its content cannot be made into a message", waypost.DropProviderGone: "its provider was deleted",
	waypost.DropCancelled: "somebody cancelled it", waypost.DropDuplicate: "the recipient was named twice in one call",
	waypost.DropRole: "it is a role address", waypost.DropNullMX: "its domain says that it takes no mail",
}

// tell says in a sentence what an event means.
func tell(e *waypost.Event, provider string) string {
	switch e.Type {
	case waypost.CSProcessed:
		return "Accepted from the API and queued for relay."
	case waypost.CSSent:
		return fmt.Sprintf("%s took it%s.", orElse(provider, "The provider"), attemptWords(e.Attempt))
	case waypost.CSDelivered:
		return fmt.Sprintf("The recipient's server%s took it.", hostWords(e.Relay))
	case waypost.CSDropped:
		return "Given up: " + orElse(dropWords[e.Reason], "no reason was noted") + "."
	case waypost.CSHardBounced:
		return "It bounced for good: " + reasonWords(e.Reason, "the mailbox or domain is no more") + "."
	case waypost.CSSoftBounced:
		return "It was not delivered: " + reasonWords(e.Reason, "for a cause that may pass") + "."
	case waypost.CSOpen:
		return visitWords(e.Visit, "Opened")
	case waypost.CSClick:
		return visitWords(e.Visit, "A link was followed")
	case waypost.CSSpamReport:
		return "The recipient called it spam."
	case waypost.CSUnsubscribe:
		return "The recipient unsubscribed."
	case waypost.CSDeferred: // never stored
	}
	return e.Type.String()
}

func attemptWords(n int) string {
	if n > 1 {
		return fmt.Sprintf(" at attempt %d", n)
	}
	return ""
}

func hostWords(host string) string {
	if host == "" {
		return ""
	}
	return " " + host
}

func reasonWords(r waypost.Reason, other string) string {
	if r == "" {
		return other
	}
	words := []byte(r)
	for i := range words {
		if words[i] == '_' {
			words[i] = ' '
		}
	}
	return string(words)
}

func visitWords(v *waypost.Visit, what string) string {
	switch {
	case v == nil:
		return what + "."
	case v.Machine != "":
		return what + ", but not by a person (" + reasonWords(waypost.Reason(v.Machine), "") + ")."
	case v.First:
		return what + " by a person, for the first time."
	}
	return what + " by a person."
}

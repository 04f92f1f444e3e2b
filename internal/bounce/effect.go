package bounce

// effects are what reports bring about that are neither bounce nor feedback.
var effects = map[Kind]string{
	KindDelayed:   "nothing counts: delivery is still being tried",
	KindDelivered: "nothing counts: it reports a delivery",
	KindVacation:  "nothing counts: an automatic answer",
	KindChallenge: "nothing counts: it asks the sender to confirm",
	KindOther:     "nothing counts: not understood; kept for 30 days",
}

// Effect says in words what a report as a whole brings about. It is empty for
// a bounce: each of its recipients has a verdict of its own (D-45).
func (r *Report) Effect() string {
	switch {
	case r.Kind == KindBounce:
		return ""
	case r.Kind == KindFeedback && (r.FeedbackType == "abuse" || r.FeedbackType == "fraud"):
		return "CSSpamReport; the recipient is suppressed"
	case r.Kind == KindFeedback && r.FeedbackType == "opt-out":
		return "CSUnsubscribe; the recipient is suppressed"
	case r.Kind == KindFeedback:
		return "nothing counts: only abuse, fraud and opt-out do"
	}
	return effects[r.Kind]
}

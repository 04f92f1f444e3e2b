package webhook

import (
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
)

// jitterPart is the part of a pause that is left to chance, so that deliveries
// that failed together are not tried again together.
const jitterPart = 0.1

// after is what becomes of a delivery whose next attempt was answered so. The
// chance is from 0 to 1. A receiver that asks for a longer pause gets it, up to
// the longest of the schedule; one that says 410 Gone is not asked again.
func after(d waypost.Delivery, a *Answer, schedule []time.Duration, now time.Time, chance float64) waypost.Delivery {
	d.Attempt++
	d.LastAt, d.Status, d.Error, d.Took = now, a.Status, a.Error, a.Took
	switch {
	case a.OK():
		d.State = waypost.DeliveryDone
	case a.Status == http.StatusGone, d.Attempt > len(schedule):
		d.State = waypost.DeliveryDead
	default:
		pause := schedule[d.Attempt-1]
		pause += time.Duration(chance * jitterPart * float64(pause))
		longest := schedule[len(schedule)-1]
		d.State, d.Due = waypost.DeliveryWaiting, now.Add(max(pause, min(a.RetryAfter, longest)))
	}
	return d
}

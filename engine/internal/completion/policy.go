package completion

import (
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// maxReason is how much of an error's text a dead letter keeps, in bytes.
const maxReason = 1024

// policy is the retry policy.
type policy struct {
	scan.Config
	random func() float64
}

// decide decides where an entry goes whose handling failed. It is requeued after a delay that the handler
// chose (Snooze), dead-lettered (Permanent, or too many retries), or else requeued after a delay with one retry more.
func (p policy) decide(r *lease.Disposition, attempt int, why error) {
	why = guard.Error(why) // it comes from Lease.Fail as well, and nobody may have called its methods yet
	if delay, ok := api.SnoozeDelay(why); ok {
		if delay > 0 {
			r.Dest, r.Delay = lease.ToLater, delay
		}
		return
	}
	// A producer may have written the count: more than may be is no more than that.
	r.Retries = min(max(attempt, 0), max(p.MaxRetries, 0)) + 1
	text := "failed"
	if why != nil {
		text = why.Error()
	}
	switch max := p.MaxRetries; {
	case api.IsPermanent(why):
		r.Dest, r.Reason = lease.ToDeadLetters, Reason(deadPermanent, text)
	case r.Retries > max:
		r.Dest, r.Reason = lease.ToDeadLetters, Reason(deadRetries, fmt.Sprintf("after %d attempts: %s", r.Retries, text))
	default:
		r.Dest, r.Delay = lease.ToLater, p.Delay(r.Retries, p.random())
	}
}

// Classes of dead letters beside those of package lease: the first word of a reason, and a label of the metrics.
const (
	deadPermanent = "permanent"
	deadRetries   = "retries"
)

// Reason is the reason of a dead letter: its class and what is to be said of it, shortened to 1,024 bytes.
func Reason(class, text string) string {
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return class + ": " + text
}

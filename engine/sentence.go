package engine

import (
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
)

// maxReason is how much of an error's text a dead letter keeps, in bytes.
const maxReason = 1024

// sentence decides where an entry goes whose handling failed: back at a time of its own choice (Snooze), to the dead
// letters (Permanent, or too many retries), else to later with one retry more.
func (e *Engine) sentence(r *lease.Disposition, attempt int, why error) {
	why = guard.Error(why) // it comes from Lease.Fail as well, and nobody may have called its methods yet
	if delay, ok := api.SnoozeDelay(why); ok {
		if delay > 0 {
			r.Dest, r.Delay = lease.ToLater, delay
		}
		return
	}
	// A producer may have written the count: more than may be is no more than that.
	r.Retries = min(max(attempt, 0), max(e.cfg.recovery.MaxRetries, 0)) + 1
	text := "failed"
	if why != nil {
		text = why.Error()
	}
	switch max := e.cfg.recovery.MaxRetries; {
	case api.IsPermanent(why):
		r.Dest, r.Reason = lease.ToDeadLetters, reason(deadPermanent, text)
	case r.Retries > max:
		r.Dest, r.Reason = lease.ToDeadLetters, reason(deadRetries, fmt.Sprintf("after %d attempts: %s", r.Retries, text))
	default:
		r.Dest, r.Delay = lease.ToLater, e.cfg.recovery.Delay(r.Retries, e.random())
	}
}

// Classes of dead letters: the first word of a reason, and a label of the metrics.
const (
	deadMalformed = lease.DeadMalformed
	deadPermanent = "permanent"
	deadRetries   = "retries"
	deadTooLarge  = lease.DeadTooLarge
)

func reason(class, text string) string {
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return class + ": " + text
}

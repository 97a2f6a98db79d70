package wait

import "time"

// For checks a condition, at once and then at this interval, until it holds or the limit has passed. It reports whether the
// condition held. The condition runs on the calling goroutine, so it may fail the test.
func For(limit, interval time.Duration, ok func() bool) bool {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

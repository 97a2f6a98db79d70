package balance

import (
	"math"
	"time"
)

// Ramp returns the part of its weight that a process has which has been up for so long, after so many crashes within the last minutes:
// 1 after none; otherwise it grows from [RampFrom] to 1, by the same factor each second, over [RampFirst] after one crash and twice as
// long after each further one, at most over [RampMost]. What crashes shortly after each start would otherwise be the emptiest process
// each time, and attract whatever is new.
func Ramp(crashes int, up time.Duration) float64 {
	if crashes <= 0 {
		return 1
	}
	grows := RampFirst
	for range crashes - 1 {
		if grows >= RampMost {
			break
		}
		grows *= 2
	}
	grows = min(grows, RampMost)
	part := float64(max(0, up)) / float64(grows)
	return min(1, RampFrom*math.Pow(1/RampFrom, part))
}

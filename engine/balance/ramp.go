package balance

import (
	"math"
	"time"
)

// Ramp returns the part of its weight that a process has which has been up for so long, after so many crashes within the last minutes:
// 1 after none; otherwise it grows from [RampFrom] to 1, by the same factor each second, over [RampTime]. What crashes shortly after each
// start would otherwise be the emptiest process each time, and attract whatever is new.
func Ramp(crashes int, up time.Duration) float64 {
	grows := RampTime(crashes)
	if grows == 0 {
		return 1
	}
	part := float64(max(0, up)) / float64(grows)
	return min(1, RampFrom*math.Pow(1/RampFrom, part))
}

// RampTime returns how long a process must be up to have all of its weight, after so many crashes: 0 after none, [RampFirst] after one,
// and twice as long after each further one, at most [RampMost].
func RampTime(crashes int) time.Duration {
	if crashes <= 0 {
		return 0
	}
	grows := RampFirst
	for range crashes - 1 {
		if grows >= RampMost {
			break
		}
		grows *= 2
	}
	return min(grows, RampMost)
}

package measure

import (
	"math"
	"slices"
	"time"
)

// Median is the middle of values, the upper one of two; 0 if there are none.
func Median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Quantile is the q-quantile of sorted values by the nearest rank, the greatest for 1; 0 if there are none.
func Quantile[T float64 | time.Duration](sorted []T, q float64) T {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

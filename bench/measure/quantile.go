package measure

import (
	"math"
	"slices"
	"time"
)

// Median of durations or rates; 0 if there are none.
func Median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Quantile is the value that the q-th part of sorted ones reaches, 1 for the greatest; 0 if there are none.
func Quantile[T float64 | time.Duration](sorted []T, q float64) T {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

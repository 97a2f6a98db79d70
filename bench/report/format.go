package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// SortedKeys returns the keys of a map in order.
func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Percent is a share of 1 in percent: 12.3 %.
func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// Milliseconds is a duration in milliseconds: 1.5 ms.
func Milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// Mebibytes is a size in mebibytes: 1.5 MiB.
func Mebibytes(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

// Grouped is a whole number with its digits in groups: 10,000. A fraction is cut off.
func Grouped[T int | int64 | uint64 | float64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Seconds is a duration in seconds: 1.50 s.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Microseconds is a duration in microseconds: 1.50 µs.
func Microseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f µs", float64(d)/float64(time.Microsecond))
}

// Figure is a number as a goal shows it: grouped, or with two decimals where it is small and has a fraction.
func Figure(x float64) string {
	if x == float64(int(x)) || x >= 1000 {
		return Grouped(x)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

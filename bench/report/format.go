package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func Milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func Mebibytes(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

// Grouped is a number as people read it: 10,000.
func Grouped[T int | int64 | uint64 | float64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func Seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func Microseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f µs", float64(d)/float64(time.Microsecond))
}

func Figure(x float64) string {
	if x == float64(int(x)) || x >= 1000 {
		return Grouped(x)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

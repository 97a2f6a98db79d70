package suite

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

// grouped is a number as people read it: 10,000.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func micro(d time.Duration) string {
	return fmt.Sprintf("%.2f µs", float64(d)/float64(time.Microsecond))
}

func figureText(x float64) string {
	if x == float64(int(x)) || x >= 1000 {
		return grouped(int(x))
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

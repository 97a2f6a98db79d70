package balance

import (
	"cmp"
	"math/bits"
	"slices"
)

// Spread divides n streams among partitions in proportion to what is held in each, and returns how many are of which. They are n in all,
// or as many as are held if that is less. What is left over by rounding goes to the partitions with the greatest fractions, then to those
// that hold most.
func Spread(n int, held []int) []int {
	of := make([]int, len(held))
	sum := 0
	for _, h := range held {
		sum += max(0, h)
	}
	n = min(n, sum)
	if n <= 0 {
		return of
	}
	fraction := make([]uint64, len(held))
	order := make([]int, len(held))
	left := n
	for i, h := range held {
		// The quotient is at most n, so it fits.
		high, low := bits.Mul64(uint64(n), uint64(max(0, h)))
		whole, rest := bits.Div64(high, low, uint64(sum))
		of[i], fraction[i], order[i] = int(whole), rest, i
		left -= int(whole)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(fraction[b], fraction[a]), cmp.Compare(held[b], held[a]))
	})
	for _, i := range order[:left] {
		of[i]++
	}
	return of
}

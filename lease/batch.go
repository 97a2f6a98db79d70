package lease

// A call to Redis is bounded by weight as well as by number of items: one answer, one script and one write to a socket must
// never take so long that they delay a beat.
const (
	// MaxCallWeight is the most that the items of one call weigh together, unless a single item weighs more. XRANGE and XADD in
	// a script take 2 ms for 1 MiB (measured on Redis 7.0), so a full call blocks the server's other clients for about 10 ms.
	MaxCallWeight = 4 << 20

	// FieldWeight is what a field weighs besides its bytes: in Lua a field costs the server about as much as 64 bytes of value.
	FieldWeight = 64

	// WholeWeight is the greatest weight of an entry that scripts return whole. Of a heavier one they return what is needed.
	WholeWeight = 64 << 10
)

// Batches cuts items, in their order, into batches of at most count items that weigh at most MaxCallWeight together. An
// item that weighs more gets a batch of its own. Batches are even unless weight cuts them.
func Batches[T any](items []T, count int, weight func(*T) int) [][]T {
	batches := make([][]T, 0, (len(items)+count-1)/count)
	for len(items) > 0 {
		left := (len(items) + count - 1) / count
		n := fitting(items[:(len(items)+left-1)/left], weight)
		batches, items = append(batches, items[:n:n]), items[n:]
	}
	return batches
}

// fitting returns how many of the first items make a batch: at least one.
func fitting[T any](items []T, weight func(*T) int) int {
	total := 0
	for i := range items {
		if total += weight(&items[i]); total > MaxCallWeight {
			return max(i, 1)
		}
	}
	return len(items)
}

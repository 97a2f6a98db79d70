package scan

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The last page of what is delayed until one time. What it costs the server grows with the logarithm of how much that is.
func BenchmarkDelayedPage(b *testing.B) {
	const page = 100
	for _, n := range []int{1000, 100000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := newHarness(b)
			for from := 1; from <= n; from += 1000 {
				h.Do("EVAL", `for i = ARGV[1], ARGV[1] + 999 do
					redis.call('ZADD', KEYS[1], 4000000000000, cmsgpack.pack({i .. '-1', {'lbs-input', '{"DataStreamName":"s"}'}}))
				end`, "1", h.keys.Later, strconv.Itoa(from))
			}
			before, err := h.Try("ZRANGE", h.keys.Later, fmt.Sprint(-page-1), fmt.Sprint(-page-1)).AsStrSlice()
			require.NoError(b, err)
			start := delayedCursor{run: h.store.run, layout: h.layout, most: page, score: "4000000000000", last: before[0]}
			for b.Loop() {
				at := start
				found, err := at.page(b.Context())
				require.NoError(b, err)
				require.Len(b, found, page)
			}
		})
	}
}

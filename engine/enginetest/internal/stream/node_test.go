package stream

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestNodesAreReckonedToTheByte fills a node with names, values and IDs of all sizes, and then adds an entry that just fits or just
// does not, so that a byte too many or too few shows in the number of nodes.
func TestNodesAreReckonedToTheByte(t *testing.T) {
	p := newPair(t)
	rapid.Check(t, func(t *rapid.T) {
		p.reset(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		id := ID{uint64(r.IntN(1000)), 1}
		add := func(fields ...string) Reply {
			id = ID{id.ms + 1<<r.IntN(34) - 1, id.seq + 1<<r.IntN(34)}
			if r.IntN(3) == 0 {
				id = ID{id.ms + 1, uint64(r.IntN(300))}
			}
			require.Equal(t, id.String(), p.do(t, false, append([]string{"XADD", "s", id.String()}, fields...)...))
			return p.do(t, false, "XINFO", "STREAM", "s")
		}
		room := func() int {
			nodes := p.keys["s"].nodes
			return nodeMaxBytes - nodes[len(nodes)-1].bytes
		}
		add("f", packable(r))
		for room() > 1000 {
			fields := []string{"f", packable(r)}
			for range r.IntN(3) {
				fields = append(fields, packable(r), packable(r))
			}
			add(fields...)
		}
		if rest := room() - 1 - r.IntN(2); rest > 0 {
			before := len(p.keys["s"].nodes)
			add("f", strings.Repeat("v", rest))
			t.Logf("%d nodes, then %d", before, len(p.keys["s"].nodes))
		}
	})
}

// packable returns a string whose packed size is near a border.
func packable(r *rand.Rand) string {
	number := int64(1)<<r.IntN(63) + int64(r.IntN(3)) - 1
	switch r.IntN(8) {
	case 0:
		return strconv.FormatInt(number, 10)
	case 1:
		return strconv.FormatInt(-number, 10)
	case 2:
		return "0" + strconv.FormatInt(number, 10)
	case 3:
		return strings.Repeat("v", 60+r.IntN(8))
	case 4:
		return strings.Repeat("v", 120+r.IntN(10))
	case 5:
		return strings.Repeat("v", r.IntN(600))
	case 6:
		return []string{"", "0", "-0", "-", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"}[r.IntN(8)]
	default:
		return strconv.Itoa(r.IntN(300) - 150)
	}
}

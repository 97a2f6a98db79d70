package stream

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestIndexIsASortedMap against one that is sorted for each look.
func TestIndexIsASortedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index[int]
		model := map[ID]int{}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		top := uint64(rapid.SampledFrom([]int{10, 300, 2000}).Draw(t, "top"))
		for step := range rapid.IntRange(0, 3000).Draw(t, "steps") {
			id := ID{r.Uint64N(top), r.Uint64N(2)}
			switch r.IntN(3) {
			case 0:
				delete(model, id)
				x.remove(id)
			default:
				model[id] = step
				x.set(id, step)
			}
		}
		checkIndex(t, &x, model, ID{r.Uint64N(top), 0})
	})
}

func checkIndex(t *rapid.T, x *index[int], model map[ID]int, from ID) {
	require.Equal(t, len(model), x.size)
	ids := slices.SortedFunc(maps.Keys(model), ID.compare)
	var got []ID
	for id, value := range x.from(minID) {
		require.Equal(t, model[id], value)
		found, ok := x.get(id)
		require.True(t, ok)
		require.Equal(t, value, found)
		got = append(got, id)
	}
	require.Equal(t, ids, got)
	if len(ids) > 0 {
		require.Equal(t, ids[len(ids)-1], x.last())
	}
	at, _ := slices.BinarySearchFunc(ids, from, ID.compare)
	first, _, ok := x.ceiling(from)
	require.Equal(t, at < len(ids), ok)
	if ok {
		require.Equal(t, ids[at], first)
	}
	_, ok = x.get(maxID)
	require.False(t, ok)
}

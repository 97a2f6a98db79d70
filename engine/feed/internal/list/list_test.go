package list

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A list does what a slice does.
func TestListIsASlice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l List[int]
	var nodes [50]Node[int]
	want := []int{}
	for range 5_000 {
		i := random.IntN(len(nodes))
		if at := slices.Index(want, i); at >= 0 {
			l.Remove(&nodes[i])
			want = slices.Delete(want, at, at+1)
		} else {
			l.Add(&nodes[i], i)
			want = slices.Insert(want, 0, i)
		}
		require.Equal(t, want, l.All())
		require.Equal(t, len(want), l.Len())
	}
}

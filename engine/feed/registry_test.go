package feed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api/leasetest"
)

// A registry does what a map does.
func TestRegistryIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r, want := newRegistry(), make(map[string]*stream)
	for range 20_000 {
		name := fmt.Sprint("s", random.IntN(500))
		s := want[name]
		require.Same(t, s, r.find(name))
		switch {
		case s == nil:
			s = &stream{lease: leasetest.New(name)}
			r.add(s)
			want[name] = s
		case random.IntN(3) == 0:
			r.remove(s)
			r.remove(s)
			delete(want, name)
		}
		require.Equal(t, len(want), r.count())
	}
	all := r.all()
	require.Len(t, all, len(want))
	for name, s := range want {
		require.True(t, slices.Contains(all, s))
		r.remove(s)
		require.Nil(t, r.find(name))
	}
	require.Len(t, r.buckets, fewest)
}

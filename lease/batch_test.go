package lease

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBatches(t *testing.T) {
	weigh := func(n *int) int { return *n }
	const full = MaxCallWeight
	for name, x := range map[string]struct {
		items []int
		want  [][]int
	}{
		"nothing":                        {nil, [][]int{}},
		"even where weight is no matter": {[]int{1, 2, 3, 4, 5}, [][]int{{1, 2, 3}, {4, 5}}},
		"a heavy one goes alone":         {[]int{1, full + 1, 2}, [][]int{{1}, {full + 1}, {2}}},
		"exactly full":                   {[]int{full - 1, 1, 1}, [][]int{{full - 1, 1}, {1}}},
		"all heavy":                      {[]int{2 * full, 2 * full}, [][]int{{2 * full}, {2 * full}}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, x.want, Batches(x.items, 4, weigh)) })
	}
}

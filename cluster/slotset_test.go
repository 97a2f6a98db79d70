package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/cluster"
)

// A set of slots is compared with a map.
func TestSlotSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set cluster.SlotSet
		model := map[uint16]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			first := rapid.Uint16Range(0, cluster.Slots-1).Draw(t, "first")
			last := first + rapid.Uint16Range(0, min(200, cluster.Slots-1-first)).Draw(t, "more")
			set.AddRange(first, last)
			for slot := first; slot <= last; slot++ {
				model[slot] = true
			}
		}
		if set.Len() != len(model) {
			t.Fatalf("%d slots, not %d", set.Len(), len(model))
		}
		for slot := range uint16(cluster.Slots) {
			if set.Has(slot) != model[slot] {
				t.Fatalf("slot %d: %v", slot, set.Has(slot))
			}
		}
	})
}

func TestSlotsThatDoNotExist(t *testing.T) {
	var set cluster.SlotSet
	set.AddRange(cluster.Slots-1, 65535)
	require.Equal(t, 1, set.Len())
	require.True(t, set.Has(cluster.Slots-1))
	require.False(t, set.Has(cluster.Slots))
	require.False(t, set.Has(65535))
}

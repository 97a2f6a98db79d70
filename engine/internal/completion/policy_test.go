package completion

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// What a producer writes into the count of retries is at most that none is left.
func TestMadeUpRetryCounts(t *testing.T) {
	p := policy{scan.Config{}.WithDefaults(), func() float64 { return 0 }}
	for claimed, want := range map[int]int{-5: 1, 0: 1, 2: 3, 3: 4, 65535: 4} {
		var r lease.Disposition
		p.decide(&r, claimed, nil)
		require.Equal(t, want, r.Retries, "%d", claimed)
	}
}

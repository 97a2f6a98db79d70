package load

import (
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/cluster"
)

// Slots are slots of a cluster, as ranges with both ends: "0-5460,10923-16383". Empty: none.
type Slots string

// Has reports whether a stream is in one of these slots.
func (s Slots) Has(stream string) bool {
	slot := cluster.Slot(stream)
	for r := range strings.SplitSeq(string(s), ",") {
		from, to := uint16(0), uint16(0)
		if n, _ := fmt.Sscanf(r, "%d-%d", &from, &to); n == 2 && from <= slot && slot <= to {
			return true
		}
	}
	return false
}

// Of returns the streams that are in these slots, or those that are not.
func (s Slots) Of(streams []string, within bool) (some []string) {
	for _, stream := range streams {
		if s.Has(stream) == within {
			some = append(some, stream)
		}
	}
	return some
}

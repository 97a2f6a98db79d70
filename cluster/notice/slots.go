package notice

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/cluster"
)

// Slots is a set of cluster slots; the zero value is empty.
type Slots [cluster.Slots / 64]uint64

// ParseSlots reads what servers list, "123,456,5000-7000". What is no slot is left out; a range that is cut off by the
// last slot ends there.
func ParseSlots(text string) (s Slots) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.Atoi(strings.TrimSpace(first))
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(strings.TrimSpace(last))
		}
		if err != nil || from < 0 {
			continue
		}
		for slot := from; slot <= min(to, cluster.Slots-1); slot++ {
			s[slot/64] |= 1 << (slot % 64)
		}
	}
	return s
}

// Has says whether a slot is in the set.
func (s *Slots) Has(slot uint16) bool {
	return int(slot) < cluster.Slots && s[slot/64]&(1<<(slot%64)) != 0
}

// Len is the number of slots in the set.
func (s *Slots) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// add takes in another set.
func (s *Slots) add(other *Slots) {
	for i, word := range other {
		s[i] |= word
	}
}

// remove takes another set out.
func (s *Slots) remove(other *Slots) {
	for i, word := range other {
		s[i] &^= word
	}
}

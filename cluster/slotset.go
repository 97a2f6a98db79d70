package cluster

import "math/bits"

// SlotSet is a set of slots; it takes 2 KiB whatever it holds. The zero value is empty. No set holds a slot that does not exist.
type SlotSet [Slots / 64]uint64

// AddRange adds the slots from first to last.
func (s *SlotSet) AddRange(first, last uint16) {
	for slot := int(first); slot <= min(int(last), Slots-1); slot++ {
		s[slot/64] |= 1 << (slot % 64)
	}
}

// Has reports whether a slot is in the set.
func (s *SlotSet) Has(slot uint16) bool {
	return slot < Slots && s[slot/64]&(1<<(slot%64)) != 0
}

// Len returns the number of slots in the set.
func (s *SlotSet) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// addDifference adds the slots that are in a and not in b; a nil b is empty.
func (s *SlotSet) addDifference(a, b *SlotSet) {
	for i := range s {
		word := a[i]
		if b != nil {
			word &^= b[i]
		}
		s[i] |= word
	}
}

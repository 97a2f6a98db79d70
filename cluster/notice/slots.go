package notice

import (
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/cluster"
)

// parseSlots reads a list of slots as servers send it, "123,456,5000-7000". What is not a slot is left out; a range that
// goes beyond the last slot ends there.
func parseSlots(text string) (s cluster.SlotSet) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(strings.TrimSpace(last), 10, 32)
		}
		if err == nil {
			s.AddRange(uint16(from), uint16(min(to, cluster.Slots)))
		}
	}
	return s
}

// add adds another set to s.
func add(s, other *cluster.SlotSet) {
	for i, word := range other {
		s[i] |= word
	}
}

// remove removes another set from s.
func remove(s, other *cluster.SlotSet) {
	for i, word := range other {
		s[i] &^= word
	}
}

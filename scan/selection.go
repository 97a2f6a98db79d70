package scan

import (
	"fmt"
	"strconv"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Selection selects dead letters, or delayed or stranded announcements. Zero fields match everything, so the zero value selects all.
type Selection struct {
	// Partitions are the partitions to look at; nil means all. Numbers that the service does not have match nothing.
	Partitions []int

	// Reason is a prefix of the reason: a class such as "crashes", or more.
	Reason string

	// Stream is the name of the data stream.
	Stream string

	// ID is that of a dead letter, or of a delayed or stranded announcement, as their field ID has it. An ID may occur in several
	// partitions: set Partitions, too. One that is not of the form 1700000000000-0 matches api.ErrInvalidConfig.
	ID string
}

// validate returns an error unless the selection can select anything.
func (s Selection) validate() error {
	if s.ID != "" && !isEntryID(s.ID) {
		return fmt.Errorf("%w: Selection.ID is %.64q, must be the ID of an entry, such as 1700000000000-0", api.ErrInvalidConfig, s.ID)
	}
	return nil
}

// isEntryID reports whether text is an ID as Redis returns it. Commands take more, such as a time alone for all entries of that
// time.
func isEntryID(text string) bool {
	ms, seq := lease.ParseID(text)
	return text == strconv.FormatUint(ms, 10)+"-"+strconv.FormatUint(seq, 10)
}

func (s Selection) partitions(layout *cluster.Layout) []int {
	if s.Partitions == nil {
		return upTo(layout.Partitions())
	}
	var chosen []int
	for _, p := range s.Partitions {
		if p >= 0 && p < layout.Partitions() {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

func upTo(end int) []int {
	all := make([]int, end)
	for p := range all {
		all[p] = p
	}
	return all
}

// isPosition reports whether text is the ID of an entry that others may precede.
func isPosition(text string) bool { return isEntryID(text) && text != "0-0" }

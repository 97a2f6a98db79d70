package scan

import (
	"github.com/streamlease/streamlease/cluster"
)

// Selection selects dead letters, or stranded announcements. Zero fields match everything, so the zero value selects all.
type Selection struct {
	// Partitions are the partitions to look at; nil means all. Numbers that the service does not have match nothing.
	Partitions []int

	// Reason is a prefix of the reason: a class such as "crashes", or more.
	Reason string

	// Stream is the name of the data stream.
	Stream string
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

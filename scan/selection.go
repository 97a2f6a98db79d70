package scan

import (
	"strings"

	"github.com/streamlease/streamlease/cluster"
)

// Selection says which dead letters are meant; fields left zero leave nothing out, so the zero value means all.
type Selection struct {
	// Partitions are those to look at; nil for all. Numbers that the service does not have match nothing.
	Partitions []int

	// Reason is what the reason begins with: a class, as "crashes", or more of it.
	Reason string

	// Stream is the name of the data stream.
	Stream string
}

func (s Selection) matches(l *DeadLetter) bool {
	return strings.HasPrefix(l.Reason, s.Reason) && (s.Stream == "" || l.Stream == s.Stream)
}

func (s Selection) partitions(layout *cluster.Layout) []int {
	if s.Partitions == nil {
		all := make([]int, layout.Partitions())
		for p := range all {
			all[p] = p
		}
		return all
	}
	var chosen []int
	for _, p := range s.Partitions {
		if p >= 0 && p < layout.Partitions() {
			chosen = append(chosen, p)
		}
	}
	return chosen
}
